"""What every test gets: no way out to the network, logs of its own, and Hypothesis without a stopwatch."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

settings.register_profile("voicebot", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("voicebot")

_AT_HOME = ("127.", "::1", "localhost", "0.0.0.0")  # connecting to it reaches this machine only


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    """Undo what a command has done to the logs of its process, which here is that of every other test."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _stay_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that would leave this machine; what it needs runs on loopback."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def check(line: socket.socket, address: Any) -> None:
        if line.family in {socket.AF_INET, socket.AF_INET6} and not str(address[0]).startswith(_AT_HOME):
            raise AssertionError(f"a test tried to reach {address[0]}; tests stay on loopback")

    def guarded_connect(line: socket.socket, address: Any) -> None:
        check(line, address)
        connect(line, address)

    def guarded_connect_ex(line: socket.socket, address: Any) -> int:
        check(line, address)
        return connect_ex(line, address)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
