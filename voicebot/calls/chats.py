"""All written conversations of this process: begun, found again, recorded, and forgotten when they fall silent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import structlog

from voicebot.calls.continuations import Continuations
from voicebot.calls.seams import History, no_history
from voicebot.calls.turns import intent_readings
from voicebot.calls.written import Reply, WrittenConversation
from voicebot.dialog.actions import EndCall, RecordDecision, Say
from voicebot.dialog.continuing import continuation_of
from voicebot.dialog.events import CallStarted, Continuation, SlotValue
from voicebot.dialog.outcome import Outcome
from voicebot.records.continuations import KeptChat
from voicebot.records.record import BackendCall, Speaker, TurnRecord

log = structlog.get_logger(__name__)

#: A customer who has written nothing for so long is gone.
IDLE_S = {"chat": 1800.0, "sms": 12 * 3600.0}
MOST_CONVERSATIONS = 2000
SWEEP_EVERY_S = 30.0


class WrittenChannel(StrEnum):
    CHAT = "chat"
    SMS = "sms"


@dataclass(frozen=True, slots=True)
class Customer:
    """Who writes. `identity` is what a trusted party vouched for (a telephone number), or empty."""

    channel: WrittenChannel
    identity: str = ""
    called: str = ""

    @property
    def caller(self) -> str:
        return self.identity

    @property
    def direction(self) -> str:
        return "inbound"

    @property
    def carrier_call_id(self) -> str:
        return ""


class Journal(Protocol):
    """Where records go; see `voicebot.records.journal`."""

    def begin_call(self, call_id: str, info: Customer, started_at: datetime, flow_version: str) -> None: ...
    def add_turn(self, call_id: str, turn: TurnRecord) -> None: ...
    def set_goal(self, call_id: str, goal: str, *, reached: bool) -> None: ...
    def end_call(self, call_id: str, ended_at: datetime, outcome: Outcome, cause: str) -> None: ...


#: Tells people that a customer who writes wants one of them: the conversation's record, and a number if one is known.
PersonWanted = Callable[[str, str], Awaitable[None]]


async def nobody_is_told(record_id: str, number: str) -> None:
    """Leave it at the conversation's own record."""
    del record_id, number


class TooManyConversations(Exception):  # it is a state of ours, not a caller's mistake
    """This server carries as many written conversations as it may."""


@dataclass(slots=True)
class _Open:
    conversation: WrittenConversation
    customer: Customer
    started_s: float
    seen_s: float
    held: AsyncExitStack
    record_id: str
    #: How many records the conversation has had: a restart of the server begins another.
    begun: int
    #: Somebody was told that the customer wants a person.
    noted: bool = False


