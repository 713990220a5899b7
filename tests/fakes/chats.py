"""Written conversations with the shipped bot, its real understanding and the demo company, recorded in memory."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.dialog.strategies import FLOWS, shipped_bot
from tests.fakes.continuations import MemoryContinuations
from voicebot.backends.backends import Backends
from voicebot.backends.demo.company import demo_company
from voicebot.backends.demo.data import make_demo_data
from voicebot.backends.knowledge import KnowledgeSystem
from voicebot.calls.chats import Chats, Customer, Journal
from voicebot.calls.written import WrittenConversation
from voicebot.dialog.conversation import Conversation
from voicebot.language.understanding import Understanding
from voicebot.records.record import Outcome, TurnRecord

#: A Monday morning.
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


@dataclass
class MemoryJournal:
    begun: dict[str, Customer] = field(default_factory=dict)
    turns: dict[str, list[TurnRecord]] = field(default_factory=dict)
    goals: dict[str, tuple[str, bool]] = field(default_factory=dict)
    ended: dict[str, Outcome] = field(default_factory=dict)

    def begin_call(self, call_id: str, info: Customer, started_at: datetime, flow_version: str) -> None:
        self.begun[call_id] = info
        self.turns[call_id] = []

    def add_turn(self, call_id: str, turn: TurnRecord) -> None:
        self.turns[call_id].append(turn)

    def set_goal(self, call_id: str, goal: str, *, reached: bool) -> None:
        self.goals[call_id] = (goal, reached)

    def end_call(self, call_id: str, ended_at: datetime, outcome: Outcome, cause: str) -> None:
        self.ended[call_id] = outcome


class Office:
    """Chats on one clock that tests may move."""

    def __init__(self, data: Path, *, most: int = 100, journal: Journal | None = None) -> None:
        make_demo_data(data / "demo.sqlite", NOW.date())
        self.now_s = 0.0
        self.journal = MemoryJournal()
        self._keeps: Journal = journal or self.journal
        self.continuations = MemoryContinuations(lambda: self.now_s)
        #: Conversations that want a person, with the number that is known.
        self.wanted: list[tuple[str, str]] = []
        self.held = 0
        #: What customers called about lately, how often, by their numbers.
        self.earlier: dict[str, Mapping[str, int]] = {}
        #: What a supervisor has stopped.
        self.paused: frozenset[str] = frozenset()
        self._bot = shipped_bot()
        self._understanding = Understanding(self._bot.intents)
        systems = (demo_company(data / "demo.sqlite", lambda: NOW), KnowledgeSystem(FLOWS / "knowledge"))
        self.backends = Backends(systems, self._bot.operations, timeout_s=5)
        self._seeds = itertools.count(1)
        self._most = most
        self.chats = self.another()

    async def _noted(self, record_id: str, number: str) -> None:
        self.wanted.append((record_id, number))

    async def _earlier(self, number: str) -> Mapping[str, int]:
        return self.earlier.get(number, {})

    def another(self) -> Chats:
        """The chats of another run of the server, on the same records."""
        return Chats(
            self._begun,
            journal=self._keeps,
            continuations=self.continuations,
            clock=lambda: self.now_s,
            now=lambda: NOW,
            zone="UTC",
            new_seed=lambda: next(self._seeds),
            paused=lambda: self.paused,
            history=self._earlier,
            most=self._most,
            person_wanted=self._noted,
        )

    @asynccontextmanager
    async def _begun(self) -> AsyncIterator[WrittenConversation]:
        self.held += 1
        try:
            yield WrittenConversation(
                Conversation(self._bot),
                understanding=self._understanding,
                operations=self.backends,
                now=lambda: NOW,
            )
        finally:
            self.held -= 1
