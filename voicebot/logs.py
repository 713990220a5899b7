"""One stream of log lines for everything in a process: structlog, the standard library's loggers, and loguru.

Lines are JSON or, for people, plain text. They are written by a thread of their own, so that a terminal or a log
collector which stops reading never holds up the audio. Personal values show only their length (see `personal.py`),
and exceptions that may quote one show where they came from and not what they say.
"""

from __future__ import annotations

import atexit
import logging
import queue
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, TextIO

import structlog
from loguru import logger as loguru_logger
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from voicebot.errors import VoicebotError
from voicebot.redaction import redact

if TYPE_CHECKING:
    from loguru import Message

LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]

#: Lines waiting for a reader that has stopped reading; beyond them lines are dropped and counted.
_WAITING_LINES = 10_000
#: How long the end of the process waits for the last lines to be read.
_LAST_LINES_S = 2.0
#: Our own loggers. A library's DEBUG lines are never shown: they quote what passes through it, such as the statements
#: for the database with every word of a turn.
_OURS = "voicebot"
#: Libraries that tell more at INFO than an operator wants, or quote what callers say.
_QUIET = ("aiohttp.access", "alembic", "asyncio", "faster_whisper", "sqlalchemy", "twilio", "urllib3", "websockets")
#: How pipecat writes the words of a text frame into its messages.
_FRAME_TEXT = re.compile(r"text: \[.*\]|text='.*'|text=\".*\"", re.DOTALL)


class _LineWriter(logging.Handler):
    """Renders records where they are logged and writes the lines in a thread."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(_WAITING_LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log writer", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001  # a value that cannot be rendered must not end whoever logged it
            self.handleError(record)
            return
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Write what is waiting, as far as the reader takes it within two seconds."""
        if self._thread.is_alive():
            try:
                self._lines.put(None, timeout=_LAST_LINES_S)
            except queue.Full:
                pass  # nobody reads: the lines are lost either way
            else:
                self._thread.join(_LAST_LINES_S)
        super().close()

    def _write(self) -> None:
        told = 0
        while (line := self._lines.get()) is not None:
            try:
                if dropped := self._dropped - told:
                    told += dropped
                    self._stream.write(f'{{"level": "warning", "event": "log lines dropped", "lines": {dropped}}}\n')
                self._stream.write(line + "\n")
                if self._lines.empty():
                    self._stream.flush()
            except (OSError, ValueError):
                return  # the stream is closed; there is nowhere left to say so


def _name_process(process: str) -> Processor:
    def name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return name


#: How names of fields end whose values we or a carrier made up, and what those look like: one word, letters among them.
_ID_FIELDS = ("id", "sid")
_ID = re.compile(r"(?=.*[A-Za-z])(?!.*(?:\d[-_]?){9})[A-Za-z0-9_-]{8,64}")
#: Twilio's names of calls, streams and messages; UUIDs; our own names of actions. They stand in messages, too.
_HEX_ID = re.compile(
    r"(?<![A-Za-z0-9])(?:[A-Z]{2}(?=\d*[a-f])[0-9a-f]{32}|(?=\d*[a-f])[0-9a-f]{32}"
    r"|(?=[\d-]*[a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?![A-Za-z0-9])"
)


#: Exceptions whose messages name files, modules, attributes and kinds of values, or are ours, which quote nobody.
_HOLD_NO_DATA = (VoicebotError, OSError, ImportError, AttributeError, TypeError, NameError, BaseExceptionGroup)

#: Stands for an id while numbers are looked for; no letter, so that it neither names a number nor breaks one off.
_FIRST_STAND_IN = 0xE000


def _without_secrets(name: str, value: str) -> str:
    """Take numbers out of a text of the field `name`, but let ids be read, whose digits look like an account's."""
    if name.rpartition("_")[2] in _ID_FIELDS and _ID.fullmatch(value):
        return value
    ids = {chr(_FIRST_STAND_IN + number): found for number, found in enumerate(dict.fromkeys(_HEX_ID.findall(value)))}
    for stand_in, found in ids.items():
        value = value.replace(found, stand_in)
    value = redact(value)
    for stand_in, found in ids.items():
        value = value.replace(stand_in, found)
    return value


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take numbers of cards and the like out of every text, whoever logged it without thinking of them."""
    for name, value in event.items():
        if isinstance(value, str) and name != "timestamp":
            event[name] = _without_secrets(name, value)
    return event


def _from_loguru(message: Message) -> None:
    """Hand a loguru message on without the words of callers that pipecat quotes from its text frames."""
    record = message.record
    exception = record["exception"]
    logging.getLogger(record["name"] or "loguru").log(
        record["level"].no,
        "%s",
        _FRAME_TEXT.sub("text: <personal>", record["message"]),
        exc_info=(exception.type, exception.value, exception.traceback)
        if exception and exception.type and exception.value
        else None,
    )


def _told(exc_info: ExcInfo) -> str:
    """Return an exception and what led to it with the lines it went through, without anybody's data.

    Local variables are never shown, and messages only of exceptions that do not quote the values they failed at: a
    database's name the parameters of a statement, a number's the text that is none, and either may be a caller's words.
    """
    return "\n".join(_lines(exc_info[1], seen=set()))


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    if error.__cause__ is not None and id(error.__cause__) not in seen:
        yield from _lines(error.__cause__, seen)
        yield "\nThe above was the direct cause of:\n"
    elif error.__context__ is not None and not error.__suppress_context__ and id(error.__context__) not in seen:
        yield from _lines(error.__context__, seen)
        yield "\nWhile that was handled:\n"
    yield "Traceback (most recent call last):"
    yield "".join(traceback.format_tb(error.__traceback__)).rstrip()
    message = str(error) if isinstance(error, _HOLD_NO_DATA) else "<withheld, it may hold a caller's data>"
    yield f"{type(error).__module__}.{type(error).__qualname__}: {message}"
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield "\nOne of them:\n"
            yield from _lines(part, seen)


def _write_trace(stream: TextIO, exc_info: ExcInfo) -> None:
    stream.write("\n" + _told(exc_info))


def configure_logs(
    log_format: LogFormat, level: LogLevel, *, process: str = "voicebot", stream: TextIO | None = None
) -> None:
    """Send every logger of this process to `stream`, standard error by default; a later call replaces an earlier.

    `process` stands in each line and tells the server from its speech workers.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_process(process),
        _redact,
    ]
    rendering: list[Processor] = (
        [structlog.processors.ExceptionRenderer(_told), structlog.processors.JSONRenderer(ensure_ascii=False)]
        if log_format == "json"
        else [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=_write_trace)]
    )
    handler = _LineWriter(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    for earlier in [each for each in root.handlers if isinstance(each, _LineWriter)]:
        root.removeHandler(earlier)
        atexit.unregister(earlier.close)
        earlier.close()
    root.addHandler(handler)
    atexit.register(handler.close)
    root.setLevel(max(number, logging.INFO))
    logging.getLogger(_OURS).setLevel(number)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    # pipecat logs through loguru, whose own sink would write to standard error past all of this.
    loguru_logger.remove()
    loguru_logger.add(_from_loguru, level=max(number, logging.WARNING), format="{message}")