class Chats:
    """`make` begins a conversation on the current flows and lets go of it in the end.

    `clock` is monotonic seconds, `now` the wall clock; `paused` are the intents that a supervisor has
    stopped now, `history` knows what a customer called and wrote about lately.
    """

    def __init__(
        self,
        make: Callable[[], AbstractAsyncContextManager[WrittenConversation]],
        *,
        journal: Journal,
        continuations: Continuations,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        zone: str,
        new_seed: Callable[[], int],
        paused: Callable[[], frozenset[str]],
        history: History = no_history,
        most: int = MOST_CONVERSATIONS,
        person_wanted: PersonWanted = nobody_is_told,
    ) -> None:
        self._make = make
        self._journal = journal
        self._continuations = continuations
        self._clock = clock
        self._now = now
        self._zone = zone
        self._new_seed = new_seed
        self._paused = paused
        self._history = history
        self._most = most
        self._person_wanted = person_wanted
        self._open: dict[str, _Open] = {}

    def __contains__(self, conversation_id: str) -> bool:
        return conversation_id in self._open

    @property
    def count(self) -> int:
        return len(self._open)

    async def start(self, conversation_id: str, customer: Customer) -> Reply:
        """Begin a conversation; `TooManyConversations` when there is no room."""
        return await self._begin(conversation_id, customer, await self._continuations.take(customer.identity), 1)

    async def resume(self, conversation_id: str) -> bool:
        """Go on with a conversation that another run of the server began; False when there is none of that name.

        It stands at the question where it was left, with the answers given so far. Who they are is asked afresh.
        """
        left = await self._continuations.take_chat(conversation_id)
        if left is None:
            return False
        customer = Customer(WrittenChannel(left.channel), left.identity, left.called)
        await self._begin(conversation_id, customer, left.continuation, left.begun + 1)
        return True

    async def _begin(
        self, conversation_id: str, customer: Customer, continues: Continuation | None, begun: int
    ) -> Reply:
        if len(self._open) >= self._most:
            raise TooManyConversations
        earlier = await self._history(customer.identity)
        record_id = conversation_id if begun == 1 else f"{conversation_id}-{begun}"
        held = AsyncExitStack()
        conversation = await held.enter_async_context(self._make())
        now_s = self._clock()
        opened = self._open[conversation_id] = _Open(conversation, customer, now_s, now_s, held, record_id, begun)
        began = self._now()
        self._journal.begin_call(record_id, customer, began, conversation.conversation.flow_version)
        reply = await conversation.start(
            CallStarted(
                at=began,
                channel=customer.channel.value,
                caller=customer.identity,
                called=customer.called,
                zone=self._zone,
                seed=self._new_seed(),
                call_id=record_id,
                continues=continues,
                earlier_calls=earlier,
                paused=self._paused(),
            )
        )
        await self._note(conversation_id, opened, reply, asked=reply.backend_calls)
        return reply

    async def write(self, conversation_id: str, text: str) -> Reply:
        """Take a message; KeyError when the conversation is over."""
        opened = self._heard_from(conversation_id)
        await opened.conversation.heed(self._paused())
        reply = await opened.conversation.read(text)
        self._caller_turn(opened, reply, text, "typed")
        await self._note(conversation_id, opened, reply)
        return reply

    async def tap(self, conversation_id: str, keys: str) -> Reply:
        """Take a button; KeyError when the conversation is over."""
        opened = self._heard_from(conversation_id)
        await opened.conversation.heed(self._paused())
        reply = await opened.conversation.tapped(keys)
        self._caller_turn(opened, reply, f"[{keys}]", "buttons")
        await self._note(conversation_id, opened, reply)
        return reply

    def _heard_from(self, conversation_id: str) -> _Open:
        """Return a conversation in which somebody wrote just now: whoever waits for an answer is not gone."""
        opened = self._open[conversation_id]
        opened.seen_s = self._clock()
        return opened

    async def sweep_forever(self) -> None:
        """End conversations that have fallen silent, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            await self.sweep()

    async def sweep(self) -> None:
        now_s = self._clock()
        for conversation_id, opened in list(self._open.items()):
            if now_s - opened.seen_s > IDLE_S[opened.customer.channel]:
                await self._end(conversation_id, opened, opened.conversation.leave())

    async def close(self) -> None:
        """End every conversation, as the server must."""
        for conversation_id, opened in list(self._open.items()):
            await self._end(conversation_id, opened, opened.conversation.must_end("shutting_down"))

    async def _end(self, conversation_id: str, opened: _Open, ending: Awaitable[Reply]) -> None:
        try:
            await self._note(conversation_id, opened, await ending)
        except Exception as error:  # noqa: BLE001  # a database that is away, say: the others must end all the same
            log.error("conversation not ended as it should", conversation=conversation_id, error=type(error).__name__)

    def _caller_turn(self, opened: _Open, reply: Reply, text: str, engine: str) -> None:
        secret = reply.answers_secret
        decisions = reply.decisions
        scored = next((decision for decision in decisions if decision.intent is not None), None)
        slots: dict[str, SlotValue | None] = {}
        for decision in decisions:
            slots |= decision.slots
        turn = TurnRecord(
            speaker=Speaker.CALLER,
            text="" if secret else text,
            at_ms=self._at_ms(opened),
            engine=engine,
            secret=secret,
            intent=scored.intent if scored else None,
            confidence=scored.confidence if scored else None,
            slots=_written(slots),
            decision="; ".join(_told(decision, secret=secret) for decision in decisions) or None,
            signals=reply.signals,
            intents=intent_readings(reply.interpretations[0]) if reply.interpretations else (),
            backend_calls=reply.backend_calls,
        )
        self._journal.add_turn(opened.record_id, turn)

    async def _note(
        self, conversation_id: str, opened: _Open, reply: Reply, *, asked: Sequence[BackendCall] = ()
    ) -> None:
        """Record what the bot wrote and reached, and close what is over; its first words had systems `asked`."""
        opened.seen_s = self._clock()
        for action in reply.actions:
            if isinstance(action, Say) and action.text:
                self._bot_turn(opened, action, asked)
                asked = ()
            elif isinstance(action, EndCall):
                log.info("conversation over", outcome=action.outcome, channel=opened.customer.channel.value)
        for goal in reply.goals:
            self._journal.set_goal(opened.record_id, goal.goal, reached=goal.reached)
        if reply.person_wanted_for is not None:
            log.info("person requested", reason=reply.person_wanted_for, channel=opened.customer.channel.value)
            if not opened.noted:
                opened.noted = True
                await self._person_wanted(opened.record_id, opened.customer.identity)
        talked = opened.conversation.conversation
        left = continuation_of(talked.bot, talked.state)
        if reply.outcome is None or reply.outcome == Outcome.SHUTTING_DOWN:
            who = opened.customer
            chat = KeptChat(who.channel.value, who.identity, who.called, opened.begun, left)
            await self._continuations.keep_chat(conversation_id, chat)
        if reply.outcome is not None and conversation_id in self._open:
            del self._open[conversation_id]
            # First what cannot fail: the journal waits for its database, what customers come back to does not.
            self._journal.end_call(opened.record_id, self._now(), Outcome(reply.outcome), "conversation_over")
            await opened.held.aclose()
            if reply.outcome != Outcome.SHUTTING_DOWN:
                await self._continuations.keep_chat(conversation_id, None)
            await self._continuations.keep(opened.customer.identity, left)

    def _bot_turn(self, opened: _Open, said: Say, asked: Sequence[BackendCall]) -> None:
        turn = TurnRecord(
            speaker=Speaker.BOT,
            text=said.text,
            at_ms=self._at_ms(opened),
            prompt=said.prompt,
            backend_calls=tuple(asked),
        )
        self._journal.add_turn(opened.record_id, turn)

    def _at_ms(self, opened: _Open) -> int:
        return max(0, round((self._clock() - opened.started_s) * 1000))


def _told(decision: RecordDecision, *, secret: bool) -> str:
    detail = f" ({decision.detail})" if decision.detail and not secret else ""
    return f"{decision.flow}.{decision.step}: {decision.rule}{detail}"


def _written(slots: Mapping[str, SlotValue | None]) -> dict[str, str]:
    return {name: str(value) for name, value in slots.items() if value is not None}
