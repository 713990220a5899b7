"""What can be found wrong with the settings at once, before speech is loaded: ports that are taken, missing files."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

from voicebot.app.doors import asterisk_peers, oidc_provider
from voicebot.app.handover import desk_tickets, hold_music, packet_receivers
from voicebot.app.sip import check_sip, sip_hosts
from voicebot.app.speech import recogniser_wish
from voicebot.app.twilio import check_twilio
from voicebot.errors import ConfigurationError, Problem
from voicebot.settings import Settings
from voicebot.speech.models import Recogniser, list_recognisers

_TCP, _UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A port that will be listened on, by the setting that names it."""

    setting: str
    host: str
    port: int
    kind: socket.SocketKind


def look_over(settings: Settings) -> None:
    """Raise ConfigurationError with everything that would keep the server from starting later. It blocks.

    A port may still be taken between this and the moment when it is listened on, which says so as well.
    """
    # One setting may stand for two ports.
    problems = list(dict.fromkeys(problem for wanted in _ports(settings) if (problem := _taken(wanted))))
    for check in (
        lambda: hold_music(settings.hold_music),
        lambda: packet_receivers(settings),
        lambda: desk_tickets(settings),
        lambda: check_sip(settings),
        lambda: check_twilio(settings),
        lambda: oidc_provider(settings),
        lambda: asterisk_peers(settings),
        lambda: _check_models(settings),
    ):
        try:
            check()
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(problems)


def _check_models(settings: Settings) -> None:
    """Raise ConfigurationError for models that were named and are not there: none is quietly replaced by another."""
    if settings.models is not None and not settings.models.is_dir():
        what = f"`models`: there is no folder {settings.models}."
        fix = "Name the one with the speech models and voices, or leave it out."
        raise ConfigurationError([Problem("settings", None, what, fix)])
    named = {
        Recogniser.WHISPER: ("whisper_model", settings.whisper_model),
        Recogniser.VOSK: ("vosk_model", settings.vosk_model),
        Recogniser.POCKETSPHINX: ("acoustic_model", settings.acoustic_model),
    }
    fix = "Correct the name, or leave it out; 'voicebot models' lists what there is."
    problems = [
        Problem("settings", None, f"`{setting}`: {name} cannot be used: {report.note}.", fix)
        for report in list_recognisers(recogniser_wish(settings))
        for setting, name in [named.get(report.engine, ("", None))]
        if name is not None and not report.present
    ]
    if problems:
        raise ConfigurationError(problems)


def _ports(settings: Settings) -> Iterator[_Wanted]:
    yield _Wanted("port", settings.host, settings.port, _TCP)
    for host in sip_hosts(settings):
        yield _Wanted("sip_port", host, settings.sip_port, _UDP)
        yield _Wanted("sip_port", host, settings.sip_port, _TCP)
        if settings.sip.tls_port is not None:
            yield _Wanted("sip.tls_port", host, settings.sip.tls_port, _TCP)
    if settings.audiosocket_port is not None:
        yield _Wanted("audiosocket_port", settings.host, settings.audiosocket_port, _TCP)


def _taken(wanted: _Wanted) -> Problem | None:
    """Return why a port cannot be had; None when it can, or any would do."""
    if not wanted.port:
        return None
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            wanted.host, wanted.port, type=wanted.kind, flags=socket.AI_PASSIVE
        ):
            with socket.socket(family, kind, protocol) as trial:
                if kind is _TCP:  # as servers do: what the last one left behind is no hindrance
                    trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                trial.bind(address)
    except OSError as error:
        what = f"`{wanted.setting}`: cannot listen on {wanted.host}:{wanted.port} ({error.strerror})."
        fix = "Something else listens there, or it is no address of this machine. Choose another, or 0 for any port."
        return Problem("settings", None, what, fix)
    return None
