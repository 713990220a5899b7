"""A contact centre with its real board, desks, callbacks and notes, without calls around it."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from voicebot.calls.transfer.desks import Desks
from voicebot.calls.transfer.floor import ContactCentre
from voicebot.calls.transfer.seams import Place
from voicebot.records.board import QueueBoard
from voicebot.records.call_notes import CallNotes
from voicebot.records.callbacks import CallbackBook
from voicebot.records.context import (
    CONTEXT_VERSION,
    Attempt,
    Authentication,
    ContextPacket,
    ContextTurn,
    Customer,
    Escalation,
    Mood,
    Request,
    Trend,
)
from voicebot.records.contexts import Contexts
from voicebot.records.database import Database
from voicebot.records.summary import summarise
from voicebot.routing.agents import Agent, Reach, ReachKind
from voicebot.routing.events import Claim
from voicebot.routing.queues import Queue, Routing
from voicebot.telephony.leg import CallLeg
from voicebot.web.desk.conversation import DeskParts
from voicebot.web.desk.neighbours import NoNeighbours
from voicebot.web.tickets import Tickets

RING_S = 30.0
WRAP_UP_S = 60.0
ROUTING = Routing(
    queues={
        "service": Queue("service", "customer service", skills={"service": 1}, wrap_up_s=WRAP_UP_S),
        "technical": Queue("technical", "technical support", skills={"technical": 1}),
    },
    agents={
        "ana": Agent("ana", "Ana", {"service": 5}, (Reach(ReachKind.BROWSER), Reach(ReachKind.SIP, "sip:ana@pbx"))),
        "ben": Agent("ben", "Ben", {"technical": 5}, (Reach(ReachKind.BROWSER),)),
    },
    default="service",
)
#: Flows that the bot can run for an agent.
STEPS = {"bill_payment": "paying a bill"}
_BEGAN = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def packet(call_id: str = "call-1") -> ContextPacket:
    """Return the packet of a gold customer who wants their money back."""
    made = ContextPacket(
        version=CONTEXT_VERSION,
        id=f"packet-of-{call_id}",
        call_id=call_id,
        channel="sip",
        created_at=_BEGAN,
        started_at=_BEGAN,
        summary=(),
        request=Request("refund", "a refund", 0.91, reached=False),
        conversation=(
            ContextTurn("bot", 0, "Hello, how can I help you?"),
            ContextTurn("caller", 2100, "My order four five one two still is not here, I want my money back."),
            ContextTurn("bot", 6200, "Please key in your PIN."),
            ContextTurn("caller", 9000, "", secret=True),
            ContextTurn("bot", 11_000, "Order 4512 left on the ninth and is three days late."),
            ContextTurn("caller", 15_200, "That is what you said last week! I want a person."),
        ),
        attempts=(
            Attempt("customers.verify_pin", "ok", changed_something=False),
            Attempt("orders.status", "ok", changed_something=False, result={"status": "in transit", "late_days": "3"}),
            Attempt("refunds.create", "needs_approval", changed_something=False),
        ),
        authentication=Authentication(authenticated=True, method="verify_pin"),
        customer=Customer(
            "Jane Doe", "+15550100199", "gold", {"since": "2019"}, ("12 November: order status, solved by the bot",)
        ),
        data={"order_number": "4512", "amount": "84.20"},
        mood=Mood(-0.6, Trend.WORSE, 0.7, 0.2, ("last week",)),
        escalation=Escalation("asked", "explicit_request", "", "service", 10),
        next_steps=("Approve or refuse the refund of 84.20", "Offer to send the order again"),
        promises=("An answer about the refund today",),
        recording=f"/api/calls/{call_id}/recording",
    )
    return replace(made, summary=summarise(made))


class Centre:
    """`parts` are what the server's desks need; calls below stand in for the transfers of callers."""

    def __init__(self, database: Database) -> None:
        self.shared: list[tuple[str, str]] = []
        #: What agents did with callers of theirs.
        self.done: list[tuple[str, str, bool | str]] = []
        board = QueueBoard(database, instance="one", now=_now)
        callbacks = CallbackBook(database, instance="one", now=_now)
        self._contexts = Contexts(database, now=_now)
        desks = Desks(share=lambda call_id, agent: self.shared.append((call_id, agent)))
        self.centre = ContactCentre(
            lambda: ROUTING,
            board,
            callbacks,
            hours=dict,
            deliver=self._deliver,
            zone_of=lambda _number: ZoneInfo("UTC"),
            now=_now,
            changed=desks.board_changed,
        )
        self.parts = DeskParts(
            self.centre,
            desks,
            self,
            callbacks,
            CallNotes(database, now=_now),
            server="one",
            tickets=Tickets(b"k" * 32, clock=time.time, new_id=lambda: uuid.uuid4().hex),
            neighbours=NoNeighbours(),
            steps=lambda: STEPS,
        )

    def hold(self, agent_id: str, token: int, *, held: bool) -> bool:
        self.done.append(("hold", agent_id, held))
        return token > 0

    def send_on(self, agent_id: str, token: int, queue: str, *, to: str = "") -> bool:
        self.done.append(("send_on", agent_id, f"{queue} {to}".strip()))
        return token > 0

    def lend(self, agent_id: str, token: int, flow: str) -> bool:
        self.done.append(("lend", agent_id, flow))
        return token > 0

    def take_back(self, agent_id: str, token: int) -> bool:
        self.done.append(("take_back", agent_id, ""))
        return token > 0

    def invite(self, agent_id: str, token: int, queue: str, *, who: str = "") -> bool:
        self.done.append(("invite", agent_id, f"{queue} {who}".strip()))
        return token > 0

    def let_third_go(self, agent_id: str, token: int) -> bool:
        self.done.append(("let_third_go", agent_id, ""))
        return token > 0

    def finish(self, agent_id: str, token: int, *, survey: bool = False) -> bool:
        self.done.append(("finish", agent_id, survey))
        return token > 0

    async def _deliver(self, packet: ContextPacket) -> tuple[str, ...]:
        await self._contexts.put(packet)
        return ()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.centre.running():
            yield

    async def wait_in(self, queue: str, call_id: str = "call-1") -> tuple[Place, asyncio.Future[Claim]]:
        """Have a caller wait, and return what is done once an agent is theirs."""
        place = Place(f"entry-of-{call_id}", call_id, "+15550100199", 0, _now())
        claimed: asyncio.Future[Claim] = asyncio.get_running_loop().create_future()
        await self.centre.deliver(packet(call_id))
        await self.centre.enter(place, queue, (), claimed.set_result)
        return place, claimed

    async def ring(self, claim: Claim, call_id: str = "call-1", *, ring_s: float = RING_S) -> CallLeg:
        """Ring an agent at their desk and return the page's leg; raises `RingFailed`."""
        agent, _ = await self.centre.reach_of(claim)
        return await self.parts.desks.ring(agent, claim, packet(call_id), timeout_s=ring_s)


def _now() -> datetime:
    return datetime.now(UTC)
