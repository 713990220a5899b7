"""The `voicebot` command."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

from voicebot import __version__
from voicebot.commands.access import add_tokens, add_users
from voicebot.commands.actions import add_actions
from voicebot.commands.audit import add_audit
from voicebot.commands.backup import add_backup, add_restore
from voicebot.commands.escalation import add_explain, add_label_command, add_replay
from voicebot.commands.flows import add_flows
from voicebot.commands.policy import add_policy
from voicebot.commands.recordings import add_recordings
from voicebot.commands.records import add_records
from voicebot.errors import ConfigurationError, Problem, VoicebotError
from voicebot.logs import configure_logs
from voicebot.settings import Settings, load_settings, unread_variables

log = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return the exit status: 0 done, 1 failed, 2 used wrongly."""
    parser = argparse.ArgumentParser(prog="voicebot", description="Answers a company's phone.")
    parser.add_argument("--version", action="version", version=f"voicebot {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    _add_serve(commands.add_parser("serve", help="take calls"))
    _add_call(commands.add_parser("call", help="place a call to a running server as a caller would"))
    _add_models(commands.add_parser("models", help="what hears and speaks here, and why"))
    add_flows(commands.add_parser("flows", help="check, try, draw and publish a bot's flows"))
    add_recordings(commands.add_parser("recordings", help="check recordings, and exchange their key"))
    add_actions(commands.add_parser("actions", help="what the bot did or will do, and how it is cancelled or undone"))
    add_audit(commands.add_parser("audit", help="show what was decided and done, and find what was changed there"))
    add_explain(commands.add_parser("explain", help="why a call went to a person or not, turn by turn"))
    add_label_command(commands.add_parser("label", help="say at which turn of a call a person was due"))
    add_replay(commands.add_parser("replay", help="run another escalation policy over stored calls"))
    add_policy(commands.add_parser("policy", help="fit the escalation policy to labelled calls"))
    add_users(commands.add_parser("users", help="who may sign in, and as what"))
    add_tokens(commands.add_parser("tokens", help="what programs show to use the API"))
    add_records(commands.add_parser("records", help="keep or delete calls, by age, on request or under a legal hold"))
    add_backup(commands.add_parser("backup", help="copy everything that lasts, while the server runs"))
    add_restore(commands.add_parser("restore", help="put a backup where nothing is yet"))
    given = parser.parse_args(arguments)
    configure_logs("console", "warning")
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
    parser.add_argument("--sip-port", type=int, help="SIP port for UDP and TCP, 0 for any free one")
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
    for name, likeliest in unread_variables(os.environ).items():
        log.warning("no setting has this name, so it is not read", variable=name, likeliest=likeliest)
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
        print(
            f"ready {server.url} call-page={server.url}/call twilio-webhook={server.url}/twilio/voice "
            f"sip={server.sip.uri} engines={'; '.join(server.engines)}",
            flush=True,
        )
        await stop.wait()


#: Where `voicebot serve` listens unless told otherwise, by the way in.
_ADDRESSES = {"twilio": "http://127.0.0.1:8080", "sip": "sip:127.0.0.1:5060"}


def _add_call(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--via", choices=sorted(_ADDRESSES), help="how the call comes in (Twilio unless told)")
    parser.add_argument("--url", help="where the server listens: http://HOST:PORT, over SIP sip:HOST:PORT")
    parser.add_argument("--text", action=_Said, help="say this, or press it if it is keys; may be given again")
    parser.add_argument("--wav", action=_Said, help="play this recording; may be given again")
    parser.add_argument("--mic", action="store_true", help="talk yourself")
    parser.add_argument("--noise", type=float, metavar="DB", help="speech over line noise, in dB")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write both sides to a two-channel WAV")
    parser.add_argument("--flows", type=Path, help="the flows whose language the caller knows")
    parser.set_defaults(run=_call, says=[])


class _Said(argparse.Action):
    """Keeps texts and recordings in the order in which they were given."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        del parser
        said = Path(str(values)) if option_string == "--wav" else str(values)
        namespace.says = [*namespace.says, said]


def _call(given: argparse.Namespace) -> int:
    from voicebot.simulation.place import CallOrder, place_call  # noqa: PLC0415  # see _serve_until_told

    settings = load_settings(flows=given.flows)
    token = settings.twilio_auth_token
    order = CallOrder(
        url=_address(given.via, given.url),
        says=tuple(given.says),
        microphone=given.mic,
        noise_snr_db=given.noise,
        auth_token=token.get_secret_value() if token else None,
        flows=settings.flows,
        recording=given.record,
    )
    return asyncio.run(place_call(order))


def _address(via: str | None, url: str | None) -> str:
    """Return where to call; ConfigurationError for an address that is none, or not one of that way in."""
    if url is None:
        return _ADDRESSES[via or "twilio"]
    scheme = url.partition(":")[0]
    ways = {"http": "twilio", "https": "twilio", "sip": "sip", "sips": "sip"}
    if scheme not in ways or via not in {None, ways[scheme]}:
        what = f"{url} is no address to call" + (f" by {via}." if scheme in ways else ".")
        fix = f"Write it as {_ADDRESSES[via]}." if via else f"Write it as {' or '.join(_ADDRESSES.values())}."
        raise ConfigurationError([Problem("--url", None, what, fix)])
    return url


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models", type=Path, help="folder with speech models and voices")
    parser.set_defaults(run=_models)
    actions = parser.add_subparsers(title="what to do", metavar="ACTION")
    pulling = actions.add_parser("pull", help="fetch a published model, checked by hash")
    pulling.add_argument("name", help="such as whisper-tiny.en")
    # Not given again here, --models before the action would be forgotten.
    pulling.add_argument("--models", type=Path, default=argparse.SUPPRESS, help="the folder to put it in")
    pulling.set_defaults(run=_pull_model)


def _pull_model(given: argparse.Namespace) -> int:
    from voicebot.speech.published import installed_models, published_models, pull  # noqa: PLC0415  # see _models
    from voicebot.speech.recognition.whisper import hub  # noqa: PLC0415  # see _models
    from voicebot.speech.synthesis.piper import is_piper_voice, pull_piper_voice  # noqa: PLC0415  # see _models

    model = published_models().get(given.name)
    folder = load_settings(models=given.models).models or installed_models()
    if model is None and not is_piper_voice(given.name) and hub.repository_of(given.name) is None:
        known = ", ".join(published_models())
        others = "Piper's voices and Whisper models of the hub (base.en, OWNER/NAME) by name"
        print(f"There is no model {given.name}; there are {known}, and {others}.", file=sys.stderr)
        return 2
    print(f"fetching {given.name} into {folder}", flush=True)
    if model is None and not is_piper_voice(given.name):
        fetched = hub.pull_whisper_model(given.name, folder)
        print(f"{fetched}: its page on the hub tells its licence. Hear with it by VOICEBOT_WHISPER_MODEL={fetched}")
        return 0
    if model is None:
        voice = pull_piper_voice(given.name, folder)
        print(f"{voice}: its model card tells its licence. Speak with it by VOICEBOT_VOICE=piper:{voice}")
        return 0
    pulled = pull(model, folder)
    print(f"{pulled}: {model.licence}. {model.use.format(folder=pulled)}")
    return 0


def _models(given: argparse.Namespace) -> int:
    from voicebot.app.speech import configured_voice, recogniser_wish  # noqa: PLC0415  # see _serve_until_told
    from voicebot.speech.models import describe_models  # noqa: PLC0415  # see _serve_until_told

    settings = load_settings(models=given.models)
    print(describe_models(recogniser_wish(settings), configured_voice(settings)))
    return 0
