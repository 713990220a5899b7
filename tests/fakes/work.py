"""The work after calls for tests of pages and the API: notes in a real database, errands in a list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from voicebot.backends.backends import BackendResult
from voicebot.dialog.events import SlotValue
from voicebot.dialog.flow import Operation, Undo
from voicebot.dialog.values import ValueKind
from voicebot.records.actions import ActionBook
from voicebot.records.deeds import Deeds
from voicebot.web.server import WorkParts
from voicebot.work.actions import Actions
from voicebot.work.durable import Errand, ErrandReport, ErrandState, Step, WorkFailed
from voicebot.work.plan import Plan
from voicebot.work.planned import Planned
from voicebot.work.supervision import Supervision
from voicebot.work.undoing import UNDO, Undoing

CONTRACTS = {
    "calendar.book": Operation(
        "calendar.book",
        {"day": ValueKind.DATE},
        {"reference": ValueKind.DIGITS},
        write=True,
        undo=Undo("calendar.cancel", {"reference": "reference"}),
    ),
    "calendar.cancel": Operation(
        "calendar.cancel",
        {"reference": ValueKind.DIGITS},
        {},
        write=True,
        undo=Undo(never="The time may be somebody else's by now."),
    ),
    "letters.send": Operation("letters.send", {}, {}, write=True, undo=Undo(by_hand="Run after the postman.")),
}


@dataclass
class FakeSystems:
    done: list[tuple[str, Mapping[str, SlotValue]]] = field(default_factory=list)

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None = None
    ) -> BackendResult:
        assert idempotency_key
        self.done.append((operation, dict(arguments)))
        return BackendResult("ok")


@dataclass
class FakeErrands:
    given_up: list[Errand] = field(default_factory=list)
    begun_again: list[Errand] = field(default_factory=list)

    async def failed(self) -> Sequence[ErrandReport]:
        return [ErrandReport(errand, ErrandState.FAILED) for errand in self.given_up]

    async def again(self, errand: Errand) -> None:
        self.given_up.remove(errand)
        self.begun_again.append(errand)


@dataclass
class AtOnce:
    """Undoes at once what durable work would undo soon, and gives up what is refused or away."""

    step: Step

    async def take_up(self, errand: Errand) -> None:
        assert errand.job == UNDO
        try:
            await self.step.work(errand.subject)
        except WorkFailed:
            assert self.step.given_up is not None
            await self.step.given_up(errand.subject)


@dataclass
class FakeWork:
    """What `serving` puts behind its routes."""

    deeds: Deeds
    book: ActionBook
    systems: FakeSystems = field(default_factory=FakeSystems)
    errands: FakeErrands = field(default_factory=FakeErrands)

    @property
    def parts(self) -> WorkParts:
        supervision = Supervision(self.deeds)
        (step,) = Undoing(self.deeds, self._planned).jobs()[UNDO]
        actions = Actions(self.book, supervision, self._contracts_of, AtOnce(step))
        return WorkParts(supervision, actions, self.errands)

    async def _contracts_of(self, version: str) -> Mapping[str, Operation]:
        del version
        return CONTRACTS

    @asynccontextmanager
    async def _planned(self, version: str) -> AsyncIterator[Planned]:
        del version
        yield Planned(Plan(), self.systems, CONTRACTS)
