"""What `flows check` says of systems.yaml and the articles: all that would keep a server from starting."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dialog.small_bot import write_bot
from voicebot.backends.check import systems_findings
from voicebot.dialog.check import check
from voicebot.dialog.loader import load_bot

SYSTEMS = """\
systems:
  - name: shelves
    sql: SHELVES_URL
    operations:
      books.due:
        select: SELECT title, due, late_days, fee FROM book WHERE member = :member AND pin = :pin
        nothing: unknown
"""
OPEN = {"SHELVES_URL": "sqlite://"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bot(tmp_path)
    (tmp_path / "systems.yaml").write_text(SYSTEMS, encoding="utf-8")
    return tmp_path


def findings(folder: Path, environ: dict[str, str], *, but: str = "books.due") -> list[str]:
    """Return what is found where all operations are built in but this one."""
    bot = load_bot(folder)
    built_in = frozenset(bot.operations) - {but}
    return [str(finding) for finding in systems_findings(folder, bot, environ=environ, built_in=built_in)]


def test_nothing_is_found_where_all_is_well(folder: Path) -> None:
    assert findings(folder, OPEN) == []


def test_a_mistake_in_the_file_refuses_the_bot_with_its_line(folder: Path) -> None:
    text = SYSTEMS.replace("select:", "selct:")
    (folder / "systems.yaml").write_text(text, encoding="utf-8")
    found = findings(folder, OPEN)
    assert any(one.startswith("systems.yaml:6: error: 'selct' is not known here.") for one in found), found


def test_a_variable_that_is_not_set_is_a_warning(folder: Path) -> None:
    (found,) = findings(folder, {})
    assert found.startswith("systems.yaml:2: warning: 'shelves' needs the environment variable SHELVES_URL.")


def test_a_variable_that_holds_nothing_of_use_refuses_the_bot(folder: Path) -> None:
    (found,) = findings(folder, {"SHELVES_URL": "hush"})
    assert found.startswith("systems.yaml:2: error: SHELVES_URL, where 'shelves' is, holds no URL of a database.")


def test_an_operation_that_nothing_carries_out_refuses_the_bot(folder: Path) -> None:
    (found,) = findings(folder, OPEN, but="books.renew")
    assert "error: No system carries out 'books.renew'." in found
    assert found.startswith("bot.yaml:")


def test_an_article_without_an_answer_refuses_the_bot(folder: Path) -> None:
    (folder / "knowledge").mkdir()
    (folder / "knowledge" / "fees.md").write_text("# Fees\n\n## What is the fee?\n", encoding="utf-8")
    (found,) = findings(folder, OPEN)
    assert found.startswith("knowledge/fees.md:3: error: 'What is the fee?' has no answer.")


def test_a_bot_that_the_check_finds_good_has_all_its_files_read(folder: Path) -> None:
    """As the command asks for it: findings of other rooms count as the dialog's own."""
    (folder / "systems.yaml").write_text("systems: []\n", encoding="utf-8")
    report = check(folder, beside=[lambda at, bot: systems_findings(at, bot, environ={}, built_in=frozenset())])
    assert not report.may_go_live
