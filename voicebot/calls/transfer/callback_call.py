"""A call that we made to keep a promise: whoever answers says that they are there, and is handed over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from voicebot.calls.party_line import PartyLine
from voicebot.calls.said import Unheard
from voicebot.calls.seams import Journal, Meter, Recording, SpokenLine, Understanding
from voicebot.calls.transfer.held_caller import HeldCaller
from voicebot.calls.transfer.seams import MakeTalk, Said, not_written
from voicebot.calls.transfer.transfer import Outcome as TransferOutcome
from voicebot.calls.transfer.transfer import Transfer
from voicebot.calls.turns import TurnLog
from voicebot.dialog.events import Interpretation
from voicebot.dialog.expectation import AnswerKind, Expectation, KeyEntry
from voicebot.dialog.recording import Consent
from voicebot.media.events import CallerTurn, LineEnded, LineEvent
from voicebot.media.tapped import TappedLeg
from voicebot.records.record import Outcome
from voicebot.telephony.dialing import Suspected
from voicebot.telephony.leg import CallLeg, HangUpReason

log = structlog.get_logger(__name__)

#: After the hello, how long to wait for a yes; no yes is taken for voicemail.
ANSWER_S = 8.0
#: How long the last words may take to be heard.
GOODBYE_LIMIT_S = 20.0
_THERE = Expectation("callback.there", (AnswerKind.YES_NO,), keys=KeyEntry(1, 1), no_input_s=60.0)


@dataclass(frozen=True, slots=True)
class CallbackPlan:
    """What is fixed when the callback is answered; `hello` is what is said first.

    `following` is said to whoever gives no sign of being there: what we do next. `unwanted` answers a no. `announced`
    says whether `hello` tells of the recording. `recording_path` is None for a call that is not recorded.
    """

    call_id: str
    recording_path: str | None
    flow_version: str
    hello: str
    following: str
    unwanted: str
    announced: bool = False


class CallbackCall:
    """One callback that was answered. `make_transfer` hands the callee over once they said that they are there."""

    def __init__(
        self,
        plan: CallbackPlan,
        leg: CallLeg,
        *,
        make_line: Callable[[Callable[[LineEvent], None]], SpokenLine],
        make_transfer: Callable[[HeldCaller], Transfer],
        understanding: Understanding,
        journal: Journal,
        meter: Meter,
        recording: Recording,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        make_talk: MakeTalk = not_written,
    ) -> None:
        self._plan = plan
        self._leg = leg
        self._make_transfer = make_transfer
        self._understanding = understanding
        self._journal = journal
        self._recording = recording
        self._now = now
        self._events: asyncio.Queue[LineEvent] = asyncio.Queue()
        self._line = PartyLine(make_line, tell=self._events.put_nowait, clock=clock)
        started_s = clock()
        self._turns = TurnLog(plan.call_id, journal, meter, started_s)
        self._talk = make_talk(journal, started_s)
        unheard = Unheard(self._line, leg, self._turns)
        self._caller = HeldCaller(
            TappedLeg(leg, recording, clock), self._line, unheard, self._interpret, talk=self._talk
        )
        self._transfer: Transfer | None = None
        self._there: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()

    async def run(self) -> bool:
        """Carry the call to its end; True when the callee was there: what came of it then is arranged with them.

        One who says no does not want to be called back any more.
        """
        self._journal.begin_call(self._plan.call_id, self._leg.info, self._now(), self._plan.flow_version)
        if self._plan.recording_path is not None:
            self._journal.note_recording(self._plan.call_id, self._plan.recording_path)
            if self._plan.announced:
                self._journal.note_consent(self._plan.call_id, Consent.ANNOUNCED, 0)
        self._line.start()
        listening = asyncio.create_task(self._listen())
        outcome: TransferOutcome | None = None
        there: bool | None = None
        try:
            there = await self._is_there()
            if there:
                if isinstance(self._leg, Suspected):
                    self._leg.confirm()
                self._transfer = self._make_transfer(self._caller)
                outcome = await self._transfer.run()
            elif not self._caller.has_gone:
                await self._say_what_follows(unwanted=there is False)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await self._line.step_aside()
            await self._leg.hang_up(HangUpReason.COMPLETED)
            ended_at = self._now()
            await self._talk.close()
            self._turns.close()
            self._recording.close()
            ended = Outcome.PERSON if outcome and outcome.talked else Outcome.SILENT
            result = "unwanted" if there is False else "not_there"
            self._journal.end_call(self._plan.call_id, ended_at, ended, outcome.ending if outcome else result)
        # Whoever got another callback, or anything else instead, is not called for this one again.
        return outcome is not None or there is False

    async def _say_what_follows(self, *, unwanted: bool) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_LIMIT_S):
                if unwanted:
                    await self._caller.say("callback.unwanted", self._plan.unwanted)
                else:
                    await self._caller.say("callback.following", self._plan.following)

    # As the transfer before the transfer: what the callee says is whether they are there.

    def caller_said(self, said: Said) -> bool:
        """Take an answer to the hello."""
        meant = said.readings[0].affirmative if said.readings else None
        if said.keys:
            meant = said.keys == "1"
        if meant is None or self._there.done():
            return False
        self._there.set_result(meant)
        return True

    async def _is_there(self) -> bool | None:
        """Return what the callee said to the hello; None when it was nothing, or they have hung up."""
        await self._caller.listen(_THERE)
        saying = asyncio.create_task(self._caller.say("callback.hello", self._plan.hello))
        try:
            either: set[asyncio.Future[Any]] = {saying, self._there}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not self._there.done():
                await asyncio.wait({self._there}, timeout=ANSWER_S)
        finally:
            if not saying.done():
                await self._caller.hush()
            await asyncio.gather(saying, return_exceptions=True)
        return self._there.result() if self._there.done() else None

    async def _listen(self) -> None:
        while True:
            event = await self._events.get()
            if isinstance(event, LineEnded):
                self._caller.gone()
                if not self._there.done():
                    self._there.set_result(None)
                if self._transfer is not None:
                    self._transfer.caller_left()
            else:
                await self._caller.take(event, self._transfer or self)

    def _interpret(self, turn: CallerTurn, expectation: Expectation) -> tuple[Interpretation, ...]:
        heard = [(hypothesis.text, hypothesis.confidence) for hypothesis in turn.final.hypotheses]
        return self._understanding.interpret(heard, expectation, self._now()) if heard else ()
