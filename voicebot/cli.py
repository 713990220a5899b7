"""The `voicebot` command."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

from voicebot import __version__
from voicebot.errors import VoicebotError
from voicebot.logs import configure_logs
from voicebot.settings import Settings, load_settings

log = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return the exit status: 0 done, 1 failed, 2 used wrongly."""
    parser = argparse.ArgumentParser(prog="voicebot", description="Answers a company's phone.")
    parser.add_argument("--version", action="version", version=f"voicebot {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    _add_serve(commands.add_parser("serve", help="take calls"))
    given = parser.parse_args(arguments)
    try:
        return int(given.run(given))
    except VoicebotError as error:
        print(f"voicebot: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address to listen on (loopback unless told)")
    parser.add_argument("--port", type=int, help="HTTP port, 0 for any free one")
    parser.add_argument("--sip-port", type=int, help="SIP port")
    parser.add_argument("--data", type=Path, help="folder for everything the server keeps")
    parser.add_argument("--flows", type=Path, help="folder with the bot's flows")
    parser.add_argument("--models", type=Path, help="folder with speech models and voices")
    parser.set_defaults(run=_serve)


def _serve(given: argparse.Namespace) -> int:
    settings = load_settings(
        host=given.host,
        port=given.port,
        sip_port=given.sip_port,
        data=given.data,
        flows=given.flows,
        models=given.models,
    )
    configure_logs(settings.log_format, settings.log_level)
    import uvloop  # noqa: PLC0415  # only the server runs on it

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_until_told(settings))
    return 0


async def _serve_until_told(settings: Settings) -> None:
    # Imported here: the speech libraries behind it take seconds, which no other subcommand should pay.
    from voicebot.app.serving import serving  # noqa: PLC0415

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with serving(settings, lambda text: log.info("starting", step=text)) as server:
        log.info("SIP is not part of this version; calls come over Twilio Media Streams and the browser")
        print(
            f"ready {server.url} call-page={server.url}/call twilio-webhook={server.url}/twilio/voice "
            f"engines={'; '.join(server.engines)}",
            flush=True,
        )
        await stop.wait()
