"""What work is done with that was planned by a version of the flows which is not current any more."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.app.test_editions import Books, Maker, changed
from tests.dialog.small_bot import write_bot
from voicebot.app import planned as planned_module
from voicebot.app.editions import Editions
from voicebot.app.planned import _MOST_KEPT, PlannedWith
from voicebot.backends.backends import Backends
from voicebot.dialog.flow import Bot
from voicebot.dialog.library import Library
from voicebot.dialog.loader import load_bot


class Shelf:
    """Opens systems for versions that are closed, and counts them."""

    def __init__(self) -> None:
        self.books = Books()
        self.opened: list[Path] = []

    def open(self, folder: Path, bot: Bot) -> Backends:
        self.opened.append(folder)
        return Backends((self.books,), bot.operations, timeout_s=1)


@pytest.fixture
def maker() -> Maker:
    return Maker()


async def test_an_open_version_is_kept_open_while_it_is_used(maker: Maker, tmp_path: Path) -> None:
    editions = Editions(await maker.edition(write_bot(tmp_path / "first"), None), maker.edition)
    planned, first = PlannedWith(editions, Library(tmp_path / "library"), Shelf().open), editions.current
    async with planned.of(first.bot.version) as found:
        await editions.exchange(*changed(tmp_path / "second", "All is gone."))
        assert found.plan is first.after_call
        assert maker.books[first.bot.version].closed == 0
    assert maker.books[first.bot.version].closed == 1


async def test_a_published_version_is_opened_anew_with_what_it_was_published_with(maker: Maker, tmp_path: Path) -> None:
    folder, library, shelf = write_bot(tmp_path / "first"), Library(tmp_path / "library"), Shelf()
    reminder = "tasks:\n  remind:\n    follow_up: Look for the book.\n"
    (folder / "after_call.yaml").write_text(reminder, encoding="utf-8")
    old = library.publish(folder, at=datetime(2026, 11, 21, tzinfo=UTC))
    (folder / "after_call.yaml").unlink()
    editions = Editions(await maker.edition(folder, None), maker.edition)
    planned = PlannedWith(editions, library, shelf.open)
    async with planned.of(old.name) as found:
        assert set(found.plan.tasks) == {"remind"}
        assert "books.renew" in found.contracts
        assert shelf.books.closed == 0
    assert (len(shelf.opened), shelf.books.closed) == (1, 1)


async def test_a_published_version_is_read_once_for_all_its_tasks_and_forgotten_when_others_are_used(
    maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, reads = Library(tmp_path / "library"), list[str]()

    def counting(folder: Path) -> Bot:
        reads.append(folder.name)
        return load_bot(folder)

    monkeypatch.setattr(planned_module, "load_bot", counting)
    versions = []
    for number in range(_MOST_KEPT + 1):
        _, folder = changed(tmp_path / f"b{number}", f"This is version {number}.")
        versions.append(library.publish(folder, at=datetime(2026, 11, 21, tzinfo=UTC)).name)
    editions = Editions(await maker.edition(write_bot(tmp_path / "first"), None), maker.edition)
    planned = PlannedWith(editions, library, Shelf().open)

    async def use(version: str) -> None:
        async with planned.of(version) as found:
            assert "books.renew" in found.contracts

    await asyncio.gather(*(use(versions[0]) for _ in range(5)))
    assert len(reads) == 1
    for version in versions[1:]:
        await use(version)
    await use(versions[-1])
    assert len(reads) == len(versions)
    await use(versions[0])
    assert len(reads) == len(versions) + 1


async def test_a_version_that_was_never_published_is_followed_by_the_current_one(maker: Maker, tmp_path: Path) -> None:
    editions = Editions(await maker.edition(write_bot(tmp_path / "first"), None), maker.edition)
    planned = PlannedWith(editions, Library(tmp_path / "library"), Shelf().open)
    for unknown in ("0123456789abcdef", ""):
        async with planned.of(unknown) as found:
            assert found.operations is editions.current.backends
