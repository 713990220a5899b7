"""Makes the transfer of each call from what lives as long as the server."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from weakref import WeakSet

import structlog
from sqlalchemy.exc import SQLAlchemyError

from voicebot.calls.transfer.dial_on import NoOnward, Onward
from voicebot.calls.transfer.elsewhere import Elsewhere, Ways
from voicebot.calls.transfer.floor import ContactCentre
from voicebot.calls.transfer.handing_over import MakePacket
from voicebot.calls.transfer.held_caller import HeldCaller
from voicebot.calls.transfer.seams import CallerSide, Lines, Party, Place, TalkLine, TalkNews
from voicebot.calls.transfer.transfer import Transfer
from voicebot.dialog.actions import Takeover, TransferTo
from voicebot.records.context import ContextPacket
from voicebot.records.summary import introduction
from voicebot.routing.events import (
    AgentHeld,
    AgentLeft,
    BotAskedBack,
    BotCalledOff,
    Claim,
    Event,
    SentOn,
    ThirdAsked,
    ThirdCalledOff,
)
from voicebot.routing.queues import Choice, Queue
from voicebot.telephony.leg import CallLeg, LegInfo

log = structlog.get_logger(__name__)

#: Whoever is called back has waited already.
CALLED_BACK_PRIORITY = 100
#: Whoever cannot wait comes before everybody.
URGENT_PRIORITY = 1000
#: An agent who is to take somebody at once hears so much of them.
URGENT_WORDS = 12


def _urgent_introduction(packet: ContextPacket) -> str:
    said = introduction(packet, most_words=URGENT_WORDS)
    return f"Urgent. {said}"


class TransferDesk:
    """`make_party` gives an agent's leg ears and a voice; `music` is mu-law. `now` is in the bot's zone.

    `show` tells an agent's desk how the call they have stands, None once they have it no more; `said` what is said.
    """

    def __init__(
        self,
        centre: ContactCentre,
        lines: Lines,
        *,
        make_party: Callable[[CallLeg], Party],
        music: bytes,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        elsewhere: Elsewhere = Ways(()),  # noqa: B008  # it holds nothing
        onward: Onward = NoOnward(),  # noqa: B008  # it holds nothing
        show: Callable[[Claim, TalkNews | None], None] = lambda _claim, _news: None,
        said: Callable[[Claim, TalkLine], None] = lambda _claim, _line: None,
    ) -> None:
        self._said = said
        self._show = show
        self._centre = centre
        self._lines = lines
        self._make_party = make_party
        self._music = music
        self._clock = clock
        self._now = now
        self._elsewhere = elsewhere
        self._onward = onward
        self._transfers: WeakSet[Transfer] = WeakSet()

    def make(
        self, wanted: TransferTo, caller: HeldCaller, packet: MakePacket, *, call_id: str, info: LegInfo, tier: str
    ) -> Transfer:
        """Make the transfer that a dialog asked for."""
        routing = self._centre.routing
        queue = routing.queue_for(wanted.topic)
        priority = routing.priority(queue, tier=tier, topic=wanted.topic, urgency=wanted.urgency)
        instead = Choice.CALLBACK if wanted.by is Takeover.CALLBACK else None
        introduce: Callable[[ContextPacket], str] = introduction
        if wanted.by is Takeover.DIRECT_LINE:
            priority += URGENT_PRIORITY
            introduce = _urgent_introduction
        place = Place(secrets.token_hex(16), call_id, info.caller, priority, self._now())

        def make_packet(queue_name: str) -> ContextPacket:
            return packet(queue_name, priority)

        return self._transfer(place, queue, caller, make_packet, instead=instead, introduce=introduce)

    def make_again(self, queue: Queue, caller: CallerSide, packet: ContextPacket, *, call_id: str) -> Transfer:
        """Make the transfer of somebody who was called back: they come first, with what was known before."""
        place = Place(secrets.token_hex(16), call_id, packet.customer.number, CALLED_BACK_PRIORITY, self._now())
        # What comes of this call, another callback or a message, must find the packet by this call.
        known = replace(packet, call_id=call_id)
        return self._transfer(place, queue, caller, lambda _queue: known)

    async def note_written(self, record_id: str, number: str) -> None:
        """Put a customer who writes and wants a person on the desks' list with the conversation; nothing is dialled."""
        routing = self._centre.routing
        place = Place(secrets.token_hex(16), record_id, number, 0, self._now())
        try:
            await self._centre.note(place, routing.queue_for(""))
        except SQLAlchemyError as error:
            # The conversation's own record tells of the wish; it must not break for the list.
            log.error("a wish for a person was not noted", call_id=record_id, error=type(error).__name__)

    def _transfer(
        self,
        place: Place,
        queue: Queue,
        caller: CallerSide,
        packet: Callable[[str], ContextPacket],
        *,
        instead: Choice | None = None,
        introduce: Callable[[ContextPacket], str] = introduction,
    ) -> Transfer:
        transfer = Transfer(
            place,
            queue.name,
            instead=instead,
            caller=caller,
            floor=self._centre,
            lines=self._lines,
            make_party=self._make_party,
            packet=packet,
            introduction=introduce,
            wording=self._centre.routing.wording,
            music=self._music,
            clock=self._clock,
            now=self._now,
            elsewhere=self._elsewhere,
            onward=self._onward,
            show=self._show,
            said=self._said,
        )
        self._transfers.add(transfer)
        return transfer

    # --- what an agent does who has a caller; each is False when they have not, or not any more

    def hold(self, agent_id: str, token: int, *, held: bool) -> bool:
        """Give the caller music, or take them back."""
        claim = Claim(agent_id, token)
        return self._tell(claim, AgentHeld(claim, held))

    def send_on(self, agent_id: str, token: int, queue: str, *, to: str = "") -> bool:
        """Have another queue take the caller, or an agent of it first; the agent is free."""
        claim = Claim(agent_id, token)
        return self._is_served(queue, to) and self._tell(claim, SentOn(claim, queue, to))

    def lend(self, agent_id: str, token: int, flow: str) -> bool:
        """Have the bot run a flow with the caller."""
        claim = Claim(agent_id, token)
        return self._tell(claim, BotAskedBack(claim, flow))

    def take_back(self, agent_id: str, token: int) -> bool:
        """Take the caller back from the bot, which is not done."""
        claim = Claim(agent_id, token)
        return self._tell(claim, BotCalledOff(claim))

    def invite(self, agent_id: str, token: int, queue: str, *, who: str = "") -> bool:
        """Ask somebody of a queue into the call, or one agent of it."""
        claim = Claim(agent_id, token)
        return self._is_served(queue, who) and self._tell(claim, ThirdAsked(claim, queue, who))

    def let_third_go(self, agent_id: str, token: int) -> bool:
        """Let the third party go, or ask for none any more."""
        claim = Claim(agent_id, token)
        return self._tell(claim, ThirdCalledOff(claim))

    def finish(self, agent_id: str, token: int, *, survey: bool = False) -> bool:
        """End the agent's part, as hanging up would; with a `survey` the caller is asked how it was."""
        claim = Claim(agent_id, token)
        return self._tell(claim, AgentLeft(claim, survey=survey))

    def _is_served(self, queue: str, agent_id: str) -> bool:
        """Tell whether there is such a queue, and the agent, if one is named, serves it."""
        found = self._centre.routing.queues.get(queue)
        return found is not None and (not agent_id or self._centre.routing.serves(agent_id, found))

    def _tell(self, claim: Claim, event: Event) -> bool:
        for transfer in self._transfers:
            if transfer.claim == claim:
                transfer.tell(event)
                return True
        return False
