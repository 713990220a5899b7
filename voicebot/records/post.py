"""Word between the servers that share a PostgreSQL, over its LISTEN and NOTIFY. On SQLite there is nobody to hear it.

Nothing is kept: what must not be lost stands in tables, and a notice only says that it is time to look. A question is
answered while it is asked or not at all.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from voicebot.records.database import Database

log = structlog.get_logger(__name__)

_CHANNEL = "voicebot"
#: PostgreSQL takes notices of less than 8,000 bytes.
MAX_BYTES = 7900
#: Changes within this time are one notice.
_GATHER_S = 0.02
_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 10.0
_ANSWER_S = 2.0

Question = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hearing:
    """What is done about what other servers say.

    `changed` is called when something on the board is different, and after every gap in which that could not have been
    heard. `answer` gets what another server asks, and returns whether it was done; `news` gets what one tells all.
    """

    changed: Callable[[], None]
    answer: Callable[[Question], bool]
    news: Callable[[Mapping[str, Any]], None]


class Post:
    """The post of the server called `instance`; `new_id` gives fresh random names."""

    def __init__(self, database: Database, *, instance: str, new_id: Callable[[], str]) -> None:
        self._database = database
        self._instance = instance
        self._new_id = new_id
        self._to_tell = asyncio.Event()
        self._news: list[Mapping[str, Any]] = []
        self._answers: dict[str, asyncio.Future[bool]] = {}
        self._answering: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self, hearing: Hearing) -> AsyncIterator[None]:
        """Hear others and be heard while the block lasts."""
        if not self._database.is_postgresql:
            yield
            return
        listen = partial(self._listen, hearing)
        tasks = [asyncio.create_task(work) for work in (self._again(listen), self._again(self._tell_changes))]
        try:
            yield
        finally:
            tasks += self._answering
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def tell_changed(self) -> None:
        """Tell every other server, soon, that something on the board is different."""
        self._to_tell.set()

    def tell(self, news: Mapping[str, Any]) -> None:
        """Tell every other server something, soon and in order; on SQLite nobody, and nobody what is too long."""
        if not self._database.is_postgresql:
            return
        if _is_too_long(self._notice({"to": "", "news": news})):
            log.error("the other servers are not told what is too long for a notice", most_bytes=MAX_BYTES)
            return
        self._news.append(news)
        self._to_tell.set()

    async def ask(self, instance: str, question: Question) -> bool:
        """Ask another server to do something; False when it did not, or does not answer."""
        if not self._database.is_postgresql:
            return False
        question_id = self._new_id()
        asking = {"to": instance, "id": question_id, "ask": question}
        if _is_too_long(self._notice(asking)):
            log.error("another server is not asked what is too long for a notice", most_bytes=MAX_BYTES)
            return False
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._answers[question_id] = answer
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._send(asking)
                return await answer
        except (TimeoutError, SQLAlchemyError) as error:
            log.warning("another server does not answer", server=instance, error=type(error).__name__)
            return False
        finally:
            del self._answers[question_id]

    async def _send(self, notice: Mapping[str, Any]) -> None:
        values = {"channel": _CHANNEL, "payload": self._notice(notice)}
        async with self._database.begin() as connection:
            await connection.execute(text("SELECT pg_notify(:channel, :payload)"), values)

    def _notice(self, notice: Mapping[str, Any]) -> str:
        return json.dumps({"from": self._instance, **notice})

    async def _again(self, work: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        """Do something for ever, over connections that may break; it calls what it is given when all is well."""
        retry_s = _FIRST_RETRY_S

        def well() -> None:
            nonlocal retry_s
            if retry_s != _FIRST_RETRY_S:
                log.info("the other servers are heard again")
            retry_s = _FIRST_RETRY_S

        while True:
            try:
                await work(well)
            except (SQLAlchemyError, psycopg.Error, OSError) as error:
                if retry_s == _FIRST_RETRY_S:
                    log.error("the other servers are not heard", error=type(error).__name__)
            await asyncio.sleep(retry_s)
            retry_s = min(2 * retry_s, _LAST_RETRY_S)

    async def _tell_changes(self, well: Callable[[], None]) -> None:
        while True:
            await self._to_tell.wait()
            await asyncio.sleep(_GATHER_S)
            self._to_tell.clear()
            try:
                while self._news:
                    await self._send({"to": "", "news": self._news[0]})
                    del self._news[0]
                await self._send({"to": ""})
            except BaseException:
                self._to_tell.set()
                raise
            well()

    async def _listen(self, hearing: Hearing, well: Callable[[], None]) -> None:
        engine = self._database.engine.execution_options(isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            try:
                await connection.execute(text(f"LISTEN {_CHANNEL}"))
                raw = await connection.get_raw_connection()
                driver = raw.driver_connection
                if not isinstance(driver, psycopg.AsyncConnection):
                    raise TypeError("PostgreSQL is reached over psycopg")
                well()
                hearing.changed()
                async for notify in driver.notifies():
                    self._hear(notify.payload, hearing)
            finally:
                # Closed, not given back: a pooled connection would go on listening.
                await connection.invalidate()

    def _hear(self, payload: str, hearing: Hearing) -> None:
        try:
            self._take(json.loads(payload), hearing)
        except Exception as error:  # noqa: BLE001  # whatever another program sends, the next notice must be heard
            log.warning("a notice between servers is not understood", error=type(error).__name__)

    def _take(self, notice: Mapping[str, Any], hearing: Hearing) -> None:
        if notice["from"] == self._instance or notice["to"] not in {"", self._instance}:
            return
        if "ask" in notice:
            task = asyncio.create_task(self._reply(notice, done=hearing.answer(notice["ask"])))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        elif "answer" in notice:
            waiting = self._answers.get(notice["id"])
            if waiting is not None and not waiting.done():
                waiting.set_result(notice["answer"])
        elif "news" in notice:
            hearing.news(notice["news"])
        else:
            hearing.changed()

    async def _reply(self, notice: Mapping[str, Any], *, done: bool) -> None:
        try:
            await self._send({"to": notice["from"], "id": notice["id"], "answer": done})
        except SQLAlchemyError as error:
            log.warning("another server could not be answered", server=notice["from"], error=type(error).__name__)


def _is_too_long(notice: str) -> bool:
    return len(notice.encode()) > MAX_BYTES
