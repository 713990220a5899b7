"""Makes the session of each call from what lives as long as the server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.exc import SQLAlchemyError

from voicebot.app.editions import Edition, Editions
from voicebot.calls.continuations import Continuations
from voicebot.calls.plan import CallPlan
from voicebot.calls.registry import Session
from voicebot.calls.seams import Journal, Operations, Recording, StandingPrompts, Understanding
from voicebot.calls.session import CallSession
from voicebot.calls.transfer.callback_call import CallbackCall, CallbackPlan
from voicebot.calls.transfer.desk import TransferDesk
from voicebot.calls.transfer.seams import Talk
from voicebot.calls.transfer.talk import WrittenTalk
from voicebot.calls.written import WrittenConversation
from voicebot.dialog.continuing import continuation_of
from voicebot.dialog.conversation import Conversation
from voicebot.dialog.events import SlotValue
from voicebot.dialog.expectation import Expectation
from voicebot.dialog.flow import Bot
from voicebot.dialog.recording import RecordingPolicy
from voicebot.language.completeness import completeness
from voicebot.language.reading_once import ReadingOnce
from voicebot.media.events import LineEvent
from voicebot.media.line import Line
from voicebot.media.tapped import Unrecorded
from voicebot.media.transport import CHUNK_MS, Tap
from voicebot.records.callbacks import CallbackRow
from voicebot.records.context import ContextPacket
from voicebot.records.control import LiveRecordings
from voicebot.records.history import CallHistory
from voicebot.records.metrics import Metrics
from voicebot.records.recorder import Recordings
from voicebot.records.store import Store
from voicebot.routing.callbacks import Again, GivenUp
from voicebot.routing.telling import moment_to_say
from voicebot.routing.wording import Wording
from voicebot.settings import Settings
from voicebot.speech.listening.models import SpeechModel
from voicebot.speech.scribe import Scribe
from voicebot.telephony.leg import FRAME_MS, CallLeg
from voicebot.work.supervision import Supervision

log = structlog.get_logger(__name__)

#: Frames in one chunk of outgoing audio.
FRAMES_A_CHUNK = CHUNK_MS // FRAME_MS


class SessionFactory:
    def __init__(
        self,
        *,
        settings: Settings,
        editions: Editions,
        store: Store,
        recordings: Recordings,
        live_recordings: LiveRecordings,
        metrics: Metrics,
        continuations: Continuations,
        supervision: Supervision,
        after_call: Callable[[str, Mapping[str, SlotValue], Edition], None],
        paused: Callable[[], frozenset[str]],
        now: Callable[[], datetime],
        new_seed: Callable[[], int],
        find_transfers: Callable[[], TransferDesk | None],
        scribe: Scribe,
    ) -> None:
        """`find_transfers` gives who takes callers over, once they are there; `scribe` writes down what they say.

        `now` is wall-clock time in the bot's zone; `new_seed` picks the wording of each call. `after_call` begins what
        follows a call or chat, by its id, what the flows remember, and what led it; `paused` are the intents that are
        stopped now.
        """
        self._settings = settings
        self._editions = editions
        self._store = store
        self._history = CallHistory(store.database, now=now)
        self._recordings = recordings
        self._live_recordings = live_recordings
        self._metrics = metrics
        self._continuations = continuations
        self._supervision = supervision
        self._after_call = after_call
        self._paused = paused
        self._now = now
        self._new_seed = new_seed
        self._find_transfers = find_transfers
        self._scribe = scribe

    def make(self, leg: CallLeg) -> Session:
        """Make the session of a call, on the version of the flows that is current now."""
        edition = self._editions.current
        dialog = Conversation(edition.bot)

        async def ended() -> None:
            self._live_recordings.closed(leg.info.leg_id)
            self._after_call(leg.info.leg_id, dialog.state.slots, edition)
            try:
                await self._continuations.keep(leg.info.caller, continuation_of(edition.bot, dialog.state))
            except SQLAlchemyError as error:
                # The call was carried to its end, and must not count as failed for this.
                log.error("nothing kept to go on with", call_id=leg.info.leg_id, error=type(error).__name__)

        return _OnEdition(self._session(leg, edition, dialog), edition, self._editions, ended)

    @asynccontextmanager
    async def written(self) -> AsyncIterator[WrittenConversation]:
        """Begin a written conversation on the version that is current now; it keeps that one until it is over."""
        edition = self._editions.current
        async with self._editions.held(edition):
            conversation = Conversation(edition.bot)
            try:
                yield WrittenConversation(
                    conversation,
                    understanding=edition.understanding,
                    operations=self._operations(edition, lambda: conversation.state.call_id),
                    now=self._now,
                )
            finally:
                # It is let go of once its record is closed.
                if conversation.state.call_id:
                    self._after_call(conversation.state.call_id, conversation.state.slots, edition)

    def _session(self, leg: CallLeg, edition: Edition, dialog: Conversation) -> CallSession:
        call_id = leg.info.leg_id
        recorder, path = self._recorder(call_id, edition.bot.recording.policy)
        understanding = ReadingOnce(edition.understanding)
        plan = CallPlan(
            call_id=call_id,
            recording_path=path,
            zone=self._settings.zone,
            seed=self._new_seed(),
            max_call_s=self._settings.max_call_s,
            prompts=edition.prompts,
            title_of=lambda intent: _title(edition.bot, intent),
            paused=self._paused(),
        )
        return CallSession(
            plan,
            leg,
            dialog=dialog,
            understanding=understanding,
            operations=self._operations(edition, lambda: call_id),
            make_line=lambda on_event: self._line(leg, edition, understanding, recorder, on_event),
            transfers=self._find_transfers(),
            journal=self._store.journal,
            meter=self._metrics,
            recording=recorder,
            clock=time.monotonic,
            now=self._now,
            history=self._history.goals,
            steer_recording=self._live_recordings.steer,
            make_talk=partial(self._talk, call_id, edition),
        )

    def _talk(self, call_id: str, edition: Edition, journal: Journal, started_s: float) -> Talk:
        """Make what takes down what the caller and people say to each other, as far as the call is recorded."""
        return WrittenTalk(
            call_id,
            started_s=started_s,
            dictation=edition.speech.dictation,
            scribe=self._scribe,
            journal=journal,
            is_recorded=lambda: self._live_recordings.is_recording(call_id),
            make_judge=SpeechModel,
        )

    def _recorder(self, call_id: str, policy: RecordingPolicy) -> tuple[Recording, str | None]:
        """Return what records a call, and where to."""
        if policy is RecordingPolicy.OFF:
            return Unrecorded(), None
        started_s = time.monotonic()
        recorder = self._recordings.start(call_id, started_s)
        if policy is RecordingPolicy.ASK:
            recorder.pause(True, started_s)  # noqa: FBT003  # a switch; the dialog notes it when it begins
        self._live_recordings.opened(call_id, recorder, started_s)
        return recorder, f"{recorder.path.parent.name}/{call_id}"

    async def call_back(
        self,
        leg: CallLeg,
        row: CallbackRow,
        packet: ContextPacket,
        following: Again | GivenUp,
        *,
        company_says: Wording,
    ) -> bool:
        """Carry a callback that was answered; True when it is done with."""
        transfers = self._find_transfers()
        edition = self._editions.current
        queue = edition.routing.queues.get(row.queue) if edition.routing else None
        if transfers is None or queue is None:
            return False
        call_id = leg.info.leg_id
        rules = edition.bot.recording
        # Nobody asks here whether the call may be recorded, so without a word of theirs it is not.
        is_asked = rules.policy is RecordingPolicy.ASK
        recorder, path = self._recorder(call_id, RecordingPolicy.OFF if is_asked else rules.policy)
        hello = company_says.text(
            "lost_hello" if row.reason == "cut_off" else "callback_hello", company=edition.bot.name
        )
        match following:
            case Again(at):
                slot = moment_to_say(at.astimezone(ZoneInfo(row.zone)), self._now())
                said_next = company_says.text("callback_again", slot=slot)
            case GivenUp():
                said_next = company_says.text("callback_last")
        unwanted = company_says.text("callback_unwanted")
        told = rules.announcement if rules.policy is RecordingPolicy.ANNOUNCE else None
        if told:
            hello = f"{told.static_texts[0]} {hello}"
        try:
            async with self._editions.held(edition):
                return await CallbackCall(
                    CallbackPlan(
                        call_id, path, edition.bot.version, hello, said_next, unwanted, announced=told is not None
                    ),
                    leg,
                    make_line=lambda on_event: self._line(leg, edition, edition.understanding, recorder, on_event),
                    make_transfer=lambda caller: transfers.make_again(queue, caller, packet, call_id=call_id),
                    understanding=edition.understanding,
                    journal=self._store.journal,
                    meter=self._metrics,
                    recording=recorder,
                    clock=time.monotonic,
                    now=self._now,
                    make_talk=partial(self._talk, call_id, edition),
                ).run()
        finally:
            self._live_recordings.closed(call_id)

    def _operations(self, edition: Edition, call_id: Callable[[], str]) -> Operations:
        return self._supervision.of_call(call_id, edition.backends, edition.bot.operations)

    def line_to(self, leg: CallLeg, on_event: Callable[[LineEvent], None]) -> Line:
        """Give a party who is no caller of ours ears and a voice; nothing of it is recorded."""
        edition = self._editions.current
        return self._line(leg, edition, edition.understanding, Unrecorded(), on_event)

    def _line(
        self,
        leg: CallLeg,
        edition: Edition,
        understanding: Understanding,
        tap: Tap,
        on_event: Callable[[LineEvent], None],
    ) -> Line:
        def complete(text: str, expectation: Expectation) -> float:
            readings = understanding.interpret([(text, 1.0)], expectation, self._now())
            return completeness(readings[0], expectation, edition.endings) if readings else 0.0

        speech = edition.speech
        return Line(
            leg,
            transcriber=speech.transcriber,
            turn_model=speech.turn_model,
            completeness=complete,
            voice=speech.phrases,
            voice_judge=SpeechModel(),
            tap=tap,
            on_event=on_event,
            clock=time.monotonic,
            on_late=lambda: self._metrics.frames_late(FRAMES_A_CHUNK),
        )


class _OnEdition:
    """A session that keeps its edition alive while it runs, and tells when it has ended."""

    def __init__(
        self, session: CallSession, edition: Edition, editions: Editions, ended: Callable[[], Awaitable[None]]
    ) -> None:
        self._session = session
        self._edition = edition
        self._editions = editions
        self._ended = ended

    async def run(self) -> None:
        async with self._editions.held(self._edition):
            try:
                await self._session.run()
            finally:
                await self._ended()

    def must_end(self, why: str) -> None:
        self._session.must_end(why)


def _title(bot: Bot, intent: str) -> str:
    """Return how callers hear an intent named; nothing for a wish to speak with a person, which says nothing yet."""
    known = bot.intents_by_name.get(intent)
    if known is None or known.flow is None or intent == bot.commands.person:
        return ""
    return bot.flows[known.flow].title


def standing_prompts(bot: Bot) -> StandingPrompts:
    """Return what a call says when something fails, in the bot's words."""
    patterns = bot.patterns
    return StandingPrompts(
        one_moment=patterns.one_moment.static_texts[0],
        voice_trouble=patterns.voice_trouble.static_texts[0],
        internal_trouble=patterns.broken.static_texts[0],
    )
