"""Log lines: one stream for every logger, personal values masked, nothing held up by a stream nobody reads."""

from __future__ import annotations

import io
import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from loguru import logger as loguru_logger
from sqlalchemy import text

from voicebot.errors import BackendUnavailable
from voicebot.logs import configure_logs
from voicebot.personal import Personal
from voicebot.records.database import Database, locate


@pytest.fixture(autouse=True)
def _quiet_afterwards() -> Iterator[None]:
    before = {name: logging.getLogger(name).level for name in (None, "voicebot")}
    yield
    configure_logs("console", "error", stream=io.StringIO())
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """End the writer of `stream`, so that all is written, and return its lines."""
    configure_logs("console", "error", stream=io.StringIO())
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_holds_the_constant_text_and_the_fields() -> None:
    stream = io.StringIO()
    configure_logs("json", "info", process="server", stream=stream)
    structlog.get_logger("voicebot.calls").info("call ended", call_id="c1", turns=3)
    (line,) = _lines(stream)
    assert line["event"] == "call ended"
    assert line["call_id"] == "c1"
    assert line["turns"] == 3
    assert line["level"] == "info"
    assert line["process"] == "server"
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_personal_values_show_only_their_length_wherever_they_stand(log_format: Any) -> None:
    stream = io.StringIO()
    configure_logs(log_format, "info", stream=stream)
    log = structlog.get_logger("voicebot.calls")
    log.info("caller spoke", text=Personal("my pin is 4711"), nested={"words": [Personal("4711")]})
    logging.getLogger("plain").warning("heard %s", Personal("4711"))
    configure_logs("console", "error", stream=io.StringIO())
    assert "4711" not in stream.getvalue()
    assert "<personal, 14 characters>" in stream.getvalue()
    assert stream.getvalue().count("<personal, 4 characters>") == 2


def test_the_number_of_a_card_is_taken_out_of_whatever_is_logged() -> None:
    stream = io.StringIO()
    configure_logs("json", "info", stream=stream)
    structlog.get_logger("voicebot").info("odd answer", body="card 4111 1111 1111 1111 refused", port=8080)
    logging.getLogger("plain").warning("bad request: %s", "pan=4111111111111111")
    first, second = _lines(stream)
    assert (first["body"], first["port"]) == ("card [card number] refused", 8080)
    assert second["event"] == "bad request: pan=[card number]"


STREAM = "MZ4283fefc63f0cd0e873a0000c6d07ef7"


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("stream_sid", STREAM, STREAM),
        ("call_id", "Tw116JiFKa1Uk2WU", "Tw116JiFKa1Uk2WU"),
        ("trace", "9bc92d8a-9671-4609-88b9-778403924671", "9bc92d8a-9671-4609-88b9-778403924671"),
        ("problem", f"stream {STREAM} ended at 4111 1111 1111 1111", f"stream {STREAM} ended at [card number]"),
        ("problem", f"the pin of {STREAM} is 4711", f"the pin of {STREAM} is [pin]"),
        ("call_id", "4111111111111111", "[card number]"),
        ("call_id", "x4111-1111-1111-1111", "x4111-[card number]"),
        ("order_id", "my card 4111 1111 1111", "my card [card number]"),
        ("problem", "MZ" + "4" * 32, "[account number]"),
    ],
)
def test_ids_stay_readable_and_what_only_looks_like_one_does_not(field: str, value: str, shown: str) -> None:
    stream = io.StringIO()
    configure_logs("json", "info", stream=stream)
    structlog.get_logger("voicebot").info("said", **{field: value})
    (line,) = _lines(stream)
    assert line[field] == shown


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_the_way_an_exception_came_and_no_value_that_it_met(log_format: Any) -> None:
    stream = io.StringIO()
    configure_logs(log_format, "info", stream=stream)

    def fail() -> None:
        heard = "four seven one one"
        try:
            int(heard)
        except ValueError as error:
            raise BackendUnavailable("the shop did not answer") from error

    try:
        fail()
    except BackendUnavailable:
        structlog.get_logger("voicebot").exception("turn failed")
    configure_logs("console", "error", stream=io.StringIO())
    shown = stream.getvalue()
    assert "in fail" in shown
    assert "ValueError: <withheld" in shown
    assert "BackendUnavailable: the shop did not answer" in shown
    assert shown.index("ValueError: <withheld") < shown.index("BackendUnavailable: the shop")
    assert "invalid literal" not in shown


