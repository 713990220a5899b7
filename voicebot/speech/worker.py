"""A speech worker process: ``python -m voicebot.speech.worker --kind asr --listen unix:///run/asr-1.sock``.

It loads its engine, listens, and prints ``ready`` on one line. It ends on SIGTERM, or when the standard input that
its supervisor holds open reaches its end, so that no worker outlives a media process that was killed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import structlog

from voicebot.errors import EngineUnavailable
from voicebot.speech.workers.host import Host
from voicebot.speech.workers.service import create

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Arguments:
    kind: str
    listen: str
    options: Mapping[str, object]
    supervised: bool
    niceness: int


def _parse(arguments: Sequence[str] | None) -> _Arguments:
    parser = argparse.ArgumentParser(prog="python -m voicebot.speech.worker", description=__doc__)
    parser.add_argument("--kind", required=True, help="asr, tts, or a module with create(options)")
    parser.add_argument("--listen", required=True, help="unix:///path or tcp://127.0.0.1:port")
    parser.add_argument("--options", default="{}", help="a JSON object for the service")
    parser.add_argument("--supervised", action="store_true", help="end when standard input ends")
    parser.add_argument("--niceness", type=int, default=0, help="added to the scheduling niceness of the process")
    parsed = parser.parse_args(arguments)
    options = json.loads(parsed.options)
    if not isinstance(options, dict):
        parser.error("--options must be a JSON object")
    return _Arguments(parsed.kind, parsed.listen, options, parsed.supervised, parsed.niceness)


def _keep_output_for_ourselves() -> TextIO:
    """Return the real standard output and send everything that native libraries print to standard error."""
    announcements = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return announcements


async def _serve(arguments: _Arguments, announcements: TextIO) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if arguments.supervised:
        await loop.connect_read_pipe(lambda: _EndOfInput(stop), sys.stdin)
    service = create(arguments.kind, arguments.options)
    await service.warm_up()
    host = Host(service)
    server = await host.listen(arguments.listen)
    print("ready", file=announcements, flush=True)
    await stop.wait()
    await host.close(server)


class _EndOfInput(asyncio.Protocol):
    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def eof_received(self) -> None:
        self._stop.set()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._stop.set()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one worker until it is stopped; 1 when its engine cannot work."""
    parsed = _parse(arguments)
    announcements = _keep_output_for_ourselves()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
    structlog.contextvars.bind_contextvars(kind=parsed.kind, pid=os.getpid())
    os.nice(parsed.niceness)
    try:
        asyncio.run(_serve(parsed, announcements))
    except EngineUnavailable as error:
        _log.error("speech engine cannot start", error=str(error))
        print("failed", " ".join(str(error).split()), file=announcements, flush=True)
        return 1
    finally:
        scheme, _, path = parsed.listen.partition("://")
        if scheme == "unix":
            Path(path).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
