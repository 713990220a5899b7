"""`voicebot explain`, `label`, `replay` and `policy tune` on conversations that really took place."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.dialog.strategies import FLOWS
from tests.fakes.chats import Office
from voicebot import cli
from voicebot.calls.chats import Customer, WrittenChannel
from voicebot.records.labels import read_labels
from voicebot.records.store import Store

DIALOGUES = Path(__file__).parent / "dialog" / "escalation" / "dialogues"
ANGRY = ("where is my order this is ridiculous", "i've had it with you people you are useless")
CALM = ("where is my order", "48213", "thank you goodbye")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with an angry conversation and a calm one, and the settings that lead to it."""

    async def talk() -> None:
        async with Store.open(tmp_path, on_failure=print) as store:
            office = Office(tmp_path, journal=store.journal)
            for name, said in (("angry", ANGRY), ("calm", CALM)):
                await office.chats.start(name, Customer(WrittenChannel.CHAT))
                for text in said:
                    if name in office.chats:
                        await office.chats.write(name, text)
            await office.chats.close()
            await office.backends.close()

    asyncio.run(talk())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOICEBOT_DATA", str(tmp_path))
    monkeypatch.setenv("VOICEBOT_FLOWS", str(FLOWS))
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = cli.main(list(arguments))
    printed = capsys.readouterr()
    return status, printed.out + printed.err


def with_threshold(folder: Path, threshold: str) -> Path:
    """Write the shipped policy with another score for a warm transfer."""
    text = (FLOWS / "policy.yaml").read_text(encoding="utf-8")
    path = folder / "new.yaml"
    usual = "callback: 0.65, warm_transfer: 0.75"
    assert usual in text
    path.write_text(text.replace(usual, f"warm_transfer: {threshold}"), encoding="utf-8")
    return path


def test_why_a_call_went_to_a_person_is_told_turn_by_turn(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, printed = run(capsys, "explain", "angry")
    assert status == 0
    first, second = printed.index("clarify by rule 'score'"), printed.index("warm_transfer by rule 'score'")
    assert first < second
    assert "angry_turns 2, weight 1.1" in printed
    assert "this is ridiculous" in printed


def test_why_a_call_did_not_go_to_a_person_is_told_too(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, printed = run(capsys, "explain", "calm")
    assert status == 0
    assert "not yet: the score is below every rung that is left" in printed
    assert run(capsys, "explain", "nobody") == (1, f"voicebot: There is no call 'nobody' in {data}.\n")


def test_a_stricter_policy_is_shown_to_change_the_angry_call(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = str(with_threshold(data, "9"))
    status, printed = run(capsys, "replay", "--policy", policy)
    assert status == 0
    assert "angry: at 2 then, never now" in printed
    assert "1 of 2 calls change" in printed
    assert "None of them has a label" in printed
    assert "0 of 0 calls change" in run(capsys, "replay", "--policy", policy, "--since", "2199-01-01")[1]


def test_labels_tell_how_good_a_policy_is(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "label", "angry", "2", "--why", "second angry turn", "--by", "quinn")[0] == 0
    assert run(capsys, "label", "calm", "1", "--why", "a slip", "--by", "quinn")[0] == 0
    assert run(capsys, "label", "calm", "never", "--why", "all went well", "--by", "quinn")[0] == 0
    assert [label.person_at for label in read_labels(data).values()] == [2, None]
    printed = run(capsys, "replay", "--policy", str(with_threshold(data, "9")))[1]
    assert "should be at 2 (second angry turn)" in printed
    assert "then  precision 100%, recall 100%, 0 turns too late (2 labelled)" in printed
    assert "now   precision 100%, recall 0%" in printed


def test_a_label_for_a_turn_that_is_not_there_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, printed = run(capsys, "label", "angry", "9", "--why", "?")
    assert status == 1
    assert "'angry' has decisions 1 to 2" in printed
    assert not read_labels(data)


def test_a_broken_policy_is_refused_with_its_line(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, printed = run(capsys, "replay", "--policy", str(with_threshold(data, "soon")))
    assert status == 1
    assert "new.yaml:" in printed
    assert "'soon' is no number of at least 0." in printed


def test_tuning_proposes_weights_as_a_diff_with_figures_held_back(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, printed = run(capsys, "policy", "tune", "--written", str(DIALOGUES))
    assert status == 0
    assert "--- policy.yaml" in printed
    assert "+      stalled_turns: {weight: " in printed
    assert "126 calls held back" in printed
    assert "proposed  precision" in printed


def test_tuning_on_next_to_nothing_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, printed = run(capsys, "policy", "tune")
    assert status == 1
    assert "0 labelled calls are too few" in printed
