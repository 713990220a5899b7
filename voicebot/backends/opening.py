"""Opens the systems that ``systems.yaml`` names, with their secrets from the environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from voicebot.backends.backends import System
from voicebot.backends.environment import tls_context, unset, unusable, web_address
from voicebot.backends.http import HttpSystem
from voicebot.backends.journal import WRITES, WriteJournal
from voicebot.backends.resilience import Clock
from voicebot.backends.sql import SqlSystem
from voicebot.backends.systems import HttpSpec, SqlSpec, read_systems
from voicebot.dialog.flow import Operation
from voicebot.errors import ConfigurationError


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

    `ConfigurationError` names every environment variable that is missing or of no use, or every mistake in the file.
    Nothing is connected before the first call.
    """
    specs = read_systems(directory, contracts)
    problems = [*unset(specs, environ), *unusable(specs, environ)]
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
                    url=web_address(spec, environ),
                    environ=environ,
                    journal=journal,
                    clock=clock,
                    jitter=jitter,
                    tls=tls_context(spec, environ),
                )
            )
    return tuple(systems)
