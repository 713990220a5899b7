"""What every test gets: no way out to the network, logs of its own, and Hypothesis without a stopwatch."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from sqlalchemy.engine import URL

from tests.fakes import postgresql
from tests.fakes.virtual_time import VirtualLoop
from voicebot.records import database

settings.register_profile("voicebot", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("voicebot")

#: Marks of tests that run in a phase of their own; see `scripts/test`.
_LOOKED_FOR = ("spoken", "browser", "crowd")
_AT_HOME = ("127.", "::1", "localhost", "0.0.0.0")  # connecting to it reaches this machine only


#: The kinds of database that tests run on; one of them alone when VOICEBOT_TEST_DATABASE names it. With ``postgresql``
#: every test's records lie there, whether or not the test asks for a database by name.
_ONLY = os.environ.get("VOICEBOT_TEST_DATABASE")
_DATABASES = [_ONLY] if _ONLY else ["sqlite", "postgresql"]


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        postgresql.make_folder()


def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    """Mark what runs on both kinds in one run, leave out what is about SQLite's file where there is none, sort.

    Tests that may take longest begin first: one of minutes that began last would keep the other workers waiting.
    """
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    _check_marks(items)
    for item in items:
        if "database_url" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.both_databases)
        about_the_file = _ONLY == "postgresql" and item.get_closest_marker("sqlite") is not None
        (left_out if about_the_file else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    items[:] = sorted(kept, key=_longest_s, reverse=True)


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run what is marked so in virtual time: it takes no longer than its work, and no stall comes between."""
    if item.get_closest_marker("virtual_time") is not None:
        return {"virtual time": VirtualLoop}
    return {"real time": asyncio.new_event_loop}


def _check_marks(items: list[pytest.Item]) -> None:
    """Refuse a mark that a file does not name: `scripts/test` looks for the names, and would leave its tests out."""
    texts: dict[Path, str] = {}
    for item in items:
        for name in _LOOKED_FOR:
            if item.get_closest_marker(name) is None:
                continue
            if item.path not in texts:
                texts[item.path] = item.path.read_text(encoding="utf-8")
            if f"pytest.mark.{name}" not in texts[item.path]:
                raise pytest.UsageError(f"{item.nodeid}: name its mark in the file, as pytest.mark.{name}")


def _longest_s(item: pytest.Item) -> tuple[bool, float]:
    """Return whether a test is one of a group, which one worker takes in a row, and how long it says it may take."""
    limit = item.get_closest_marker("timeout")
    return item.get_closest_marker("xdist_group") is not None, float(limit.args[0]) if limit is not None else 0.0


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
def _records_beside_data(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where all tests run on PostgreSQL, give each data folder that is opened a database there instead."""
    if _ONLY != "postgresql":
        yield
        return
    with ExitStack() as stack:
        made: dict[Path, URL] = {}

        def beside(data: Path) -> URL:
            folder = data.resolve()
            if folder not in made:
                socket_folder = request.getfixturevalue("postgresql_socket")
                # Not empty: tables made anew for every test of a thousand cost more than most of them.
                of = postgresql.template(socket_folder)
                url = stack.enter_context(postgresql.fresh_database(socket_folder, of=of))
                made[folder] = database.locate(data, url)
            return made[folder]

        monkeypatch.setattr(database, "_beside", beside)
        yield


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
