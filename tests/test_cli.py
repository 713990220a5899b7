import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from voicebot import cli
from voicebot.simulation import place

FLOWS = str(Path(__file__).parents[1] / "flows")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    # The command configures the logs of its process, which here is that of every other test.
    structlog.reset_defaults()


def test_the_shipped_flows_are_checked_and_their_stories_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["flows", "check", "--flows", FLOWS]) == 0
    assert "0 errors" in capsys.readouterr().out
    assert cli.main(["flows", "test", "--flows", FLOWS]) == 0
    assert "0 failed, 0 steps unreached" in capsys.readouterr().out


def test_broken_flows_are_an_error_that_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bot.yaml").write_text("bot: Test\nstart: nowhere\n", encoding="utf-8")
    assert cli.main(["flows", "check", "--flows", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert "bot.yaml" in printed.out + printed.err


def test_every_flow_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["flows", "graph", "--flows", FLOWS]) == 0
    assert "flowchart" in capsys.readouterr().out


def test_models_tell_what_runs_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models"]) == 0
    printed = capsys.readouterr().out
    assert "runs: pocketsphinx" in printed
    assert "runs: " in printed.partition("voices")[2]


def test_a_call_says_texts_keys_and_recordings_in_the_order_given(monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[place.CallOrder] = []

    async def remember(order: place.CallOrder) -> int:
        await asyncio.sleep(0)
        orders.append(order)
        return 0

    monkeypatch.setattr(place, "place_call", remember)
    arguments = ["call", "--text", "my balance", "--wav", "number.wav", "--text", "4071", "--noise", "15"]
    assert cli.main(arguments) == 0
    assert orders[0].says == ("my balance", Path("number.wav"), "4071")
    assert orders[0].noise_snr_db == 15


def test_a_call_to_nobody_is_a_clear_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["call", "--url", "http://127.0.0.1:9", "--text", "hello", "--flows", FLOWS]) == 1
    assert "Traceback" not in capsys.readouterr().err
