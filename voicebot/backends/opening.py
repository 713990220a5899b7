"""Opens the systems that ``systems.yaml`` names, with their secrets from the environment."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

from voicebot.backends.backends import System
from voicebot.backends.http import HttpSystem
from voicebot.backends.journal import WRITES, WriteJournal
from voicebot.backends.resilience import Clock
from voicebot.backends.sql import SqlSystem
from voicebot.backends.systems import (
    FILE,
    ClientCertificate,
    HeaderAuth,
    HttpSpec,
    OAuthClient,
    Spec,
    SqlSpec,
    read_systems,
)
from voicebot.dialog.flow import Operation
from voicebot.errors import ConfigurationError, Problem


def open_systems(
    directory: Path,
    contracts: Mapping[str, Operation],
    *,
    data: Path,
    environ: Mapping[str, str],
    clock: Clock,
    jitter: Callable[[], float],
) -> tuple[System, ...]:
    """Open what the bot in `directory` declares; `data` is where the journal of writes lies.

    `ConfigurationError` names every environment variable that is missing, and every mistake in the file. Nothing is
    connected before the first call.
    """
    specs = read_systems(directory, contracts)
    problems = [
        Problem(FILE, None, f"'{spec.name}' needs the environment variable {variable}.", "Set it, or mend the name.")
        for spec in specs
        for variable in _variables(spec)
        if not environ.get(variable)
    ]
    if problems:
        raise ConfigurationError(problems)
    journal = WriteJournal(data / WRITES) if any(isinstance(spec, HttpSpec) for spec in specs) else None
    systems: list[System] = []
    for spec in specs:
        if isinstance(spec, SqlSpec):
            systems.append(SqlSystem(spec, contracts, environ[spec.url]))
        elif journal:
            systems.append(
                HttpSystem(
                    spec,
                    contracts,
                    url=environ.get(spec.url, spec.url).rstrip("/"),
                    environ=environ,
                    journal=journal,
                    clock=clock,
                    jitter=jitter,
                    tls=_tls(spec, environ),
                )
            )
    return tuple(systems)


def _variables(spec: Spec) -> tuple[str, ...]:
    if isinstance(spec, SqlSpec):
        return (spec.url,)
    address = (spec.url,) if spec.url.isupper() else ()
    match spec.auth:
        case None:
            return address
        case HeaderAuth(value=value):
            return (*address, value)
        case OAuthClient(client_id=client_id, client_secret=client_secret):
            return (*address, client_id, client_secret)
        case ClientCertificate(certificate=certificate, key=key, authority=authority):
            return (*address, certificate, key, *((authority,) if authority else ()))


def _tls(spec: HttpSpec, environ: Mapping[str, str]) -> ssl.SSLContext | None:
    if not isinstance(spec.auth, ClientCertificate):
        return None
    authority = spec.auth.authority
    try:
        context = ssl.create_default_context(cafile=environ[authority] if authority else None)
        context.load_cert_chain(environ[spec.auth.certificate], environ[spec.auth.key])
    except (OSError, ssl.SSLError) as error:
        what = f"The certificate of '{spec.name}' cannot be read."
        raise ConfigurationError(
            [Problem(FILE, None, what, "Check the paths and that certificate and key fit.")]
        ) from error
    return context
