"""How a transfer asks the caller's session to run a flow with them, and calls it off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from voicebot.calls.transfer.seams import FlowRun


@dataclass(frozen=True, slots=True)
class StepWanted:
    """The bot is to run `flow` with the caller; `over` gets what came of it, and is cancelled to call it off."""

    flow: str
    over: asyncio.Future[FlowRun]


@dataclass(frozen=True, slots=True)
class StepCalledOff:
    """Nobody waits for the step any more."""


#: Runs a flow with the caller and returns what came of it.
RunFlow = Callable[[str], Awaitable[FlowRun]]


def asked_by(tell: Callable[[StepWanted | StepCalledOff], None]) -> RunFlow:
    """Return what asks a session for a step, and calls it off when it is cancelled."""

    async def run(flow: str) -> FlowRun:
        over: asyncio.Future[FlowRun] = asyncio.get_running_loop().create_future()
        tell(StepWanted(flow, over))
        try:
            return await over
        finally:
            if over.cancelled():
                tell(StepCalledOff())

    return run
