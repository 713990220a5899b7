"""What can be found wrong with the settings at once, before speech is loaded: ports that are taken, missing files."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

from voicebot.app.handover import hold_music
from voicebot.app.sip import check_sip, sip_hosts
from voicebot.errors import ConfigurationError, Problem
from voicebot.settings import Settings

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
        lambda: check_sip(settings),
        lambda: _check_models(settings),
    ):
        try:
            check()
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(problems)


def _check_models(settings: Settings) -> None:
    if settings.models is not None and not settings.models.is_dir():
        what = f"`models`: there is no folder {settings.models}."
        fix = "Name the one with the speech models and voices, or leave it out."
        raise ConfigurationError([Problem("settings", None, what, fix)])


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
