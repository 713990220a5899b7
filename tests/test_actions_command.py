"""`voicebot actions` as a supervisor at a terminal uses it, on both databases."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.dialog.small_bot import write_bot
from tests.fakes.sealing import KEYS
from tests.test_records_command import _Party
from voicebot import cli
from voicebot.records.deeds import Deeds
from voicebot.records.record import Outcome
from voicebot.records.store import Store, verify_audit

DEED, APPROVAL = "d" * 32, "a" * 32


@pytest.fixture
def data(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a call for which a book was renewed and another renewal waits to be allowed."""

    async def fill() -> None:
        now = datetime.now(UTC)
        async with Store.open(tmp_path, url=database_url, on_failure=print) as store:
            store.journal.begin_call("c1", _Party("+1"), now, "f")
            store.journal.end_call("c1", now, Outcome.COMPLETED, "we_hung_up")
            await store.journal.flush()
            deeds = Deeds(store.database, KEYS, now=lambda: now)
            await deeds.note(DEED, "c1", "books.renew", "{}", "{}")
            await deeds.ask(APPROVAL, "c1", "books.renew", "{}", 600)

    asyncio.run(fill())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOICEBOT_DATABASE_URL", database_url)
    monkeypatch.setenv("VOICEBOT_DATA", str(tmp_path))
    monkeypatch.setenv("VOICEBOT_FLOWS", str(write_bot(tmp_path / "flows")))
    return tmp_path


def test_actions_are_listed_cancelled_and_undone_and_what_cannot_be_says_why(
    data: Path, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        status = cli.main(["actions", *arguments])
        return status, capsys.readouterr().out

    status, printed = run("list", "--call", "c1")
    assert status == 0
    assert {line.split()[3] for line in printed.splitlines()} == {"done", "awaiting_approval"}
    assert run("list", "--call", "c2") == (0, "")
    status, printed = run("cancel", APPROVAL)
    assert (status, "cancelled" in printed) == (0, True)
    status, printed = run("cancel", DEED)
    assert (status, "only a person can take it back: Put the former day back." in printed) == (1, True)
    for _ in range(2):
        status, printed = run("undo", DEED)
        assert (status, "with_person" in printed) == (0, True)
    assert run("undo", "0" * 32)[0] == 1
    report = asyncio.run(verify_audit(data, url=database_url))
    assert report.sound
