"""An agent hears who calls and why, and decides: by key or by voice. Only a yes joins them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Literal

from voicebot.calls.party_line import PartyLine
from voicebot.calls.seams import SpokenLine, Understanding
from voicebot.dialog.expectation import AnswerKind, Expectation, KeyEntry
from voicebot.media.events import (
    CallerTurn,
    KeysEntered,
    LineEnded,
    LineEvent,
    RecognitionFailed,
    SpeakingEnded,
    TalkedTooLong,
    VoiceFailed,
)
from voicebot.media.frames import Utterance
from voicebot.routing.queues import Failure
from voicebot.telephony.leg import CallLeg, EndCause

ACCEPT_KEY, DECLINE_KEY = "1", "2"
#: The introduction may take so long, whatever the voice makes of it.
INTRODUCTION_LIMIT_S = 12.0

_QUESTION = Expectation(
    "transfer.accept",
    (AnswerKind.YES_NO,),
    keys=KeyEntry(1, 1),
    no_input_s=60.0,
)


class Briefing:
    """Talks to one agent on their leg. `make_line` gives it ears and a voice; `now` is wall-clock time."""

    def __init__(
        self,
        leg: CallLeg,
        *,
        make_line: Callable[[CallLeg, Callable[[LineEvent], None]], SpokenLine],
        understanding: Understanding,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._events: asyncio.Queue[LineEvent] = asyncio.Queue()
        self._line = PartyLine(lambda tell: make_line(leg, tell), tell=self._events.put_nowait, clock=clock)
        self._understanding = understanding
        self._now = now
        self._clock = clock
        self.heard_s: float | None = None
        self.decided_s: float | None = None

    async def ask(self, introduction: str, question: str, *, accept_s: float) -> Failure | None:
        """Introduce the call and return why the agent does not take it, None when they accepted.

        They may decide at once; `accept_s` counts from the end of the introduction. Silence is taken for voicemail.
        """
        self._line.start()
        try:
            return await self._asked(introduction, question, accept_s)
        finally:
            await self._line.step_aside()

    async def tell(self, text: str, *, limit_s: float) -> None:
        """Say something and return once it was heard, or after `limit_s`."""
        self._line.start()
        try:
            async with asyncio.timeout(limit_s):
                await self._line.say(Utterance("t1", ((text, True),), interruptible=False))
                while not isinstance(await self._events.get(), SpeakingEnded | VoiceFailed | LineEnded):
                    pass
        except TimeoutError:
            pass
        finally:
            await self._line.step_aside()

    async def _asked(self, introduction: str, question: str, accept_s: float) -> Failure | None:
        await self._line.listen(_QUESTION)
        await self._line.say(Utterance("introduction", ((introduction, False),)))
        await self._line.say(Utterance("question", ((question, True),)))
        deadline_s = self._clock() + INTRODUCTION_LIMIT_S + accept_s
        while True:
            try:
                async with asyncio.timeout(deadline_s - self._clock()):
                    event = await self._events.get()
            except TimeoutError:
                return Failure.VOICEMAIL
            decided = await self._decision(event)
            if decided is not None:
                self.decided_s = self._clock()
                return None if decided is True else decided
            if isinstance(event, SpeakingEnded | VoiceFailed) and event.utterance_id == "introduction":
                self.heard_s = self._clock()
                deadline_s = self.heard_s + accept_s

    async def _decision(self, event: LineEvent) -> Failure | Literal[True] | None:
        match event:
            case KeysEntered(keys=keys):
                return True if keys == ACCEPT_KEY else Failure.DECLINED if keys == DECLINE_KEY else None
            case LineEnded(cause):
                return Failure.VOICEMAIL if cause is EndCause.VOICEMAIL else Failure.HUNG_UP
            case CallerTurn():
                heard = [(one.text, one.confidence) for one in event.final.hypotheses]
                readings = self._understanding.interpret(heard, _QUESTION, self._now()) if heard else ()
                meant = readings[0].affirmative if readings else None
                if meant is None:
                    await self._line.resume_speaking()
                    return None
                return True if meant else Failure.DECLINED
            case RecognitionFailed() | TalkedTooLong():
                await self._line.resume_speaking()
                return None
            case _:
                return None
