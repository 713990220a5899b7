"""Builds the record of a call turn by turn: who said what, what was decided, and how long each stage took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voicebot.calls.seams import Journal, Meter
from voicebot.dialog.actions import RecordDecision, RecordEscalation, Say
from voicebot.dialog.events import Interpretation, SlotValue
from voicebot.media.events import CallerTurn, SpeakingBegan, SpeakingEnded
from voicebot.records.record import BackendCall, HeardWord, IntentReading, Speaker, TurnRecord
from voicebot.records.timings import Stage
from voicebot.speech.asr import Word

#: So many of the requests that the words may have been about are kept.
_INTENTS_KEPT = 5


class _Draft:
    """A turn that is still missing something."""

    def __init__(self, speaker: Speaker, at_ms: int, text: str) -> None:
        self.speaker = speaker
        self.at_ms = at_ms
        self.text = text
        self.began = speaker is Speaker.CALLER
        self.heard_ms = 0
        self.heard_text: str | None = None
        self.prompt: str | None = None
        self.engine: str | None = None
        self.secret = False
        self.over_prompt = False
        self.intent: str | None = None
        self.confidence: float | None = None
        self.slots: dict[str, str] = {}
        self.decisions: list[str] = []
        self.alternatives: tuple[str, ...] = ()
        self.words: tuple[HeardWord, ...] = ()
        self.timings_ms: dict[str, float] = {}
        self.signals: dict[str, Any] = {}
        self.intents: tuple[IntentReading, ...] = ()
        self.backend_calls: list[BackendCall] = []
        #: Monotonic time from which this turn's stages are counted.
        self.zero_s: float | None = None

    def record(self) -> TurnRecord:
        return TurnRecord(
            speaker=self.speaker,
            text="" if self.secret else self.text,
            at_ms=self.at_ms,
            heard_ms=self.heard_ms,
            heard_text=self.heard_text,
            prompt=self.prompt,
            engine=self.engine,
            secret=self.secret,
            over_prompt=self.over_prompt,
            intent=self.intent,
            confidence=self.confidence,
            slots={} if self.secret else self.slots,
            decision="; ".join(self.decisions) or None,
            alternatives=() if self.secret else self.alternatives,
            words=() if self.secret else self.words,
            timings_ms=self.timings_ms,
            signals=self.signals,
            intents=self.intents,
            backend_calls=tuple(self.backend_calls),
        )


class TurnLog:
    """Collects drafts and hands each to the journal as soon as it is whole. Times are monotonic seconds."""

    def __init__(self, call_id: str, journal: Journal, meter: Meter, started_s: float) -> None:
        self._call_id = call_id
        self._journal = journal
        self._meter = meter
        self._started_s = started_s
        self._caller: _Draft | None = None
        self._bot: dict[str, _Draft] = {}
        self._unclaimed: list[str] = []
        self._unclaimed_signals: dict[str, Any] = {}
        self._unclaimed_calls: list[BackendCall] = []
        #: When the bot last began or stopped: what nobody heard stands there in the record.
        self._bot_at_ms = 0
        self.last_heard_prompt = ""

    def caller_spoke(self, turn: CallerTurn, interpretations: tuple[Interpretation, ...], *, secret: bool) -> None:
        self._commit_caller()
        timings = turn.timings
        texts = [interpretation.text for interpretation in interpretations]
        texts = texts or [hypothesis.text for hypothesis in turn.final.hypotheses]
        draft = _Draft(Speaker.CALLER, self._ms(timings.speech_started_s), texts[0] if texts else "")
        draft.heard_ms = turn.spoken_ms
        draft.engine = turn.final.engine
        draft.secret = secret
        draft.over_prompt = turn.over_prompt
        draft.alternatives = tuple(texts[1:])
        if turn.final.hypotheses:
            draft.words = tuple(in_recording(word, draft.at_ms) for word in turn.final.hypotheses[0].words)
        draft.zero_s = timings.last_speech_s
        draft.timings_ms = {
            Stage.END_OF_TURN: _ms(timings.turn_ended_s - timings.last_speech_s),
            Stage.FINAL: _ms(timings.final_s - timings.last_speech_s),
            "decode": round(turn.final.decode_ms, 1),
        }
        if interpretations and interpretations[0].intents:
            best = interpretations[0].intents[0]
            draft.intent, draft.confidence = best.intent, best.confidence
            draft.intents = intent_readings(interpretations[0])
        self._caller = draft

    def caller_agreed(self, turn: CallerTurn, *, secret: bool) -> None:
        """The caller only showed that they listen; the prompt went on, and the dialog was told nothing."""
        self.caller_spoke(turn, (), secret=secret)
        if self._caller:
            self._caller.decisions.append("backchannel: the prompt went on")
        self._commit_caller()

    def caller_pressed(self, keys: str, at_s: float, *, began_s: float, secret: bool) -> None:
        self._commit_caller()
        draft = _Draft(Speaker.CALLER, self._ms(began_s), f"[{keys}]")
        draft.heard_ms = self._ms(at_s) - draft.at_ms
        draft.engine = "keys"
        draft.secret = secret
        draft.zero_s = at_s
        self._caller = draft

    def decision(self, decision: RecordDecision, *, secret: bool) -> None:
        text = f"{decision.flow}.{decision.step}: {decision.rule}"
        if decision.detail and not secret:
            text += f" ({decision.detail})"
        if self._caller is None:
            self._unclaimed.append(text)
            return
        self._caller.decisions.append(text)
        if decision.intent is not None:
            self._caller.intent, self._caller.confidence = decision.intent, decision.confidence
        if not secret:
            self._caller.slots |= _written(decision.slots)

    def escalation(self, weighed: RecordEscalation) -> None:
        """Keep what was measured and decided with the turn, or with the bot's next words where the caller said none."""
        document = escalation_document(weighed)
        if self._caller is None:
            self._unclaimed_signals = document
        else:
            self._caller.signals = document

    def backend_answered(self, operation: str, outcome: str, took_ms: float) -> None:
        """Keep that a customer's system answered, with the turn that asked it or with the bot's next words."""
        asked = self._unclaimed_calls if self._caller is None else self._caller.backend_calls
        asked.append(BackendCall(operation, outcome, round(took_ms, 1)))

    def decided(self, at_s: float) -> None:
        """The dialog has answered; counted once a turn."""
        self._time(Stage.DECISION, at_s)

    def bot_says(self, utterance_id: str, say: Say, text: str) -> None:
        """Note an utterance; `text` is what is said, without the marks for the voice."""
        draft = _Draft(Speaker.BOT, 0, text)
        draft.prompt = say.prompt
        draft.decisions, self._unclaimed = self._unclaimed, []
        draft.signals, self._unclaimed_signals = self._unclaimed_signals, {}
        draft.backend_calls, self._unclaimed_calls = self._unclaimed_calls, []
        self._bot[utterance_id] = draft

    def speaking_began(self, event: SpeakingBegan) -> None:
        self._bot_at_ms = self._ms(event.at_s)
        if draft := self._bot.get(event.utterance_id):
            draft.at_ms, draft.began = self._bot_at_ms, True
        self._time(Stage.FIRST_AUDIO_QUEUED, event.queued_s)
        self._time(Stage.FIRST_AUDIO_SENT, event.at_s)
        self._commit_caller()

    def speaking_ended(self, event: SpeakingEnded) -> None:
        self.last_heard_prompt = event.heard_text
        self._bot_at_ms = self._ms(event.at_s)
        if draft := self._bot.pop(event.utterance_id, None):
            draft.heard_ms = event.heard_ms
            draft.heard_text = event.heard_text if event.cut else None
            self._commit_bot(draft)

    def never_spoken(self, utterance_id: str) -> None:
        """The voice failed: what was meant to be said is recorded as heard for 0 ms."""
        if draft := self._bot.pop(utterance_id, None):
            draft.heard_text = ""
            self._commit_bot(draft)

    def close(self) -> None:
        """Commit what is pending; utterances nobody heard are recorded as such."""
        self._commit_caller()
        for utterance_id in list(self._bot):
            self.never_spoken(utterance_id)

    def _commit_bot(self, draft: _Draft) -> None:
        if not draft.began:
            draft.at_ms = self._bot_at_ms
        self._journal.add_turn(self._call_id, draft.record())

    def _commit_caller(self) -> None:
        draft, self._caller = self._caller, None
        if draft:
            self._meter.turn_timed(draft.timings_ms)
            self._journal.add_turn(self._call_id, draft.record())

    def _time(self, stage: str, at_s: float) -> None:
        draft = self._caller
        if draft and draft.zero_s is not None and stage not in draft.timings_ms:
            draft.timings_ms[stage] = _ms(at_s - draft.zero_s)

    def _ms(self, at_s: float) -> int:
        return max(0, round((at_s - self._started_s) * 1000))


def in_recording(word: Word, turn_at_ms: int) -> HeardWord:
    """Place a word, timed from the beginning of its utterance, in the recording."""
    start_ms, end_ms = (turn_at_ms + max(0, round(at_s * 1000)) for at_s in (word.start_s, word.end_s))
    return HeardWord(word.text, start_ms, end_ms, min(1.0, max(0.0, word.confidence)))


def intent_readings(reading: Interpretation) -> tuple[IntentReading, ...]:
    """Return the likeliest requests of a reading as a turn keeps them."""
    return tuple(
        IntentReading(each.intent, round(min(1.0, max(0.0, each.confidence)), 4))
        for each in reading.intents[:_INTENTS_KEPT]
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _written(slots: Mapping[str, SlotValue | None]) -> dict[str, str]:
    return {name: str(value) for name, value in slots.items() if value is not None}


def escalation_document(weighed: RecordEscalation) -> dict[str, Any]:
    """Return what a turn keeps of the escalation policy's look at it."""
    return {**weighed.signals.document(), "decision": weighed.decision.document()}
