"""An agent on an open line: told things, asked, and watched."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import structlog

from voicebot.calls.transfer.briefing import Briefing
from voicebot.errors import EngineUnavailable
from voicebot.media.background import play
from voicebot.routing.queues import Failure
from voicebot.telephony.leg import CallLeg, KeyPressed, LegEnded

log = structlog.get_logger(__name__)


class AgentParty:
    """`brief` gives the leg ears and a voice for one exchange; in between nobody reads it."""

    def __init__(
        self,
        leg: CallLeg,
        brief: Callable[[CallLeg], Briefing],
        *,
        render: Callable[[str], AsyncIterator[bytes]],
        clock: Callable[[], float],
    ) -> None:
        """`render` makes mu-law of a text, as `voicebot.media.speaking.Voice` does."""
        self._leg = leg
        self._brief = brief
        self._render = render
        self._clock = clock

    @property
    def leg(self) -> CallLeg:
        return self._leg

    async def ask(self, introduction: str, question: str, *, accept_s: float) -> Failure | None:
        """Introduce a call; None when the agent takes it."""
        return await self._brief(self._leg).ask(introduction, question, accept_s=accept_s)

    async def tell(self, text: str, *, limit_s: float) -> None:
        await self._brief(self._leg).tell(text, limit_s=limit_s)

    async def entertain(self, text: str, music: Callable[[], bytes]) -> None:
        """Say something and play music, stretch after stretch, until cancelled; what they do is read by others."""
        await play(self._leg, self._entertainment(text, music), clock=self._clock)

    async def _entertainment(self, text: str, music: Callable[[], bytes]) -> AsyncIterator[bytes]:
        try:
            async for audio in self._render(text):
                yield audio
        except EngineUnavailable as error:
            log.warning("an agent hears music without a word", problem=str(error))
        while True:
            yield music()

    async def gone(self, pressed: Callable[[str], None] = lambda _key: None) -> None:
        """Return when the line ends; of what comes over it meanwhile only keys are for anybody."""
        async for event in self._leg.events():
            if isinstance(event, KeyPressed):
                pressed(event.key)
            if isinstance(event, LegEnded):
                return
