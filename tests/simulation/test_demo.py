"""The demo's own judgement, without a server: what counts as done, what it prints, what it must have heard."""

from __future__ import annotations

import io
import json
import socket
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from voicebot.backends.demo.data import make_demo_data
from voicebot.simulation.conversations import BALANCE, ORDER, appointment
from voicebot.simulation.demo import judge
from voicebot.simulation.result import CallEnd, CallResult, Speaker, Spoken
from voicebot.simulation.script import Say
from voicebot.simulation.server import ServerFailed, ServerPlan, free_port, running
from voicebot.simulation.terminal import Terminal

TODAY = date(2026, 11, 20)
REACHED = {"goal": "balance", "goal_reached": True}
FACTS = ("your balance is 12 dollars",)


def result(heard: str, end: CallEnd = CallEnd.DONE) -> CallResult:
    return CallResult("balance", end, "why", "CA1", spoken=(Spoken(Speaker.BOT, heard, 0.0, 1.0),))


def test_a_call_counts_when_the_record_and_the_callers_ears_agree() -> None:
    assert judge(BALANCE, result("so your balance is twelve dollars bye"), REACHED, FACTS) == ""


def test_a_goal_that_the_caller_never_heard_does_not_count() -> None:
    assert judge(BALANCE, result("your balance is twenty dollars"), REACHED, FACTS) == (
        "the caller never heard 'your balance is 12 dollars'"
    )


def test_words_that_the_caller_said_are_not_words_they_heard() -> None:
    spoken = (Spoken(Speaker.CALLER, "your balance is twelve dollars", 0.0, 1.0),)
    assert judge(BALANCE, CallResult("balance", CallEnd.DONE, "", "CA1", spoken=spoken), REACHED, FACTS)


@pytest.mark.parametrize(
    "record", [{"goal": "balance", "goal_reached": False}, {"goal": "hours", "goal_reached": True}]
)
def test_an_answer_without_the_record_does_not_count(record: dict[str, object]) -> None:
    assert "the record's goal" in judge(BALANCE, result("your balance is twelve dollars"), record, FACTS)


@pytest.mark.parametrize("end", [end for end in CallEnd if end is not CallEnd.DONE])
def test_a_caller_who_gave_up_was_not_served(end: CallEnd) -> None:
    assert "gave up" in judge(BALANCE, result("your balance is twelve dollars", end), REACHED, FACTS)


def test_what_must_be_heard_comes_from_the_database(tmp_path: Path) -> None:
    company = tmp_path / "demo.sqlite"
    make_demo_data(company, TODAY)
    assert BALANCE.facts(company, "+1") == ("your balance is 1,905 dollars and 33 cents",)
    assert ORDER.facts(company, "+1")[0] == "5 days late"
    with closing(sqlite3.connect(company)) as connection:
        connection.execute("UPDATE customer SET balance_cents = 4200")
        connection.execute("DELETE FROM appointment")
        connection.execute("INSERT INTO appointment (day, time, phone) VALUES ('2026-11-27', '16:00', '+1')")
        connection.commit()
    assert BALANCE.facts(company, "+1") == ("your balance is 42 dollars",)
    assert appointment(TODAY).facts(company, "+1") == (
        "booked for Friday, November 27th at 4 PM",
        "Tuesday",
        "at 4 PM",
    )
    with pytest.raises(LookupError):
        appointment(TODAY).facts(company, "+2")


@pytest.mark.parametrize(
    ("day", "first", "then"),
    [
        (date(2026, 11, 21), "Wednesday", "Friday"),
        (date(2026, 11, 20), "Wednesday", "Tuesday"),  # a Friday: "on Friday" might be understood as today
        (date(2026, 12, 21), "Wednesday", "Tuesday"),  # Friday is Christmas
    ],
)
def test_the_appointment_is_on_days_that_can_be_had(day: date, first: str, then: str) -> None:
    said = [deed.text for step in appointment(day).script.steps for deed in step.deeds if isinstance(deed, Say)]
    assert (said[1], said[3]) == (f"On {first}.", f"Actually, on {then}.")


