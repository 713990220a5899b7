"""A conversation in writing: the same flows as on the phone, without a line, timers or a voice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from voicebot.calls.earlier import EarlierTurns
from voicebot.calls.seams import Operations, Understanding
from voicebot.calls.turns import escalation_document
from voicebot.dialog.actions import (
    Action,
    CallBackend,
    EndCall,
    Listen,
    RecordDecision,
    RecordEscalation,
    Say,
    SetGoal,
    TransferTo,
)
from voicebot.dialog.buttons import Button, buttons
from voicebot.dialog.conversation import Conversation
from voicebot.dialog.events import (
    BackendAnswered,
    BackendFailed,
    CallerHungUp,
    CallerPressed,
    CallerSpoke,
    CallMustEnd,
    CallStarted,
    Event,
    Interpretation,
    PausesChanged,
)
from voicebot.dialog.expectation import Expectation
from voicebot.errors import VoicebotError
from voicebot.records.record import BackendCall

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """What follows one message: the actions in order, and how they read.

    `interpretations` are of what was written, none where that was a secret, as `answers_secret` says: the message must
    not be kept.
    `messages` are what the bot writes, `buttons` what can be tapped in answer. While `secret`, the answer that is
    asked for must not be shown or kept. `outcome` is set when the conversation is over. `backend_calls` are what
    customers' systems were asked meanwhile.
    """

    actions: tuple[Action, ...]
    interpretations: tuple[Interpretation, ...] = ()
    buttons: tuple[Button, ...] = ()
    secret: bool = False
    answers_secret: bool = False
    outcome: str | None = None
    backend_calls: tuple[BackendCall, ...] = ()

    @property
    def messages(self) -> tuple[str, ...]:
        return tuple(action.text for action in self.actions if isinstance(action, Say) and action.text)

    @property
    def decisions(self) -> tuple[RecordDecision, ...]:
        return tuple(action for action in self.actions if isinstance(action, RecordDecision))

    @property
    def goals(self) -> tuple[SetGoal, ...]:
        return tuple(action for action in self.actions if isinstance(action, SetGoal))

    @property
    def signals(self) -> dict[str, Any]:
        """What was measured for the escalation policy, and what it decided last."""
        weighed = [action for action in self.actions if isinstance(action, RecordEscalation)]
        return escalation_document(weighed[-1]) if weighed else {}

    @property
    def person_wanted_for(self) -> str | None:
        """Why a person is to go on, if one is."""
        return next((action.reason for action in self.actions if isinstance(action, TransferTo)), None)


class WrittenConversation:
    """One conversation; messages are taken one after the other. `now` gives the time in the bot's zone."""

    def __init__(
        self,
        conversation: Conversation,
        *,
        understanding: Understanding,
        operations: Operations,
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._asked: list[BackendCall] = []
        self._conversation = conversation
        self._understanding = understanding
        self._earlier = EarlierTurns(understanding)
        self._operations = operations
        self._now = now
        self._expectation: Expectation | None = None
        self._outcome: str | None = None
        self._turn = asyncio.Lock()

    @property
    def conversation(self) -> Conversation:
        return self._conversation

    @property
    def is_over(self) -> bool:
        return self._outcome is not None

    @property
    def asks_for_secret(self) -> bool:
        """Whether the answer to the question that stands must not be kept."""
        return self._expectation is not None and self._expectation.secret

    async def start(self, event: CallStarted) -> Reply:
        async with self._turn:
            return await self._take(event)

    async def read(self, text: str) -> Reply:
        """Take what the customer wrote."""
        async with self._turn:
            expectation = self._expectation
            if expectation is None or self.is_over:
                return Reply((), outcome=self._outcome, answers_secret=self.asks_for_secret)
            interpretations = await asyncio.to_thread(
                self._understanding.interpret, [(text, 1.0)], expectation, self._now()
            )
            shown = () if expectation.secret else interpretations
            rephrased = await asyncio.to_thread(self._earlier.add, shown[0]) if shown else 0.0
            reply = await self._take(CallerSpoke(self._now(), interpretations, rephrased=rephrased), shown)
            return replace(reply, answers_secret=expectation.secret)

    async def tapped(self, keys: str) -> Reply:
        """Take a button."""
        async with self._turn:
            if self.is_over:
                return Reply((), outcome=self._outcome)
            secret = self.asks_for_secret
            return replace(await self._take(CallerPressed(self._now(), keys)), answers_secret=secret)

    async def heed(self, paused: frozenset[str]) -> None:
        """Lead requests for what a supervisor has stopped, as of now, to a person."""
        async with self._turn:
            if paused != self._conversation.state.paused:
                self._conversation.step(PausesChanged(self._now(), paused))

    async def leave(self) -> Reply:
        """The customer is gone."""
        async with self._turn:
            return await self._take(CallerHungUp(self._now()))

    async def must_end(self, why: str) -> Reply:
        async with self._turn:
            return await self._take(CallMustEnd(self._now(), why))

    async def _take(self, event: Event, interpretations: tuple[Interpretation, ...] = ()) -> Reply:
        """Step, and go on stepping with what the systems answer, until the customer is asked or it is over."""
        done: list[Action] = []
        waiting: list[Event] = [event]
        while waiting:
            actions = self._conversation.step(waiting.pop(0))
            done += actions
            for action in actions:
                match action:
                    case CallBackend():
                        waiting.append(await self._call(action))
                    case Listen(expectation):
                        self._expectation = expectation
                    case EndCall(outcome):
                        self._outcome = self._outcome or outcome
                    case _:
                        pass  # said, recorded or noted by whoever takes the reply
        return Reply(
            tuple(done),
            interpretations,
            () if self.is_over else buttons(self._conversation.bot, self._conversation.state),
            secret=self.asks_for_secret and not self.is_over,
            outcome=self._outcome,
            backend_calls=self._take_asked(),
        )

    def _take_asked(self) -> tuple[BackendCall, ...]:
        asked, self._asked = self._asked, []
        return tuple(asked)

    def _note(self, operation: str, outcome: str, began_s: float) -> None:
        self._asked.append(BackendCall(operation, outcome, round((self._clock() - began_s) * 1000, 1)))

    async def _call(self, action: CallBackend) -> BackendAnswered | BackendFailed:
        # Shielded: a customer who closes the page must not leave a write half told.
        began_s = self._clock()
        calling = asyncio.ensure_future(
            self._operations.call(action.operation, action.arguments, idempotency_key=action.idempotency_key)
        )
        try:
            answer = await asyncio.shield(calling)
        except Exception as error:  # noqa: BLE001  # whatever it is, somebody waits for an answer
            problem = str(error) if isinstance(error, VoicebotError) else type(error).__name__
            log.warning("backend unavailable", operation=action.operation, problem=problem)
            self._note(action.operation, "unavailable", began_s)
            return BackendFailed(self._now(), action.request_id)
        self._note(action.operation, answer.outcome, began_s)
        return BackendAnswered(self._now(), action.request_id, answer.outcome, answer.result)
