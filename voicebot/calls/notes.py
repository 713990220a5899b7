"""What is noted of a call while it goes on, so that a person who takes over knows all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from statistics import fmean

from voicebot.calls.seams import Journal
from voicebot.dialog.actions import CallBackend, RecordDecision, RecordEscalation, TransferTo
from voicebot.dialog.events import Mood, SlotValue
from voicebot.dialog.recording import Consent
from voicebot.records import context
from voicebot.records.context import Attempt, Authentication, ContextPacket, ContextTurn, Customer, Escalation, Trend
from voicebot.records.record import Outcome, TurnRecord
from voicebot.records.redacting import TurnRedactor
from voicebot.records.summary import summarise
from voicebot.redaction import asked_by, redact
from voicebot.telephony.leg import LegInfo

#: Turns of one caller by which a mood's trend is told.
_RECENT = 3
_CHANGE = 0.2
#: Operations that prove who a caller is, by the second half of their name.
_PROVING = frozenset({"authenticate", "identify", "verify"})
#: What the caller is told to quote later, by the names that results give it.
_REFERENCES = ("reference", "ticket", "confirmation", "booking")
#: Names of the whole call that are about the customer, not about their request.
_ABOUT_CUSTOMER = frozenset({"authenticated", "reauthenticated", "customer_name", "tier", "account_number"})
_TEXT_MOST = 500


class CallNotes:
    """One call's notes. `title_of` gives an intent's title as callers hear it."""

    def __init__(self, info: LegInfo, call_id: str, started_at: datetime, title_of: Callable[[str], str]) -> None:
        self._info = info
        self._call_id = call_id
        self._started_at = started_at
        self._title_of = title_of
        self._redactor = TurnRedactor()
        self._turns: dict[int, TurnRecord] = {}
        self._goal: tuple[str, bool] | None = None
        self._confidence: dict[str, float] = {}
        self._data: dict[str, str] = {}
        self._attempts: list[Attempt] = []
        self._moods: list[Mood] = []
        self._signals: dict[str, float] = {}
        self._packets = 0

    def turn(self, turn: TurnRecord) -> None:
        """Note a turn, without what must not be kept."""
        self._turns |= {written.number: written.turn for written in self._redactor.add(turn)}

    def goal(self, goal: str, *, reached: bool) -> None:
        """The last goal that was more than speaking with a person stands."""
        if self._title_of(goal):
            self._goal = (goal, reached)

    def decided(self, decision: RecordDecision, *, secret: bool) -> None:
        if decision.intent is not None and decision.confidence is not None:
            self._confidence[decision.intent] = decision.confidence
        if not secret:
            self._data |= {
                name: redact(str(value))
                for name, value in decision.slots.items()
                if value is not None and asked_by(name) is None
            }

    def weighed(self, escalation: RecordEscalation) -> None:
        """Note what the policy made of it last: every signal's part in the score."""
        self._signals = {part.signal: part.part for part in escalation.decision.parts}

    def sounded(self, mood: Mood) -> None:
        self._moods.append(mood)

    def answered(self, request: CallBackend, outcome: str, result: Mapping[str, SlotValue | None]) -> None:
        told = {name: redact(str(value))[:_TEXT_MOST] for name, value in result.items() if value is not None}
        reference = next((told[name] for name in _REFERENCES if name in told), "")
        changed = request.idempotency_key is not None
        self._attempts.append(Attempt(request.operation, outcome, changed, told, reference))

    def packet(
        self, wanted: TransferTo, *, queue: str, priority: int, remembered: Mapping[str, SlotValue], now: datetime
    ) -> ContextPacket:
        """Return the context packet as things stand. Secret turns have no words in it."""
        self._packets += 1
        held = {name: redact(str(value)) for name, value in remembered.items()}
        authentication = self._authentication(held)
        draft = ContextPacket(
            version=context.CONTEXT_VERSION,
            id=f"{self._call_id}-{self._packets}",
            call_id=self._call_id,
            channel=self._info.channel.value,
            created_at=now,
            started_at=self._started_at,
            summary=(),
            request=self._request(wanted),
            conversation=tuple(
                ContextTurn(turn.speaker.value, turn.at_ms, turn.heard_text or turn.text, turn.secret)
                for _, turn in sorted(self._turns.items())
            ),
            attempts=tuple(self._attempts),
            authentication=authentication,
            customer=Customer(
                name=held.get("customer_name", ""),
                number=self._info.caller,
                tier=held.get("tier", self._result("tier")),
                profile={name: held[name] for name in sorted(_ABOUT_CUSTOMER & held.keys())},
            ),
            data={name: value for name, value in self._data.items() if name not in _ABOUT_CUSTOMER},
            mood=self._mood(),
            escalation=Escalation(wanted.reason, wanted.rule, wanted.topic, queue, priority, self._signals),
            next_steps=self._next_steps(wanted, authentication),
            promises=tuple(
                f"{attempt.operation}: {name.replace('_', ' ')} {value}"
                for attempt in self._attempts
                if attempt.changed_something and attempt.outcome == "ok"
                for name, value in attempt.result.items()
            ),
            recording=f"/api/calls/{self._call_id}/recording",
        )
        return replace(draft, summary=summarise(draft))

    def _request(self, wanted: TransferTo) -> context.Request | None:
        goal, reached = self._goal or (wanted.topic, False)
        title = self._title_of(goal) if goal else ""
        return context.Request(goal, title, self._confidence.get(goal), reached) if title else None

    def _authentication(self, held: Mapping[str, str]) -> Authentication:
        tries = [attempt for attempt in self._attempts if attempt.operation.rpartition(".")[2] in _PROVING]
        failures = sum(attempt.outcome != "ok" for attempt in tries)
        method = next((attempt.operation for attempt in tries if attempt.outcome == "ok"), "")
        return Authentication(held.get("authenticated") == "True", method, failures)

    def _result(self, name: str) -> str:
        return next((attempt.result[name] for attempt in reversed(self._attempts) if name in attempt.result), "")

    def _mood(self) -> context.Mood:
        moods = self._moods
        if not moods:
            return context.Mood()
        recent, before = moods[-_RECENT:], moods[:-_RECENT]
        sentiment = fmean(mood.sentiment for mood in recent)
        change = sentiment - fmean(mood.sentiment for mood in before) if before else 0.0
        trend = Trend.WORSE if change < -_CHANGE else Trend.BETTER if change > _CHANGE else Trend.STEADY
        return context.Mood(
            sentiment=round(sentiment, 3),
            trend=trend,
            frustration=max(mood.frustration for mood in recent),
            urgency=max(mood.urgency for mood in recent),
            cues=tuple(dict.fromkeys(cue for mood in moods for cue in mood.cues)),
        )

    def _next_steps(self, wanted: TransferTo, authentication: Authentication) -> tuple[str, ...]:
        steps = []
        if not authentication.authenticated:
            steps.append("Make sure who is calling before telling anything private.")
        if wanted.reason == "approval":
            steps.append("Decide what the bot may not decide alone.")
        steps += [
            f"Look into {attempt.operation}: it gave {attempt.outcome.replace('_', ' ')}."
            for attempt in self._attempts
            if attempt.outcome != "ok" and attempt.operation.rpartition(".")[2] not in _PROVING
        ][-2:]
        if wanted.reason in {"not_understood", "not_heard"}:
            steps.append("Ask what it is about: the bot did not understand it.")
        return tuple(steps)


class NotingJournal:
    """A journal whose turns and goals are noted, too."""

    def __init__(self, journal: Journal, notes: CallNotes) -> None:
        self._journal = journal
        self._notes = notes

    def begin_call(self, call_id: str, info: LegInfo, started_at: datetime, flow_version: str) -> None:
        self._journal.begin_call(call_id, info, started_at, flow_version)

    def note_recording(self, call_id: str, path: str) -> None:
        self._journal.note_recording(call_id, path)

    def note_consent(self, call_id: str, consent: Consent, at_ms: int) -> None:
        self._journal.note_consent(call_id, consent, at_ms)

    def add_turn(self, call_id: str, turn: TurnRecord) -> None:
        self._notes.turn(turn)
        self._journal.add_turn(call_id, turn)

    def set_goal(self, call_id: str, goal: str, *, reached: bool) -> None:
        self._notes.goal(goal, reached=reached)
        self._journal.set_goal(call_id, goal, reached=reached)

    def note_dictation(self, call_id: str, note: str) -> None:
        self._journal.note_dictation(call_id, note)

    def end_call(self, call_id: str, ended_at: datetime, outcome: Outcome, cause: str) -> None:
        self._journal.end_call(call_id, ended_at, outcome, cause)
