"""A board whose database fails at the worst moment: the caller keeps their place, and nobody is claimed for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from tests.fakes.contact_centre import ROUTING, Centre
from voicebot.calls.transfer import floor
from voicebot.calls.transfer.overdue import Overdue
from voicebot.calls.transfer.seams import NotKept, Place
from voicebot.records.board import QueueBoard
from voicebot.records.callbacks import CallbackBook
from voicebot.records.database import Database, locate
from voicebot.routing.agents import AgentState, ReachKind
from voicebot.routing.waiting import Standing


class Lost(Exception):
    """The connection died."""


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Centre]:
    async with Database.prepared(locate(tmp_path, f"sqlite:///{tmp_path / 'voicebot.sqlite3'}")) as database:
        made = Centre(database)
        async with made.running():
            await made.centre.set_state("ana", AgentState.AVAILABLE, ReachKind.BROWSER)
            yield made


def break_once(monkeypatch: pytest.MonkeyPatch, method: str, *, after: bool, times: int = 1) -> None:
    """Have a method of boards raise, before or `after` it has done what it does."""
    whole: Callable[..., Coroutine[Any, Any, Any]] = getattr(QueueBoard, method)
    left = times

    async def breaks(board: QueueBoard, *args: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            return await whole(board, *args, **named)
        if after:
            await whole(board, *args, **named)
        raise Lost

    monkeypatch.setattr(QueueBoard, method, breaks)


async def state_of(centre: Centre, agent_id: str) -> str:
    return next(row.state for row in (await centre.centre.snapshot()).agents if row.id == agent_id)


async def until_state(centre: Centre, agent_id: str, state: str) -> None:
    async with asyncio.timeout(15):
        while await state_of(centre, agent_id) != state:
            await asyncio.sleep(0.02)


async def test_a_claim_whose_answer_was_lost_rings_for_its_caller(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_once(monkeypatch, "claim", after=True)
    _, claimed = await centre.wait_in("service")
    async with asyncio.timeout(10):
        claim = await claimed
    assert claim.agent_id == "ana"
    agents = (await centre.centre.snapshot()).agents
    assert next(row.token for row in agents if row.id == "ana") == claim.token, "the one that was made, not another"


@pytest.mark.parametrize("after", [False, True])
async def test_a_caller_whom_the_board_does_not_take_waits_on_and_is_served(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    break_once(monkeypatch, "enter", after=after)
    place, claimed = await centre.wait_in("service")
    async with asyncio.timeout(10):
        claim = await claimed
    assert await centre.centre.joined(place, claim)


async def test_a_caller_who_left_before_the_board_took_them_is_not_on_it(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_once(monkeypatch, "enter", after=False, times=2)
    place, claimed = await centre.wait_in("technical")
    await centre.centre.leave(place, "caller_left")
    await asyncio.sleep(1.0)
    assert (await centre.centre.snapshot()).entries == []
    assert not claimed.done()


@pytest.mark.parametrize("method", ["hold", "joined"])
@pytest.mark.parametrize("after", [False, True])
async def test_who_said_yes_and_who_was_told_so_are_joined_although_the_board_fails(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, method: str, after: bool
) -> None:
    place, claimed = await centre.wait_in("service")
    claim = await claimed
    break_once(monkeypatch, method, after=after)
    assert await centre.centre.joined(place, claim)
    await until_state(centre, "ana", "busy")
    async with asyncio.timeout(10):
        while (await centre.centre.snapshot()).entries[0].state != "joined":
            await asyncio.sleep(0.02)


async def test_a_claim_that_was_lost_is_not_joined(centre: Centre) -> None:
    place, claimed = await centre.wait_in("service")
    claim = await claimed
    await centre.centre.free(claim, None, talked=False, wrap_up_s=0.0)
    assert not await centre.centre.joined(place, claim)


async def test_a_board_that_cannot_be_read_is_no_reason_to_send_a_caller_away(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_once(monkeypatch, "snapshot", after=False, times=1)
    outlook = await centre.centre.look(centre.centre.routing.queue_named("service"), 0)
    assert (outlook.standing, outlook.wait_s) == (Standing.OPEN, None)


async def test_whoever_is_on_the_board_for_nobody_is_let_go_of(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floor, "LOOK_EVERY_S", 0.05)
    place, claimed = await centre.wait_in("service")
    await claimed
    # As if the transfer had never heard of either.
    centre.centre._places.discard(place.entry_id)  # it holds who is anybody's
    await until_state(centre, "ana", "available")
    assert (await centre.centre.snapshot()).entries == []


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["made", "fails", "answer lost"])), max_size=12))
def test_of_all_changes_of_a_thing_the_newest_is_what_holds_in_the_end(changes: list[tuple[str, str]]) -> None:
    board: dict[str, int] = {}

    async def run() -> None:
        overdue = Overdue()
        for number, (what, how) in enumerate(changes):
            tries = [how]

            async def change(what: str = what, number: int = number, tries: list[str] = tries) -> None:
                now = tries.pop() if tries else "made"
                if now != "fails":
                    board[what] = number
                if now != "made":
                    raise Lost

            await overdue.surely(what, change)
        await overdue.catch_up()
        assert "a" not in overdue
        assert "b" not in overdue

    asyncio.run(run())
    assert board == {what: number for number, (what, _) in enumerate(changes)}


async def test_a_callback_that_the_database_does_not_take_is_told_as_one(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_book: CallbackBook, **_values: object) -> str:
        raise OperationalError("insert", {}, OSError())

    monkeypatch.setattr(CallbackBook, "book", away)
    place, queue = Place("entry-1", "call-1", "+12025550199", 0, datetime.now(UTC)), ROUTING.queue_named("service")
    with pytest.raises(NotKept):
        await centre.centre.book(place, queue, number=place.number, at=place.entered_at, reason="asked")
