"""The caller's line in the hands of a transfer: the session's own ears and voice, without its dialog."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Protocol

from voicebot.calls.party_line import PartyLine
from voicebot.calls.said import Unheard
from voicebot.calls.transfer.seams import FlowRun, Said, Talk
from voicebot.calls.transfer.steps import RunFlow
from voicebot.dialog.actions import PromptPart, Say
from voicebot.dialog.events import Interpretation
from voicebot.dialog.expectation import Expectation
from voicebot.media.events import (
    CallerTurn,
    KeysEntered,
    LineEvent,
    RecognitionFailed,
    SpeakingBegan,
    SpeakingEnded,
    TalkedTooLong,
    VoiceFailed,
)
from voicebot.media.frames import Utterance
from voicebot.telephony.leg import CallLeg


class Listening(Protocol):
    """Whoever the caller speaks to; `Transfer` most of the time."""

    def caller_said(self, said: Said) -> bool: ...


#: Reads a turn as what was expected.
Interpret = Callable[[CallerTurn, Expectation], tuple[Interpretation, ...]]


class HeldCaller:
    """A `CallerSide`. The session gives `take` what happens on the line; sounds return once heard or cut."""

    def __init__(
        self,
        leg: CallLeg,
        line: PartyLine,
        unheard: Unheard,
        interpret: Interpret,
        *,
        talk: Talk,
        run_flow: RunFlow | None = None,
    ) -> None:
        """Without `run_flow` there is no dialog that could run one."""
        self._leg = leg
        self._talk = talk
        self._line = line
        self._unheard = unheard
        self._interpret = interpret
        self._run_flow = run_flow
        self._expectation: Expectation | None = None
        self._sounding: dict[str, asyncio.Future[None]] = {}
        self._gone = False
        self._music = itertools.count(1)

    @property
    def leg(self) -> CallLeg:
        return self._leg

    @property
    def talk(self) -> Talk:
        return self._talk

    async def say(self, prompt: str, text: str, *, personal: bool = False) -> None:
        utterance_id = await self._unheard.say(Say(prompt, (PromptPart(text, static=not personal),), personal=personal))
        await self._heard(utterance_id)

    async def play(self, audio: bytes) -> None:
        utterance_id = f"m{next(self._music)}"
        await self._line.say(Utterance(utterance_id, (), audio=audio))
        await self._heard(utterance_id)

    def gone(self) -> None:
        """The caller has hung up: nothing will be heard any more."""
        self._gone = True
        for sounding in self._sounding.values():
            if not sounding.done():
                sounding.set_result(None)

    @property
    def has_gone(self) -> bool:
        return self._gone

    async def _heard(self, utterance_id: str) -> None:
        if self._gone:
            return
        sounding = self._sounding[utterance_id] = asyncio.get_running_loop().create_future()
        try:
            await sounding
        finally:
            self._sounding.pop(utterance_id, None)

    async def hush(self) -> None:
        await self._line.stop_speaking()

    async def listen(self, expectation: Expectation | None) -> None:
        self._expectation = expectation
        await self._line.listen(expectation)

    async def step_aside(self) -> None:
        self._expectation = None
        await self._line.step_aside()

    async def come_back(self) -> None:
        self._line.come_back()

    async def run_flow(self, flow: str) -> FlowRun:
        return await self._run_flow(flow) if self._run_flow else FlowRun(done=False)

    async def take(self, event: LineEvent, transfer: Listening) -> None:
        """Take what happened on the line; what the caller says over music and means nothing by lets it go on."""
        match event:
            case SpeakingEnded(utterance_id) | VoiceFailed(utterance_id):
                if isinstance(event, SpeakingEnded):
                    self._unheard.ended(event)
                else:
                    self._unheard.failed(utterance_id)
                if (sounding := self._sounding.get(utterance_id)) is not None and not sounding.done():
                    sounding.set_result(None)
            case SpeakingBegan():
                self._unheard.began(event)
            case KeysEntered(keys=keys):
                transfer.caller_said(Said(keys))
            case CallerTurn():
                expectation = self._expectation
                readings = self._interpret(event, expectation) if expectation else ()
                taken = transfer.caller_said(Said(readings=readings)) if readings else False
                if event.over_prompt:
                    await (self._line.stop_speaking() if taken else self._line.resume_speaking())
            case RecognitionFailed():
                await self._line.resume_speaking()
            case TalkedTooLong(over_prompt=over_prompt):
                if over_prompt:
                    await self._line.resume_speaking()
            case _:
                pass
