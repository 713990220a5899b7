"""On which database the servers of these tests keep their records."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.fakes import postgresql


@pytest.fixture(autouse=True)
def _database_of_servers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test's server a PostgreSQL of its own where `VOICEBOT_TEST_DATABASE` asks for it, SQLite else."""
    if os.environ.get("VOICEBOT_TEST_DATABASE") != "postgresql":
        yield
        return
    with postgresql.fresh_database(request.getfixturevalue("postgresql_socket")) as url:
        monkeypatch.setenv("VOICEBOT_DATABASE_URL", url)
        yield
