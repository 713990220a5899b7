"""An agent on an open line: told things, asked, and watched."""

from __future__ import annotations

from collections.abc import Callable

from voicebot.calls.transfer.briefing import Briefing
from voicebot.routing.queues import Failure
from voicebot.telephony.leg import CallLeg, KeyPressed, LegEnded


class AgentParty:
    """`brief` gives the leg ears and a voice for one exchange; in between nobody reads it."""

    def __init__(self, leg: CallLeg, brief: Callable[[CallLeg], Briefing]) -> None:
        self._leg = leg
        self._brief = brief

    @property
    def leg(self) -> CallLeg:
        return self._leg

    async def ask(self, introduction: str, question: str, *, accept_s: float) -> Failure | None:
        """Introduce a call; None when the agent takes it."""
        return await self._brief(self._leg).ask(introduction, question, accept_s=accept_s)

    async def tell(self, text: str, *, limit_s: float) -> None:
        await self._brief(self._leg).tell(text, limit_s=limit_s)

    async def gone(self, pressed: Callable[[str], None] = lambda _key: None) -> None:
        """Return when the line ends; of what comes over it meanwhile only keys are for anybody."""
        async for event in self._leg.events():
            if isinstance(event, KeyPressed):
                pressed(event.key)
            if isinstance(event, LegEnded):
                return
