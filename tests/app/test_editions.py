"""Which version of the flows a call gets, and when the systems behind a version are let go."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.dialog.small_bot import write_bot
from tests.fakes.transcriber import ScriptedTranscriber
from tests.fakes.voice import HummingVoice
from voicebot.app.editions import Edition, Editions
from voicebot.app.sessions import standing_prompts
from voicebot.app.speech import Speech
from voicebot.backends.backends import BackendResult, Backends
from voicebot.dialog.events import SlotValue
from voicebot.dialog.loader import load_bot
from voicebot.errors import EngineUnavailable
from voicebot.language.endings import Endings
from voicebot.language.understanding import Understanding
from voicebot.media.hearing import TurnModel
from voicebot.speech.dictation import Dictation
from voicebot.work.plan import Plan


class Books:
    """Counts how often it was closed."""

    def __init__(self) -> None:
        self.operations = frozenset({"books.due", "books.renew"})
        self.closed = 0

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None
    ) -> BackendResult:
        return BackendResult("ok")

    async def close(self) -> None:
        self.closed += 1


class NoTurnModel(TurnModel):
    async def probability(self, pcm: bytes) -> float:
        return 1.0


class Maker:
    def __init__(self) -> None:
        self.books: dict[str, Books] = {}
        self.fails = False

    async def edition(self, folder: Path, speech: Speech | None) -> Edition:
        if self.fails:
            raise EngineUnavailable("The voice is gone.")
        bot = load_bot(folder)
        books = self.books[bot.version] = Books()
        heard = speech or Speech(ScriptedTranscriber([]), HummingVoice(), NoTurnModel(), (), Dictation(None))
        systems = Backends((books,), bot.operations, timeout_s=1)
        return Edition(
            bot,
            Understanding({"one": ("a b", "c d", "e f")}),
            Endings(()),
            systems,
            heard,
            standing_prompts(bot),
            Plan(),
        )


def changed(folder: Path, words: str) -> tuple[str, Path]:
    write_bot(folder)
    (folder / "down.yaml").write_text(f"flow: down\nsteps:\n  - say: {words}\n", encoding="utf-8")
    return load_bot(folder).version, folder


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
async def editions(maker: Maker, tmp_path: Path) -> Editions:
    return Editions(await maker.edition(write_bot(tmp_path / "first"), None), maker.edition)


async def test_a_call_keeps_its_version_and_new_calls_get_the_new_one(
    editions: Editions, maker: Maker, tmp_path: Path
) -> None:
    first = editions.current
    async with editions.held(first):
        name, folder = changed(tmp_path / "second", "All is gone.")
        assert await editions.exchange(name, folder)
        assert editions.current.bot.version == name != first.bot.version
        assert maker.books[first.bot.version].closed == 0
    assert maker.books[first.bot.version].closed == 1
    assert maker.books[name].closed == 0


async def test_a_version_without_calls_is_let_go_at_once(editions: Editions, maker: Maker, tmp_path: Path) -> None:
    first = editions.current.bot.version
    await editions.exchange(*changed(tmp_path / "second", "All is gone."))
    assert maker.books[first].closed == 1


async def test_what_a_call_leaves_to_a_task_keeps_its_version_before_the_task_begins(
    editions: Editions, maker: Maker, tmp_path: Path
) -> None:
    """The work after the last call of a version that is no longer current."""
    first = editions.current

    async def work_after(held: AbstractAsyncContextManager[None]) -> int:
        async with held:
            return maker.books[first.bot.version].closed

    async with editions.held(first):
        await editions.exchange(*changed(tmp_path / "second", "All is gone."))
        working = asyncio.create_task(work_after(editions.held(first)))
    assert await working == 0
    assert maker.books[first.bot.version].closed == 1


async def test_a_version_that_cannot_be_made_is_refused_and_nothing_changes(
    editions: Editions, maker: Maker, tmp_path: Path
) -> None:
    first = editions.current
    name, folder = changed(tmp_path / "second", "All is gone.")
    maker.fails = True
    assert not await editions.exchange(name, folder)
    assert editions.current is first
    assert f"{name} was refused" in editions.state
    maker.fails = False
    assert await editions.exchange(name, folder)
    assert editions.state == name


async def test_going_back_to_a_version_that_calls_still_use_needs_no_second_one(
    editions: Editions, maker: Maker, tmp_path: Path
) -> None:
    first = editions.current
    async with editions.held(first):
        await editions.exchange(*changed(tmp_path / "second", "All is gone."))
        assert await editions.exchange(first.bot.version, tmp_path / "first")
        assert editions.current is first
    assert maker.books[first.bot.version].closed == 0


async def test_closing_closes_the_systems_of_every_version(editions: Editions, maker: Maker, tmp_path: Path) -> None:
    async with editions.held(editions.current):
        await editions.exchange(*changed(tmp_path / "second", "All is gone."))
        await editions.close()
    assert all(books.closed for books in maker.books.values())
