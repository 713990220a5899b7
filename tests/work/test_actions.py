"""Cancelling and undoing: every verb in every state that an action can be in, twice, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import select, update

from tests.fakes.sealing import KEYS
from tests.fakes.work import AtOnce
from voicebot.backends.backends import BackendResult
from voicebot.backends.sqlite import to_json
from voicebot.dialog.events import SlotValue
from voicebot.dialog.flow import Operation, Undo
from voicebot.dialog.values import ValueKind
from voicebot.errors import BackendUnavailable
from voicebot.records.actions import ActionBook, ActionKind, ActionState
from voicebot.records.callbacks import CallbackBook
from voicebot.records.database import Database, locate
from voicebot.records.deeds import ApprovalState, Deeds, DeedState, FollowUpState
from voicebot.records.tables import AUDIT, CALLS, DEEDS
from voicebot.records.tasks import PlannedTask, TaskKind, Tasks, TaskState, id_of, key_of_task
from voicebot.work.actions import Actions, Told
from voicebot.work.plan import Plan
from voicebot.work.planned import Planned
from voicebot.work.supervision import Supervision
from voicebot.work.undoing import UNDO, Undoing
from voicebot.work.verbs import Verb

REFERENCE = {"reference": ValueKind.DIGITS}
CONTRACTS = {
    "book": Operation("book", {}, REFERENCE, write=True, undo=Undo("unbook", {"reference": "reference"})),
    "unbook": Operation("unbook", REFERENCE, {}, ("gone",), write=True, undo=Undo(never="It is gone.")),
    "pay": Operation("pay", {}, {}, write=True, undo=Undo(by_hand="Ask for the money back.")),
    "post": Operation("post", {}, {}, write=True, undo=Undo(never="Letters do not come back.")),
    "forgot": Operation("forgot", {}, {}, write=True),
}
DEED = "d" * 32


@dataclass
class Diary:
    """The system in which bookings are; `outcome` is how it answers, `away` whether it can be reached."""

    outcome: str = "ok"
    away: bool = False
    asked: list[tuple[str, Mapping[str, SlotValue], str | None]] = field(default_factory=list)

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None = None
    ) -> BackendResult:
        if self.away:
            raise BackendUnavailable("The diary cannot be reached.")
        self.asked.append((operation, arguments, idempotency_key))
        return BackendResult(self.outcome)


class Office:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
        self.deeds = Deeds(database, KEYS, now=lambda: self.now)
        self.tasks = Tasks(database, now=lambda: self.now)
        self.callbacks = CallbackBook(database, instance="main", now=lambda: self.now)
        self.diary = Diary()
        (step,) = Undoing(self.deeds, self.planned).jobs()[UNDO]
        book = ActionBook(database, now=lambda: self.now)
        self.actions = Actions(book, Supervision(self.deeds), self._contracts_of, AtOnce(step), wait_s=0.2)

    async def _contracts_of(self, version: str) -> Mapping[str, Operation]:
        assert version == "c1"
        return CONTRACTS

    @asynccontextmanager
    async def planned(self, version: str) -> AsyncIterator[Planned]:
        assert version == "c1"  # the flows that led the call
        yield Planned(Plan(), self.diary, CONTRACTS)

    async def end_call(self) -> None:
        async with self.database.begin() as connection:
            await connection.execute(update(CALLS).values(ended_at=self.now))

    async def audited(self) -> list[tuple[str, str]]:
        async with self.database.connect() as connection:
            rows = await connection.execute(select(AUDIT.c.actor, AUDIT.c.action).order_by(AUDIT.c.number))
            return [(row.actor, row.action) for row in rows]

    async def wrote(self, operation: str = "book", state: DeedState = DeedState.DONE) -> str:
        await self.deeds.note(DEED, "c1", operation, to_json({}), to_json({"reference": "472"}))
        async with self.database.begin() as connection:
            await connection.execute(update(DEEDS).values(state=state.value))
        return DEED

    async def task(self, *states: TaskState, kind: TaskKind = TaskKind.OPERATION) -> str:
        task = PlannedTask("c1/note", "c1", kind, "book")
        await self.tasks.plan([task])
        for state in states:
            match state:
                case TaskState.UNDER_WAY:
                    assert await self.tasks.begin(task)
                case TaskState.FAILED:
                    await self.tasks.give_up(task.subject)
                case _:
                    await self.tasks.end(task.subject, state, "The diary is away.")
        return id_of(key_of_task(task.subject))

    async def approval(self, state: ApprovalState) -> str:
        await self.deeds.ask("a" * 32, "c1", "book", to_json({}), 60)
        if state is not ApprovalState.WAITING:
            await self.deeds.decide("a" * 32, state, "ben")
        return "a" * 32

    async def follow_up(self, state: FollowUpState) -> str:
        action_id = await self.task(TaskState.UNDER_WAY, kind=TaskKind.FOLLOW_UP)
        await self.deeds.note_follow_up("c1/note", "c1", "Call them.", timedelta(hours=1))
        if state is not FollowUpState.OPEN:
            await self.deeds.settle("c1/note", state, "ben")
        return action_id

    async def message(self) -> str:
        action_id = await self.task(TaskState.UNDER_WAY, kind=TaskKind.MESSAGE)
        await self.deeds.note_message("c1/note", "c1", "sms", "It is booked.", "SM1")
        return action_id

    async def callback(self, *, calling: bool = False, failed: bool | None = None) -> str:
        callback_id = await self.callbacks.book(
            call_id="c1", queue="bills", number="+15550100", zone="UTC", consent=True, reason="wait", at=self.now
        )
        if calling or failed is not None:
            claimed = await self.callbacks.claim_due()
            assert claimed is not None
            if failed is not None:
                await self.callbacks.finish(claimed, "answered", failed=failed)
        return callback_id


@asynccontextmanager
async def office(folder: Path, database_url: str, *, is_new: bool = True) -> AsyncIterator[Office]:
    async with Database.served(locate(folder, database_url), instance="main") as database:
        here = Office(database)
        if is_new:
            async with database.begin() as connection:
                names = (
                    "id",
                    "instance",
                    "channel",
                    "direction",
                    "caller",
                    "called",
                    "carrier_call_id",
                    "flow_version",
                )
                call = dict.fromkeys(names, "c1") | {"started_at": here.now, "goal_reached": False}
                await connection.execute(CALLS.insert().values(call))
        yield here


@dataclass(frozen=True)
class Case:
    """An action in a state, and what becomes of it by `cancel` and by `undo`: told, and the state afterwards."""

    make: Callable[[Office], Awaitable[str]]
    state: ActionState
    cancel: tuple[Told, ActionState]
    undo: tuple[Told, ActionState]


async def _granted_and_over(here: Office) -> str:
    action_id = await here.approval(ApprovalState.GRANTED)
    await here.end_call()
    return action_id


async def _asked_and_late(here: Office) -> str:
    action_id = await here.approval(ApprovalState.WAITING)
    here.now += timedelta(seconds=61)
    return action_id


async def _forgotten(here: Office) -> str:
    action_id = await here.wrote()
    async with here.database.begin() as connection:
        await connection.execute(update(DEEDS).values(result="{}"))
    return action_id


async def _cancelled_task(here: Office) -> str:
    action_id = await here.task()
    answer = await here.actions.do(Verb.CANCEL, action_id, by="ben")
    assert answer is not None
    return action_id


def _same(told: Told, state: ActionState) -> dict[str, tuple[Told, ActionState]]:
    return {"cancel": (told, state), "undo": (told, state)}


S = ActionState
STOPPED = _same(Told.SETTLED, S.CANCELLED)
CASES = {
    "a write that waits for approval": Case(
        lambda o: o.approval(ApprovalState.WAITING), S.AWAITING_APPROVAL, **STOPPED
    ),
    "a write nobody allowed in time": Case(
        lambda o: o.approval(ApprovalState.EXPIRED), S.EXPIRED, **_same(Told.SETTLED, S.EXPIRED)
    ),
    "a write whose time is up": Case(_asked_and_late, S.EXPIRED, **_same(Told.SETTLED, S.EXPIRED)),
    "a write that was refused": Case(
        lambda o: o.approval(ApprovalState.REFUSED), S.REFUSED, **_same(Told.SETTLED, S.REFUSED)
    ),
    "a write that was withdrawn": Case(lambda o: o.approval(ApprovalState.WITHDRAWN), S.CANCELLED, **STOPPED),
    "a write that was just allowed": Case(
        lambda o: o.approval(ApprovalState.GRANTED), S.UNDER_WAY, **_same(Told.REFUSED, S.UNDER_WAY)
    ),
    "a write that was allowed and never done": Case(_granted_and_over, S.NOT_DONE, **_same(Told.SETTLED, S.NOT_DONE)),
    "a task that is planned": Case(lambda o: o.task(), S.SCHEDULED, **STOPPED),
    "a task being tried": Case(lambda o: o.task(TaskState.UNDER_WAY), S.UNDER_WAY, **_same(Told.REFUSED, S.UNDER_WAY)),
    "a task that is tried again": Case(
        lambda o: o.task(TaskState.UNDER_WAY, TaskState.RETRYING), S.RETRYING, **STOPPED
    ),
    "a task that was given up": Case(
        lambda o: o.task(TaskState.UNDER_WAY, TaskState.RETRYING, TaskState.FAILED), S.FAILED, **STOPPED
    ),
    "a task of which nothing came": Case(
        lambda o: o.task(TaskState.UNDER_WAY, TaskState.NOT_DONE), S.NOT_DONE, **_same(Told.SETTLED, S.NOT_DONE)
    ),
    "a task that was cancelled": Case(_cancelled_task, S.CANCELLED, **STOPPED),
    "a write that an operation takes back": Case(Office.wrote, S.DONE, **_same(Told.SETTLED, S.UNDONE)),
    "a write that a person takes back": Case(
        lambda o: o.wrote("pay"), S.DONE, cancel=(Told.REFUSED, S.DONE), undo=(Told.BEGUN, S.WITH_PERSON)
    ),
    "a write that nobody takes back": Case(lambda o: o.wrote("post"), S.DONE, **_same(Told.REFUSED, S.DONE)),
    "a write that does not say how": Case(lambda o: o.wrote("forgot"), S.DONE, **_same(Told.REFUSED, S.DONE)),
    "a write of flows that are gone": Case(lambda o: o.wrote("gone.by"), S.DONE, **_same(Told.REFUSED, S.DONE)),
    "a write whose answer is not kept": Case(_forgotten, S.DONE, **_same(Told.REFUSED, S.DONE)),
    "a write being undone elsewhere": Case(
        lambda o: o.wrote(state=DeedState.UNDOING), S.UNDOING, **_same(Told.BEGUN, S.UNDOING)
    ),
    "a write that a person was asked to undo": Case(
        lambda o: o.wrote("pay", DeedState.WITH_PERSON), S.WITH_PERSON, **_same(Told.BEGUN, S.WITH_PERSON)
    ),
    "a write that could not be undone": Case(
        lambda o: o.wrote(state=DeedState.UNDO_FAILED), S.UNDO_FAILED, **_same(Told.SETTLED, S.UNDONE)
    ),
    "a write that was undone": Case(
        lambda o: o.wrote(state=DeedState.UNDONE), S.UNDONE, **_same(Told.SETTLED, S.UNDONE)
    ),
    "a message that was sent": Case(Office.message, S.DONE, **_same(Told.REFUSED, S.DONE)),
    "something left to do": Case(lambda o: o.follow_up(FollowUpState.OPEN), S.SCHEDULED, **STOPPED),
    "something a person did": Case(lambda o: o.follow_up(FollowUpState.DONE), S.DONE, **_same(Told.REFUSED, S.DONE)),
    "something nobody need do": Case(lambda o: o.follow_up(FollowUpState.CANCELLED), S.CANCELLED, **STOPPED),
    "a callback that was promised": Case(Office.callback, S.SCHEDULED, **STOPPED),
    "a callback being made": Case(lambda o: o.callback(calling=True), S.UNDER_WAY, **_same(Told.REFUSED, S.UNDER_WAY)),
    "a callback that was made": Case(lambda o: o.callback(failed=False), S.DONE, **_same(Told.REFUSED, S.DONE)),
    "a callback that reached nobody": Case(
        lambda o: o.callback(failed=True), S.NOT_DONE, **_same(Told.SETTLED, S.NOT_DONE)
    ),
}


@pytest.mark.parametrize(("verb", "name"), list(product(Verb, CASES)))
async def test_a_verb_does_what_the_table_says_and_nothing_when_repeated(
    tmp_path: Path, database_url: str, verb: Verb, name: str
) -> None:
    case = CASES[name]
    told, state = case.cancel if verb is Verb.CANCEL else case.undo
    async with office(tmp_path, database_url) as here:
        action_id = await case.make(here)
        (listed,) = await here.actions.of_call("c1")
        assert (listed.id, listed.state) == (action_id, case.state)
        before = await here.audited()
        first = await here.actions.do(verb, action_id, by="ana")
        assert first is not None
        assert (first.told, first.action.state) == (told, state), first.text
        assert first.text
        after = await here.audited()
        # Whatever changed is in the audit trail, with who did it; nothing else is.
        assert all(by == "ana" for by, _ in after[len(before) :])
        assert (after == before) == (state is case.state)
        again = await here.actions.do(verb, action_id, by="ben")
        assert again is not None
        assert (again.told, again.action.state) == (told, state)
        assert await here.audited() == after
        assert len(here.diary.asked) <= 1
        (listed,) = await here.actions.of_call("c1")
        assert listed.state is state


async def test_every_state_is_in_the_table() -> None:
    assert {case.state for case in CASES.values()} == set(ActionState)


async def test_a_system_that_is_away_or_says_no_leaves_the_action_and_another_try_has_a_key_of_its_own(
    tmp_path: Path, database_url: str
) -> None:
    async with office(tmp_path, database_url) as here:
        action_id = await here.wrote()
        here.diary.away = True
        answer = await here.actions.do(Verb.UNDO, action_id, by="ana")
        assert answer is not None
        assert (answer.told, answer.action.state) == (Told.REFUSED, S.UNDO_FAILED)
        assert "cannot be reached" in answer.text
        here.diary.away, here.diary.outcome = False, "gone"
        answer = await here.actions.do(Verb.CANCEL, action_id, by="ana")
        assert answer is not None
        assert (answer.told, answer.action.state) == (Told.REFUSED, S.UNDO_FAILED)
        assert "answered: gone" in answer.text
        here.diary.outcome = "ok"
        answer = await here.actions.do(Verb.UNDO, action_id, by="ben")
        assert answer is not None
        assert (answer.told, answer.action.state, answer.action.problem) == (Told.SETTLED, S.UNDONE, None)
        # What may have arrived is asked for by the same key; what was answered is not asked for again.
        assert [key for _, _, key in here.diary.asked] == [f"undo:c1/{DEED}", f"undo:c1/{DEED}:1"]
        assert here.diary.asked[0][:2] == ("unbook", {"reference": "472"})
        tries = ["undo_begun", "undo_failed", "undo_begun", "undo_failed", "undo_begun", "undone"]
        assert [action for _, action in await here.audited()] == tries


@pytest.mark.parametrize(("settled", "state"), [(FollowUpState.DONE, S.UNDONE), (FollowUpState.CANCELLED, S.DONE)])
async def test_what_a_person_is_asked_to_undo_is_undone_when_they_say_so(
    tmp_path: Path, database_url: str, settled: FollowUpState, state: ActionState
) -> None:
    async with office(tmp_path, database_url) as here:
        action_id = await here.wrote("pay")
        for _ in range(2):
            await here.actions.do(Verb.UNDO, action_id, by="ana")
        (left,) = await here.deeds.follow_ups()
        assert left.text == "Undo pay: Ask for the money back."
        assert await here.deeds.settle(left.id, settled, "ben")
        (action,) = await here.actions.of_call("c1")
        assert action.state is state
        if state is S.DONE:  # nobody did, so somebody may be asked again
            answer = await here.actions.do(Verb.UNDO, action_id, by="ana")
            assert answer is not None
            assert answer.told is Told.BEGUN
            assert len(await here.deeds.follow_ups()) == 1


async def test_a_write_is_one_action_from_the_question_until_it_is_done(tmp_path: Path, database_url: str) -> None:
    async with office(tmp_path, database_url) as here:
        approval = await here.approval(ApprovalState.GRANTED)
        await here.deeds.note(approval, "c1", "book", to_json({}), to_json({"reference": "472"}))
        task = await here.task(TaskState.UNDER_WAY)
        await here.deeds.note(task, "c1", "book", to_json({}), to_json({"reference": "473"}))
        found = await here.actions.of_call("c1")
        assert {action.id for action in found} == {approval, task}
        assert {action.state for action in found} == {S.DONE}
        assert await here.actions.latest() == found


async def test_a_task_that_was_cancelled_is_not_begun(tmp_path: Path, database_url: str) -> None:
    async with office(tmp_path, database_url) as here:
        action_id = await here.task()
        await here.actions.do(Verb.CANCEL, action_id, by="ana")
        assert not await here.tasks.begin(PlannedTask("c1/note", "c1", TaskKind.OPERATION, "book"))
        assert await here.actions.book.cancelled_tasks(["c1/note", "c2/note"]) == {"c1/note"}


async def test_what_nobody_did_cannot_be_undone(tmp_path: Path, database_url: str) -> None:
    async with office(tmp_path, database_url) as here:
        assert await here.actions.do(Verb.UNDO, "0" * 32, by="ana") is None
        await here.callback()
        (action,) = await here.actions.of_call("c1")
        assert (action.kind, action.name) == (ActionKind.CALLBACK, "bills")
        assert await here.actions.of_call("c2") == []
