"""What an agent's page and the server say to each other over its WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, assert_never

import structlog
from aiohttp import WSMsgType

from voicebot.calls.transfer.desks import (
    BoardChanged,
    CallOffered,
    Desks,
    DeskSession,
    OfferWithdrawn,
    TalkChanged,
    TalkWritten,
)
from voicebot.calls.transfer.floor import ContactCentre
from voicebot.calls.transfer.seams import TalkNews
from voicebot.errors import RemoteProtocolError
from voicebot.records.access.sight import Sight
from voicebot.records.call_notes import CallNotes
from voicebot.records.callbacks import CallbackBook
from voicebot.records.context import context_document
from voicebot.routing.agents import Agent, ReachKind
from voicebot.web.access.guard import SeesCalls
from voicebot.web.desk.board_view import Board, desk_board, queues_of
from voicebot.web.desk.feed import BoardFeed
from voicebot.web.desk.messages import (
    Accept,
    CloseCallback,
    Decline,
    Finish,
    HoldCaller,
    Invite,
    LendCaller,
    PageMessage,
    SendOn,
    SetState,
    WriteNote,
    parse_page,
)
from voicebot.web.desk.neighbours import Neighbours, Talks, Wish, Wishes, asking
from voicebot.web.desk.wire import CloseCode, Wire
from voicebot.web.limits import RateLimit
from voicebot.web.tickets import Audience, Tickets

_log = structlog.get_logger(__name__)

#: From accepting to the open audio: the page may wait for the microphone's permission meanwhile.
TICKET_LIFETIME_S = 30.0
#: Which offer a ticket is for, at which server, and the page of which origin it was given to.
OFFER_CLAIM, SERVER_CLAIM, ORIGIN_CLAIM = "offer", "server", "origin"


@dataclass(frozen=True, slots=True)
class DeskParts:
    """What desks need of the contact centre. `server` is this server's name among its `neighbours`.

    `tickets` open audio; servers that are neighbours take each other's. `steps` are the flows that the bot can run for
    an agent, by title.
    """

    centre: ContactCentre
    desks: Desks
    talks: Talks
    callbacks: CallbackBook
    notes: CallNotes
    server: str
    tickets: Tickets
    neighbours: Neighbours
    steps: Callable[[], Mapping[str, str]]


class DeskConversation:
    """One open desk page of `agent`, loaded from `origin`, whose user sees the calls in `sight`."""

    def __init__(
        self,
        wire: Wire,
        agent: Agent,
        sight: Sight,
        *,
        parts: DeskParts,
        calls: SeesCalls,
        feed: BoardFeed,
        origin: str,
        audio_path: str,
        messages: RateLimit,
        on_violation: Callable[[str], None],
    ) -> None:
        self._wire = wire
        self._agent = agent
        self._sight = sight
        self._parts = parts
        self._calls = calls
        self._feed = feed
        self._origin = origin
        self._audio_path = audio_path
        self._messages = messages
        self._on_violation = on_violation

    async def run(self) -> None:
        """Talk with the page until it closes the socket; raises ConnectionError when it just goes away."""
        async with self._parts.desks.attached(self._agent.id) as session:
            tasks = [
                asyncio.create_task(self._pass_on(session)),
                asyncio.create_task(self._wire.show_board(self._view, self._feed)),
            ]
            try:
                await self._listen()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _view(self, board: Board) -> Mapping[str, Any]:
        call = board.call_of(self._agent.id)
        return desk_board(board, self._agent) | {"call": call.call_id if call else None, "steps": self._parts.steps()}

    # --- to the page

    async def _pass_on(self, session: DeskSession) -> None:
        async for event in session.events():
            match event:
                case CallOffered():
                    await self._offer(event)
                case OfferWithdrawn(claim, why):
                    await self._wire.tell({"type": "withdrawn", "token": claim.token, "why": why.value})
                case BoardChanged():
                    self._wire.changed.set()
                case TalkChanged(claim, news):
                    await self._wire.tell({"type": "talk", "token": claim.token, "talk": self._talk(news)})
                case TalkWritten(claim, line):
                    await self._wire.tell({"type": "said", "token": claim.token, **asdict(line)})
                case _:
                    assert_never(event)

    async def _offer(self, offer: CallOffered) -> None:
        call_id = offer.packet.call_id
        queue = self._parts.centre.routing.queues.get(offer.packet.escalation.queue)
        await self._wire.tell(
            {
                "type": "offer",
                "token": offer.claim.token,
                "call_id": call_id,
                "queue": queue.title if queue else "",
                "ring_s": offer.ring_s,
                "in_page": offer.in_page,
                "packet": context_document(offer.packet),
            }
        )

    def _talk(self, news: TalkNews | None) -> Mapping[str, Any] | None:
        """Return how a page is told of its call, in the words that people know."""
        if news is None:
            return None
        invited = self._parts.centre.routing.queues.get(news.inviting)
        return {
            "state": news.state,
            "inviting": invited.title if invited else "",
            "third": news.third,
            "step": self._parts.steps().get(news.flow, news.flow),
            "run": asdict(news.run) if news.run else None,
            "failed": news.failed.value if news.failed else None,
            "writing": news.writing,
        }

    # --- from the page

    async def _listen(self) -> None:
        async for message in self._wire.socket:
            if message.type is not WSMsgType.TEXT:
                self._on_violation("bad_message")
                return
            if not self._messages.allow(self._agent.id):
                await self._wire.socket.close(code=CloseCode.TOO_MANY_MESSAGES)
                return
            try:
                wanted = parse_page(message.data)
            except RemoteProtocolError as error:
                self._on_violation(error.kind)
                _log.warning("peer broke the protocol", channel="desk", kind=error.kind, what=str(error))
                await self._refuse("message", "This page is out of date. Reload it.")
                continue
            await self._do(wanted)

    async def _do(self, wanted: PageMessage) -> None:
        match wanted:
            case SetState():
                await self._set_state(wanted)
            case Accept(token=token):
                await self._accept(token)
            case Decline(token=token):
                if not await self._grant(wanted, token, self._parts.desks.server_of(self._agent.id, token)):
                    await self._refuse("decline", "The call is not offered any more.")
            case WriteNote():
                await self._note(wanted)
            case CloseCallback(id=callback_id):
                await self._close_callback(callback_id)
            case HoldCaller() | SendOn() | LendCaller() | Invite() | Finish():
                if not await self._grant(wanted, *await self._claimed()):
                    await self._refuse(wanted.type, "That could not be done with a caller of yours.")
            case _:
                assert_never(wanted)

    async def _claimed(self) -> tuple[int, str | None]:
        """Return the agent's last claim: its token, which means nothing to anybody once it is over, and its server."""
        row = (await self._feed.not_before(0.0)).agent(self._agent.id)
        return (row.token, row.instance) if row else (0, None)

    async def _grant(self, wish: Wish, token: int, server: str | None) -> bool:
        """Have the server that has the caller, this one if `server` is None, do what the agent wants with them."""
        if server in {None, self._parts.server}:
            return Wishes(self._parts.desks, self._parts.talks, self._parts.steps).grant(self._agent.id, token, wish)
        return await self._parts.neighbours.ask(str(server), asking(self._agent.id, token, wish))

    async def _set_state(self, wanted: SetState) -> None:
        if wanted.reach not in {reach.kind for reach in self._agent.reaches}:
            await self._refuse("state", "You have no such line in queues.yaml.")
        elif not await self._parts.centre.set_state(self._agent.id, wanted.state, ReachKind(wanted.reach)):
            await self._refuse("state", "Not while a caller is yours.")

    async def _accept(self, token: int) -> None:
        server = self._parts.desks.server_of(self._agent.id, token)
        if server is not None:
            where = await self._parts.neighbours.url_of(server)
        else:
            where = "" if self._parts.desks.may_take(self._agent.id, token) else None
        if where is None:
            await self._refuse("accept", "The call is not offered any more.")
            return
        claims = {
            OFFER_CLAIM: str(token),
            SERVER_CLAIM: server or self._parts.server,
            ORIGIN_CLAIM: self._origin,
        }
        ticket = self._parts.tickets.issue(
            Audience.DESK_AUDIO, self._agent.id, lifetime_s=TICKET_LIFETIME_S, claims=claims
        )
        await self._wire.tell({"type": "audio", "token": token, "ticket": ticket, "path": where + self._audio_path})

    async def _note(self, wanted: WriteNote) -> None:
        if not await self._calls.is_seen(wanted.call_id, self._sight):
            await self._refuse("note", "There is no such call.")
            return
        note = await self._parts.notes.put(
            wanted.call_id, self._agent.id, disposition=wanted.disposition, text=wanted.text
        )
        await self._wire.tell({"type": "noted", "call_id": note.call_id, "saved_at": note.saved_at})

    async def _close_callback(self, callback_id: str) -> None:
        board = await self._feed.not_before(0.0)
        mine = {queue.name for queue in queues_of(board, self._agent.id)}
        known = any(one.id == callback_id and one.queue in mine for one in board.callbacks)
        if not known or not await self._parts.callbacks.cancel(callback_id):
            await self._refuse("callback", "It is being made already, or is no more.")
        self._wire.changed.set()

    async def _refuse(self, what: str, why: str) -> None:
        await self._wire.tell({"type": "refused", "what": what, "why": why})
