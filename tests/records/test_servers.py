"""Servers that share a database: where each is reached, whose desks are open at it, and word between them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.fakes import postgresql
from voicebot.records.board import LEASE
from voicebot.records.database import Database, locate
from voicebot.records.post import MAX_BYTES, Hearing, Post, Question
from voicebot.records.servers import Servers

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.fixture
def shared_url(postgresql_socket: str) -> Iterator[str]:
    with postgresql.fresh_database(postgresql_socket) as url:
        yield url


class Neighbour:
    """A server that counts how often it was told of changes, and grants what is called fine."""

    def __init__(self, database: Database, name: str) -> None:
        ids = itertools.count()
        self.post = Post(database, instance=name, new_id=lambda: f"{name}-{next(ids)}")
        self.changes = 0
        self.asked: list[Question] = []
        self.news: list[Question] = []

    def changed(self) -> None:
        self.changes += 1

    def answer(self, question: Question) -> bool:
        self.asked.append(question)
        return bool(question.get("fine"))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.post.running(Hearing(self.changed, self.answer, self.news.append)):
            await until(lambda: self.changes > 0)  # it listens
            yield


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_an_agents_desk_is_found_at_another_server_while_that_lives(database_url: str, tmp_path: Path) -> None:
    async with Database.prepared(locate(tmp_path, database_url)) as database:
        later = [NOW]
        east = Servers(database, instance="east", url="https://east.example", now=lambda: later[0])
        west = Servers(database, instance="west", url=None, now=lambda: later[0])
        await east.keep(())
        await west.keep(("ana", "ben"))
        assert await east.has_desk_elsewhere("ana")
        assert not await west.has_desk_elsewhere("ana"), "its own is not elsewhere"
        assert await west.url_of("east") == "https://east.example"
        assert await west.url_of("west") is None
        assert await west.urls() == ["https://east.example"]

        await west.keep(("ben",))
        assert not await east.has_desk_elsewhere("ana")
        later[0] += LEASE + timedelta(seconds=1)
        assert not await east.has_desk_elsewhere("ben"), "west was not heard of for too long"
        await east.keep(("ben",))
        assert not await west.has_desk_elsewhere("ben"), "the page could not reach west"
        later[0] += timedelta(days=31)
        await west.keep(())
        assert await west.urls() == []


async def test_servers_tell_each_other_and_answer(shared_url: str, tmp_path: Path) -> None:
    async with Database.prepared(locate(tmp_path, shared_url)) as database:
        east, west = Neighbour(database, "east"), Neighbour(database, "west")
        async with east.running(), west.running():
            before = east.changes, west.changes
            for _ in range(20):
                east.post.tell_changed()
            await until(lambda: west.changes > before[1])
            assert east.changes == before[0], "nobody tells themself"
            assert west.changes == before[1] + 1, "what comes together is told once"
            for number in range(5):
                east.post.tell({"number": number})
            await until(lambda: len(west.news) == 5)
            assert west.news == [{"number": number} for number in range(5)]
            assert east.news == []
            assert await east.post.ask("west", {"fine": True, "what": "hold"})
            assert not await east.post.ask("west", {"fine": False})
            assert west.asked[0] == {"fine": True, "what": "hold"}
            assert east.asked == []
        async with east.running():
            assert not await east.post.ask("west", {"fine": True}), "west is gone"


async def test_a_server_whose_connections_were_cut_hears_the_others_again(shared_url: str, tmp_path: Path) -> None:
    async with Database.prepared(locate(tmp_path, shared_url)) as database:
        east, west = Neighbour(database, "east"), Neighbour(database, "west")
        async with east.running(), west.running():
            before = east.changes, west.changes
            async with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                cut = (
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE query LIKE 'LISTEN%' AND datname = current_database()"  # others' tests have databases, too
                )
                assert await connection.scalar(text(cut)) == 2
            await until(lambda: east.changes > before[0] and west.changes > before[1])
            assert await east.post.ask("west", {"fine": True})


async def test_a_notice_that_is_too_long_or_makes_no_sense_stops_no_other(shared_url: str, tmp_path: Path) -> None:
    async with Database.prepared(locate(tmp_path, shared_url)) as database:
        east, west = Neighbour(database, "east"), Neighbour(database, "west")
        async with east.running(), west.running():
            east.post.tell({"number": "9" * MAX_BYTES})
            assert not await east.post.ask("west", {"fine": True, "what": "9" * MAX_BYTES})
            for foreign in ("no JSON", "[]", '{"from": "north"}', '{"from": "north", "to": "", "ask": 5}'):
                async with database.begin() as connection:
                    await connection.execute(text("SELECT pg_notify('voicebot', :payload)"), {"payload": foreign})
            east.post.tell({"number": 1})
            await until(lambda: west.news)
            assert west.news == [{"number": 1}]
            assert await east.post.ask("west", {"fine": True})


async def test_on_sqlite_there_is_nobody_to_tell(tmp_path: Path) -> None:
    async with Database.prepared(locate(tmp_path, f"sqlite:///{tmp_path / 'voicebot.sqlite3'}")) as database:
        alone = Neighbour(database, "east")
        async with alone.post.running(Hearing(alone.changed, alone.answer, alone.news.append)):
            alone.post.tell_changed()
            assert not await alone.post.ask("west", {"fine": True})