def test_a_turn_is_shown_with_what_was_heard_understood_decided_and_how_long_it_took() -> None:
    out = io.StringIO()
    terminal = Terminal(out)
    terminal.turn(
        {
            "speaker": "caller",
            "text": "my balance",
            "secret": False,
            "intent": "balance",
            "confidence": 0.97,
            "slots": {"account_number": "1"},
            "decision": "welcome.first: intent",
            "timings_ms": {"end_of_turn": 300.4, "first_audio_sent": 480.0},
        }
    )
    shown = out.getvalue()
    for part in ("my balance", "balance 0.97 · account_number = 1", "welcome.first: intent", "end of turn 300"):
        assert part in shown
    assert "\x1b" not in shown


def test_a_secret_turn_shows_nothing_of_it() -> None:
    out = io.StringIO()
    Terminal(out).turn(
        {"speaker": "caller", "text": "1593", "secret": True, "intent": None, "slots": {}, "decision": None}
        | {"timings_ms": {}}
    )
    assert "1593" not in out.getvalue()


@pytest.mark.parametrize(
    ("heard", "shown"),
    [(None, "bot says        One moment.\n"), ("One", "One … (interrupted)\n"), ("", "")],
)
def test_of_the_bots_words_only_those_are_shown_that_were_heard(heard: str | None, shown: str) -> None:
    out = io.StringIO()
    Terminal(out).turn({"speaker": "bot", "text": "One moment.", "heard_text": heard})
    assert out.getvalue().endswith(shown)
    assert bool(out.getvalue()) is bool(shown)


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, plain = _Screen(), _Screen()
    Terminal(coloured).success("done")
    monkeypatch.setenv("NO_COLOR", "1")
    Terminal(plain).success("done")
    assert "\x1b[32m" in coloured.getvalue()
    assert plain.getvalue() == "✓  done\n"


def test_long_lines_are_wrapped_under_their_label(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    screen = _Screen()
    Terminal(screen).caller_says("word " * 30)
    lines = screen.getvalue().splitlines()
    assert len(lines) > 3
    assert all(len(line) <= 60 for line in lines)
    assert all(line.startswith(" " * 19) for line in lines[1:])


def test_a_port_in_use_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = taken.getsockname()[1]
        assert free_port(busy) != busy
    assert free_port(busy) == busy


async def test_a_server_that_cannot_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    flows = tmp_path / "flows"
    flows.mkdir()
    steps: list[str] = []
    with pytest.raises(ServerFailed, match=r"\.yaml"):
        async with running(ServerPlan(tmp_path / "data", flows, 0, 0), steps.append):
            pass
    assert json.dumps(steps)


async def test_a_port_taken_while_the_server_gets_ready_is_given_up_for_another(tmp_path: Path) -> None:
    server = tmp_path / "server.py"
    # Stands for a server that finds its port taken only when it is ready to listen; any port will do for port 0.
    server.write_text(
        "import sys\n"
        "port = sys.argv[sys.argv.index('--port') + 1]\n"
        "if port != '0':\n"
        "    sys.exit(f'voicebot: settings: `port`: cannot listen on 127.0.0.1:{port} (in use).')\n"
        "print('ready http://127.0.0.1:1 call-page=x twilio-webhook=y engines=none', flush=True)\n"
        "sys.stdin.read()\n",
        encoding="utf-8",
    )
    steps: list[str] = []
    plan = ServerPlan(tmp_path / "data", tmp_path, command=(str(server),))
    async with running(plan, steps.append) as started:
        assert started.url == "http://127.0.0.1:1"
    assert steps == ["a port was taken meanwhile: starting again on others"]


def test_a_run_on_an_earlier_ones_folder_begins_with_a_new_company(tmp_path: Path) -> None:
    for name in ("demo.sqlite", "demo.sqlite-wal", "voicebot.sqlite3"):
        (tmp_path / name).touch()
    ServerPlan(tmp_path, tmp_path).forget_company()
    assert [path.name for path in tmp_path.iterdir()] == ["voicebot.sqlite3"]
