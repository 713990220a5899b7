"""What an agent who has the caller may do with them: hold, lend to the bot, ask somebody in, leave to somebody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import assert_never

import structlog

from voicebot.calls.transfer.agent_keys import AgentKey
from voicebot.calls.transfer.agent_side import AgentSide
from voicebot.calls.transfer.bots_place import BotsPlace
from voicebot.calls.transfer.errands import Errands
from voicebot.calls.transfer.seams import CallerSide, FlowRun, TalkNews
from voicebot.calls.transfer.sounds import Sounds
from voicebot.records.context import ContextPacket
from voicebot.routing.actions import DropThird, Hold, InviteThird, JoinedAction, JoinThird, Promote, RunBot
from voicebot.routing.events import (
    AgentFailed,
    AgentHeld,
    AgentLeft,
    BotAskedBack,
    BotCalledOff,
    BotFinished,
    Claim,
    Event,
    SentOn,
    ThirdAsked,
    ThirdCalledOff,
    ThirdLeft,
)
from voicebot.routing.handover_state import Handover, Phase
from voicebot.routing.queues import Failure, Queue
from voicebot.routing.wording import Wording

log = structlog.get_logger(__name__)


class Joined:
    """Carries out what the table says of a joined call. `tell` gets what comes of it."""

    def __init__(
        self,
        caller: CallerSide,
        agent: AgentSide,
        *,
        place: BotsPlace,
        sounds: Sounds,
        wording: Wording,
        errands: Errands,
        tell: Callable[[Event], None],
        show: Callable[[Claim, TalkNews | None], None],
    ) -> None:
        """`show` tells an agent's desk how their call stands, and that it is over."""
        self._show = show
        #: The agent whose desk shows the call.
        self._shown: Claim | None = None
        self._caller = caller
        self._agent = agent
        self._place = place
        self._sounds = sounds
        self._wording = wording
        self._errands = errands
        self._tell = tell
        self._step: asyncio.Task[None] | None = None
        self._flow = ""
        self._run: FlowRun | None = None
        self._failed: Failure | None = None

    async def do(self, action: JoinedAction, state: Handover, packet: ContextPacket, *, wrap_up_s: float) -> None:
        """Do what the table wants, which stands at `state` then; an agent who goes has `wrap_up_s`."""
        held = state.phase is Phase.HELD
        match action:
            case Hold(claim, on):
                await self._hold(claim, held=on)
            case RunBot(claim, flow):
                await self._run_bot(claim, flow)
            case InviteThird(queue, agent):
                self._agent.invite(queue, packet, only=agent)
            case JoinThird(third):
                if state.claim is not None:
                    await self._join_third(state.claim, third, held=held)
            case DropThird():
                going_on = state.claim if held or state.phase is Phase.JOINED else None
                await self._drop_third(going_on, held=held, wrap_up_s=wrap_up_s)
            case Promote(third):
                await self._promote(third)
            case _:
                assert_never(action)

    def show(self, state: Handover) -> None:
        """Tell the desk of the agent who has the caller how it stands, and one who had them that it is over."""
        claim, news = state.claim, self._news(state)
        if self._shown != claim:
            self.hide()
        if claim is not None and news is not None:
            self._shown = claim
            self._show(claim, news)

    def hide(self) -> None:
        """Tell the desk that shows the call that it is over."""
        shown, self._shown = self._shown, None
        if shown is not None:
            self._show(shown, None)

    def _news(self, state: Handover) -> TalkNews | None:
        """Return what the agent's desk shows of the call; None while they have no caller."""
        if state.claim is None or state.phase not in {Phase.JOINED, Phase.HELD, Phase.WITH_BOT}:
            return None
        third = self._agent.third_name if state.third else ""
        writing = self._caller.talk.note
        return TalkNews(state.phase.value, state.inviting, third, self._flow, self._run, self._failed, writing)

    def third_failed(self, failure: Failure) -> None:
        """Keep for the desk why nobody came."""
        self._failed = failure

    async def _hold(self, claim: Claim, *, held: bool) -> None:
        """Give the caller music while the agent is elsewhere, or join them again."""
        if not self._agent.reached:
            return
        await self._agent.stop_work()
        await self._stop_step()
        if held:
            await self._place.come_back()
            await self._sounds.play(self._sounds.wait_with_music(None, self._still_there))
            self._agent.wait(claim)
        else:
            await self._place.step_aside()
            self._agent.join(claim, self._caller.leg)

    async def _still_there(self) -> str:
        return self._wording.text("on_hold", agent=self._agent.name)

    # --- the bot's step

    async def _run_bot(self, claim: Claim, flow: str) -> None:
        """Have the bot run a flow with the caller, of whom the agent hears nothing meanwhile."""
        await self._agent.stop_work()
        await self._place.come_back()
        self._agent.wait(claim, self._wording.text("bot_has_caller"))
        self._flow, self._run = flow, None
        self._step = self._errands.start(self._run_step(flow))

    async def _run_step(self, flow: str) -> None:
        await self._sounds.play(self._lead_in())
        await self._sounds.finished()
        self._run = await self._caller.run_flow(flow)
        log.info("a flow was run for an agent", flow=flow, done=self._run.done, reached=self._run.reached)
        self._tell(BotFinished())

    async def _lead_in(self) -> None:
        await self._caller.say("transfer.bot_step", self._wording.text("bot_step", agent=self._agent.name))

    async def _stop_step(self) -> None:
        step, self._step = self._step, None
        if step is not None and not step.done():
            step.cancel()
            await asyncio.gather(step, return_exceptions=True)

    # --- somebody else in the call

    async def _join_third(self, claim: Claim, third: Claim, *, held: bool) -> None:
        self._failed = None
        if await self._agent.take_third(third):
            self._rejoin(claim, held=held)
        else:
            self._tell(ThirdLeft(third))

    async def _drop_third(self, claim: Claim | None, *, held: bool, wrap_up_s: float) -> None:
        """Let the third go; `claim` is the agent who goes on, None when the call is over."""
        had_third = self._agent.has_third
        await self._agent.drop_third(wrap_up_s=wrap_up_s)
        if claim is not None and had_third:
            self._rejoin(claim, held=held)

    async def _promote(self, third: Claim) -> None:
        """Leave the caller, on hold or not, to the third."""
        if not await self._agent.promote(third):
            self._tell(AgentFailed(third, Failure.CLAIM_LOST))
            return
        if not self._place.aside:
            await self._place.step_aside()
        self._agent.join(third, self._caller.leg)

    def _rejoin(self, claim: Claim, *, held: bool) -> None:
        if held:
            self._agent.wait(claim)
        else:
            self._agent.join(claim, self._caller.leg)


def commanded(key: AgentKey, claim: Claim, state: Handover, queue: Queue) -> Event | None:
    """Return what a key of the agent's telephone means as the call stands; None when it means nothing."""
    match key:
        case AgentKey.HOLD:
            return AgentHeld(claim, held=state.phase is not Phase.HELD)
        case AgentKey.STEP:
            if state.phase is Phase.WITH_BOT:
                return BotCalledOff(claim)
            return BotAskedBack(claim, queue.step) if queue.step else None
        case AgentKey.THIRD:
            if state.inviting or state.third:
                return ThirdCalledOff(claim)
            return ThirdAsked(claim, queue.overflow or queue.name)
        case AgentKey.SEND_ON:
            return SentOn(claim, queue.overflow) if queue.overflow else None
        case AgentKey.SURVEY:
            return AgentLeft(claim, survey=True)
        case _:
            assert_never(key)