def test_loguru_is_heard_from_warning_on_and_never_with_the_words_of_a_frame() -> None:
    stream = io.StringIO()
    configure_logs("json", "debug", stream=stream)
    loguru_logger.info("linking processors")
    loguru_logger.warning("cannot push TranscriptionFrame#3(user: a, text: [my pin is 4711 [sic]], language: en)")
    (line,) = _lines(stream)
    assert line["level"] == "warning"
    assert "TranscriptionFrame#3" in line["event"]
    assert "4711" not in line["event"]
    assert "sic" not in line["event"]


def test_an_exception_that_loguru_carries_keeps_its_traceback() -> None:
    stream = io.StringIO()
    configure_logs("json", "info", stream=stream)
    try:
        socket.create_connection(("127.0.0.1", 0), timeout=1)
    except OSError:
        loguru_logger.exception("pipeline failed")
    (line,) = _lines(stream)
    assert line["event"] == "pipeline failed"
    assert "Connection refused" in line["exception"]


def test_the_level_holds_for_every_kind_of_logger() -> None:
    stream = io.StringIO()
    configure_logs("json", "error", stream=stream)
    structlog.get_logger("voicebot").warning("too quiet")
    logging.getLogger("other").warning("too quiet")
    loguru_logger.warning("too quiet")
    structlog.get_logger("voicebot").error("loud enough")
    assert [line["event"] for line in _lines(stream)] == ["loud enough"]


def test_chatty_libraries_are_heard_from_warning_on() -> None:
    stream = io.StringIO()
    configure_logs("json", "debug", stream=stream)
    logging.getLogger("sqlalchemy.engine").info("INSERT INTO turns VALUES ('my pin is 4711')")
    logging.getLogger("aiohttp.access").info("GET /call")
    assert _lines(stream) == []


async def test_at_debug_level_no_library_tells_what_is_written_to_the_database(
    tmp_path: Path, database_url: str
) -> None:
    stream = io.StringIO()
    configure_logs("json", "debug", stream=stream)
    async with Database.prepared(locate(tmp_path, database_url)) as database, database.begin() as connection:
        await connection.execute(text("SELECT :words"), {"words": "for Aiko Tanaka"})
    structlog.get_logger("voicebot.calls").debug("asked")
    written = _lines(stream)
    assert "asked" in [line["event"] for line in written]
    assert "Tanaka" not in str(written)


def test_configuring_twice_does_not_double_the_lines() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logs("json", "info", stream=first)
    configure_logs("json", "info", stream=second)
    structlog.get_logger("voicebot").info("ready")
    assert len(_lines(second)) == 1
    assert first.getvalue() == ""


class _Stuck(io.StringIO):
    """A stream whose reader has stopped reading until `go`."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def write(self, text: str, /) -> int:
        self.go.wait(30)
        return super().write(text)


def test_a_stream_that_nobody_reads_does_not_hold_up_who_logs_and_losses_are_counted() -> None:
    stream = _Stuck()
    configure_logs("json", "info", stream=stream)
    log = structlog.get_logger("voicebot")
    for number in range(10_500):  # returns at once although nothing can be written
        log.info("line", number=number)
    stream.go.set()
    lines = _lines(stream)
    told = [line["lines"] for line in lines if line["event"] == "log lines dropped"]
    assert sum(told) + len(lines) - len(told) == 10_500
    assert told


def test_configuring_logs_does_not_import_pipecat() -> None:
    program = (
        "import sys, voicebot.logs; voicebot.logs.configure_logs('json', 'info'); sys.exit('pipecat' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_last_lines_of_a_process_are_written() -> None:
    program = (
        "import structlog; from voicebot.logs import configure_logs; configure_logs('json', 'info');"
        "[structlog.get_logger('x').info('line', number=n) for n in range(2000)]"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, timeout=60, capture_output=True, text=True)
    assert len(done.stderr.splitlines()) == 2000
