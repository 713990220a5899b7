from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.dialog.small_bot import write_bot
from voicebot.dialog.conversation import Conversation
from voicebot.dialog.events import CallStarted
from voicebot.dialog.library import Library, RefusedVersion, UnknownVersion
from voicebot.dialog.loader import load_bot

AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_bot(tmp_path / "source")


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library")


def reword(source: Path, new: str) -> None:
    path = source / "down.yaml"
    path.write_text(f"flow: down\nsteps:\n  - say: {new}\n", encoding="utf-8")


def test_a_version_is_named_by_its_content_and_keeps_it(source: Path, library: Library) -> None:
    version = library.publish(source, at=AT, by="ann", note="first")
    assert version.name == load_bot(source).version
    assert (version.by, version.note, version.published_at, version.is_current) == ("ann", "first", AT, True)
    reword(source, "All is gone.")
    assert "Our system is down." in (version.folder / "down.yaml").read_text(encoding="utf-8")
    assert library.load_current().version == version.name
    assert load_bot(source).version != version.name


def test_publishing_the_same_content_again_makes_no_second_version(source: Path, library: Library) -> None:
    first = library.publish(source, at=AT)
    again = library.publish(source, at=AT + timedelta(days=1))
    assert again == first
    assert len(library.versions()) == 1


def test_a_broken_bot_is_refused_with_all_its_mistakes_and_nothing_changes(source: Path, library: Library) -> None:
    first = library.publish(source, at=AT)
    reword(source, "Until {never}.")
    (source / "sorry.yaml").write_text("flow: sorry\nstepps: []\n", encoding="utf-8")
    with pytest.raises(RefusedVersion) as refused:
        library.publish(source, at=AT + timedelta(days=1))
    assert len(refused.value.report.errors) >= 2
    assert library.versions() == (first,)
    assert library.current_name() == first.name


def test_rolling_back_goes_to_the_version_before_and_to_any_by_name(source: Path, library: Library) -> None:
    first = library.publish(source, at=AT)
    reword(source, "All is gone.")
    second = library.publish(source, at=AT + timedelta(hours=1))
    assert [version.name for version in library.versions()] == [second.name, first.name]
    assert library.rollback().name == first.name
    assert library.current_name() == first.name
    with pytest.raises(UnknownVersion):
        library.rollback()
    assert library.rollback(second.name[:6]).name == second.name


def test_a_call_stays_with_the_version_it_began_on(source: Path, library: Library) -> None:
    library.publish(source, at=AT)
    talk = Conversation(library.load_current())
    talk.step(CallStarted(AT, "test", "", "", "UTC", 1))
    reword(source, "All is gone.")
    second = library.publish(source, at=AT + timedelta(hours=1))
    assert Conversation(library.load_current()).flow_version == second.name
    assert talk.flow_version != second.name
    assert "Our system is down." in talk.bot.static_prompts()


def test_a_diff_shows_what_changed_and_in_which_file(source: Path, library: Library) -> None:
    first = library.publish(source, at=AT)
    reword(source, "All is gone.")
    assert "+  - say: All is gone." in library.diff_with(first.name, source)
    second = library.publish(source, at=AT + timedelta(hours=1))
    shown = library.diff(first.name, second.name)
    assert f"{second.name}/down.yaml" in shown
    assert "-  - say: Our system is down." in shown
    assert "renew.yaml" not in shown
    assert library.diff(first.name, first.name) == ""


def test_an_article_that_changes_makes_a_new_version(source: Path, library: Library) -> None:
    (source / "knowledge").mkdir()
    (source / "knowledge" / "cards.md").write_text("# Cards\n", encoding="utf-8")
    first = library.publish(source, at=AT)
    (source / "knowledge" / "cards.md").write_text("# Library cards\n", encoding="utf-8")
    assert library.publish(source, at=AT + timedelta(hours=1)).name != first.name


def test_a_lexicon_and_recordings_are_part_of_a_version_and_no_flows(source: Path, library: Library) -> None:
    first = library.publish(source, at=AT)
    (source / "lexicon.yaml").write_text("Nguyen: win\n", encoding="utf-8")
    (source / "recordings").mkdir()
    (source / "recordings" / "0123456789abcdef.wav").write_bytes(b"RIFF\xff\xfe")
    second = library.publish(source, at=AT + timedelta(hours=1))
    assert second.name != first.name
    assert (second.folder / "recordings" / "0123456789abcdef.wav").is_file()
    assert library.load_current().folder == second.folder
    shown = library.diff(first.name, second.name)
    assert "+Nguyen: win" in shown
    assert "+6 bytes of audio" in shown


def test_a_story_that_changes_makes_none(source: Path, library: Library) -> None:
    first = library.publish(source, at=AT)
    (source / "stories").mkdir()
    (source / "stories" / "one.yaml").write_text("- story: one\n  steps: []\n", encoding="utf-8")
    assert library.publish(source, at=AT + timedelta(hours=1)).name == first.name


def test_an_unknown_version_is_named_with_those_there_are(source: Path, library: Library) -> None:
    with pytest.raises(UnknownVersion, match="Nothing is published"):
        library.version("abc")
    with pytest.raises(UnknownVersion, match="Nothing is published"):
        library.load_current()
    first = library.publish(source, at=AT)
    with pytest.raises(UnknownVersion, match=first.name):
        library.version("nothing-like-it")


def test_published_files_are_read_only_and_no_draft_is_left(source: Path, library: Library) -> None:
    version = library.publish(source, at=AT)
    assert (version.folder / "down.yaml").stat().st_mode & 0o222 == 0
    assert [path.name for path in version.folder.parent.iterdir()] == [version.name]
