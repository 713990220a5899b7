"""What every test gets: no way out to the network, logs of its own, and Hypothesis without a stopwatch."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.fakes import postgresql

settings.register_profile("voicebot", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("voicebot")

_AT_HOME = ("127.", "::1", "localhost", "0.0.0.0")  # connecting to it reaches this machine only


#: The kinds of database that tests run on; one of them alone when VOICEBOT_TEST_DATABASE names it.
_ONLY = os.environ.get("VOICEBOT_TEST_DATABASE")
_DATABASES = [_ONLY] if _ONLY else ["sqlite", "postgresql"]


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        postgresql.make_folder()


@pytest.fixture(scope="session")
def postgresql_socket() -> str:
    """The folder of the socket of this run's own PostgreSQL."""
    programs = postgresql.programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    return postgresql.start(programs)


@pytest.fixture(params=_DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind: whoever asks for it runs on both."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'voicebot.sqlite3'}"
    else:
        with postgresql.fresh_database(request.getfixturevalue("postgresql_socket")) as url:
            yield url


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
