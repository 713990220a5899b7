"""The bot runs one flow with a caller whom a transfer has, and gives them back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.calls.stage import OPEN, PIN, Stage, say
from voicebot.calls.transfer.handing_over import MakePacket
from voicebot.calls.transfer.held_caller import HeldCaller
from voicebot.calls.transfer.seams import FlowRun, Said
from voicebot.calls.transfer.transfer import Outcome
from voicebot.dialog.actions import Action, EndCall, Listen, SetGoal, TransferTo
from voicebot.dialog.events import CallerPressed, CallerSpoke, CallStarted, Event
from voicebot.media.events import KeysEntered
from voicebot.routing.actions import Ending
from voicebot.telephony.leg import LegInfo

pytestmark = pytest.mark.virtual_time


@dataclass
class LendingTransfer:
    """Has the bot run a flow, once; what the caller does otherwise is for the transfer."""

    caller: HeldCaller
    run_it: Callable[[HeldCaller], Awaitable[FlowRun | None]]
    said: list[Said] = field(default_factory=list)
    came: FlowRun | None = None
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> Outcome:
        self.came = await self.run_it(self.caller)
        await self.caller.listen(OPEN)
        await self.left.wait()
        return Outcome(Ending.CALLER_LEFT, "Ana", talked=True)

    def caller_said(self, said: Said) -> bool:
        self.said.append(said)
        return True

    def caller_left(self) -> None:
        self.left.set()

    def must_end(self) -> None:
        """The caller has an agent."""


class Lending:
    """The `Transfers` of a session."""

    def __init__(self, run_it: Callable[[HeldCaller], Awaitable[FlowRun | None]]) -> None:
        self._run_it = run_it
        self.made: list[LendingTransfer] = []

    def make(
        self, wanted: TransferTo, caller: HeldCaller, packet: MakePacket, *, call_id: str, info: LegInfo, tier: str
    ) -> Any:
        del wanted, packet, call_id, info, tier
        self.made.append(LendingTransfer(caller, self._run_it))
        return self.made[0]


def payment(event: Event) -> Sequence[Action]:
    """The main dialog hands over at once; the flow asks for a PIN, and is done with it."""
    match event:
        case CallStarted(earlier_calls={"main": _}):
            return [TransferTo("asked")]
        case CallStarted():
            return [say("your PIN"), Listen(PIN)]
        case CallerPressed(keys="0"):
            return [TransferTo("asked"), say("a colleague will see it"), EndCall("person")]
        case CallerPressed():
            return [SetGoal("pay", reached=True), say("paid"), EndCall("completed")]
        case CallerSpoke():
            return [say("go on"), Listen(PIN)]
        case _:
            return []


async def called_before(_caller: str) -> dict[str, int]:
    return {"main": 1}


@asynccontextmanager
async def lent(run_it: Callable[[HeldCaller], Awaitable[FlowRun | None]]) -> AsyncIterator[tuple[Stage, Lending]]:
    lending = Lending(run_it)
    stage = Stage(payment, transfers=lending, history=called_before)
    try:
        yield stage, lending
    finally:
        stage.leg.end()
        await stage.finish()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def keys(stage: Stage, pressed: str) -> None:
    stage.line.on_event(KeysEntered(pressed, 0.0, began_s=0.0))


async def run_payment(caller: HeldCaller) -> FlowRun:
    return await caller.run_flow("payment")


async def test_a_flow_is_run_to_its_end_and_the_caller_given_back() -> None:
    async with lent(run_payment) as (stage, lending):
        await until(lambda: stage.tape.secrets == [True])
        keys(stage, "4071")
        await until(lambda: bool(lending.made) and lending.made[0].came is not None)
        assert lending.made[0].came == FlowRun(done=True, reached=("pay",))
        assert stage.dialog.asides == ["payment"]
        assert stage.leg.hung_up is None, "the call goes on"
        assert stage.tape.secrets == [True, False]
        assert all("4071" not in turn.text for turn in stage.journal.turns)
        # From now on the caller speaks to the transfer again.
        keys(stage, "5")
        await until(lambda: lending.made[0].said == [Said("5")])


async def test_who_wants_a_person_in_the_step_gets_the_one_who_waits() -> None:
    async with lent(run_payment) as (stage, lending):
        await until(lambda: stage.tape.secrets == [True])
        keys(stage, "0")
        await until(lambda: bool(lending.made) and lending.made[0].came is not None)
        assert lending.made[0].came == FlowRun(done=False, wants_person=True)
        assert stage.tape.secrets == [True, False], "the recording goes on"
        assert "a colleague will see it" not in [turn.text for turn in stage.journal.turns]


async def test_a_step_that_is_called_off_leaves_nothing_silent_or_secret() -> None:
    async def for_a_while(caller: HeldCaller) -> None:
        try:
            async with asyncio.timeout(0.3):
                await caller.run_flow("payment")
        except TimeoutError:
            return

    async with lent(for_a_while) as (stage, lending):
        await until(lambda: stage.tape.secrets == [True])
        await until(lambda: stage.tape.secrets == [True, False])
        keys(stage, "5")
        await until(lambda: lending.made[0].said == [Said("5")])


async def test_a_flow_that_does_not_exist_comes_to_nothing() -> None:
    async def unknown(caller: HeldCaller) -> FlowRun:
        return await caller.run_flow("missing")

    async with lent(unknown) as (_, lending):
        await until(lambda: bool(lending.made) and lending.made[0].came == FlowRun(done=False))


async def test_a_caller_who_hangs_up_in_the_step_ends_the_call() -> None:
    async with lent(run_payment) as (stage, _):
        await until(lambda: stage.tape.secrets == [True])
        stage.leg.end()
        await stage.finish()
        assert stage.journal.ends == 1
        assert stage.tape.secrets == [True, False]
