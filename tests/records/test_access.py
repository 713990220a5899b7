"""Users, sessions, tokens and failed sign-ins as the database keeps them."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, text

from voicebot import cli
from voicebot.records.access import failures
from voicebot.records.access.failures import Failures
from voicebot.records.access.passwords import Passwords, PasswordTooWeak
from voicebot.records.access.roles import RIGHTS, Reach, Right, Role
from voicebot.records.access.sessions import Sessions
from voicebot.records.access.sight import EVERY_CALL, SharedWith, Sight
from voicebot.records.access.tokens import ApiTokens, TokenRefused
from voicebot.records.access.users import UserRefused, Users
from voicebot.records.database import Database, locate
from voicebot.records.search import CallSearch
from voicebot.records.store import Store, verify_audit
from voicebot.records.tables import AUDIT, AUDIT_CONTENTS, METADATA, USERS

GOOD = "correct horse battery staple"


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def passes(self, **time: float) -> None:
        self.time += timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(tmp_path: Path, database_url: str) -> AsyncIterator[Database]:
    async with Database.prepared(locate(tmp_path, database_url)) as opened:
        yield opened


@pytest.fixture
def users(database: Database, clock: Clock) -> Users:
    return Users(database, Passwords(), now=clock.now)


async def _audited(database: Database) -> list[tuple[str, str, str]]:
    query = select(AUDIT.c.actor, AUDIT.c.action, AUDIT.c.subject).order_by(AUDIT.c.number)
    async with database.connect() as connection:
        return [tuple(row) for row in await connection.execute(query)]


def _cells() -> list[tuple[Role, Right, str]]:
    """Read the table in docs/security.md: "all", "own" or "-" for every role and right."""
    lines = (Path(__file__).parents[2] / "docs" / "security.md").read_text("utf-8").splitlines()
    table = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    start = next(number for number, row in enumerate(table) if row[0] == "right")
    rows = [row for row in table[start + 2 :] if ":" in row[0]]
    return [
        (Role(role), Right(row[0]), cell) for row in rows for role, cell in zip(table[start][1:], row[1:], strict=True)
    ]


@pytest.mark.parametrize(("role", "right", "cell"), _cells())
def test_a_role_has_a_right_as_far_as_the_table_says(role: Role, right: Right, cell: str) -> None:
    assert RIGHTS[role].get(right) == (None if cell == "-" else Reach(cell))


def test_the_table_has_a_cell_for_every_role_and_right() -> None:
    assert {(role, right) for role, right, _ in _cells()} == {(role, right) for role in Role for right in Right}


async def test_a_user_is_known_by_name_and_password(users: Users, database: Database) -> None:
    await users.add(" Dana ", Role.QA, GOOD, actor="cli:op")

    found = await users.by_password("DANA", GOOD)
    assert found is not None
    assert (found.name, found.role) == ("dana", Role.QA)
    assert await users.by_password("dana", GOOD + " ") is None
    assert await users.by_password("nobody-here", GOOD) is None
    async with database.connect() as connection:
        hashed = await connection.scalar(select(USERS.c.password_hash))
    assert str(hashed).startswith("$argon2id$")


@pytest.mark.parametrize("password", ["", "short", "aaaaaaaaaaaaaaaaaaaaaaa", "dana dana dana!", "x" * 600])
async def test_a_weak_password_is_refused(users: Users, password: str) -> None:
    with pytest.raises(PasswordTooWeak):
        await users.add("dana", Role.QA, password, actor="cli:op")


@pytest.mark.parametrize("name", ["", "bot", "token:x", "a b", "../etc", "x" * 65, "<script>", "ädam"])
async def test_a_name_that_could_mislead_is_refused(users: Users, name: str) -> None:
    with pytest.raises(UserRefused):
        await users.add(name, Role.QA, GOOD, actor="cli:op")


async def test_a_hash_of_weaker_parameters_is_renewed_at_sign_in(users: Users, database: Database) -> None:
    await users.add("dana", Role.QA, GOOD, actor="cli:op")
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(GOOD)
    async with database.begin() as connection:
        await connection.execute(text("UPDATE users SET password_hash = :weak"), {"weak": weak})

    assert await users.by_password("dana", GOOD) is not None
    async with database.connect() as connection:
        assert "m=65536" in str(await connection.scalar(select(USERS.c.password_hash)))


async def test_every_change_of_a_user_ends_their_sessions_and_is_audited(
    users: Users, database: Database, clock: Clock, tmp_path: Path, database_url: str
) -> None:
    sessions = Sessions(database, now=clock.now)
    await users.add("dana", Role.QA, GOOD, actor="cli:op")
    other = await users.add("eve", Role.QA, GOOD + "!", actor="cli:op")
    kept = await sessions.begin(other)

    async def ended_by(change: str) -> None:
        user = await users.by_password("dana", GOOD)
        assert user is not None
        secret = await sessions.begin(user)
        match change:
            case "role":
                await users.set_role("dana", Role.AGENT, actor="cli:op")
            case "queues":
                await users.set_queues("dana", ["billing"], actor="cli:op")
            case "password":
                await users.set_password("dana", GOOD, actor="cli:op")
            case "disabled":
                await users.set_disabled("dana", disabled=True, actor="cli:op")
        assert await sessions.user(secret) is None

    for change in ("role", "queues", "password", "disabled"):
        await ended_by(change)
    assert await users.by_password("dana", GOOD) is None
    assert await sessions.user(kept) is not None
    actions = ["user_added"] * 2 + ["user_role_changed", "user_queues_changed", "user_password_changed"]
    assert [action for _, action, _ in await _audited(database)] == [*actions, "user_disabled"]
    assert (await verify_audit(tmp_path, url=database_url)).sound


async def test_a_session_ends_when_unused_and_at_its_longest(users: Users, database: Database, clock: Clock) -> None:
    sessions = Sessions(database, now=clock.now)
    user = await users.add("dana", Role.QA, GOOD, actor="cli:op")

    unused = await sessions.begin(user)
    clock.passes(minutes=59)
    assert await sessions.user(unused) == user
    clock.passes(minutes=61)
    assert await sessions.user(unused) is None

    used = await sessions.begin(user)
    for _ in range(23):
        clock.passes(minutes=30)
        assert await sessions.user(used) == user
    clock.passes(minutes=30)
    assert await sessions.user(used) is None


async def test_no_secret_stands_in_the_database(users: Users, database: Database) -> None:
    secret = await Sessions(database, now=users._now).begin(await users.add("dana", Role.QA, GOOD, actor="cli:op"))
    token = await ApiTokens(database, now=users._now).create("crm", [Right.READ_CALLS], lifetime=None, actor="cli:op")

    kept = ""
    async with database.connect() as connection:
        for table in METADATA.sorted_tables:
            kept += repr((await connection.execute(select(table))).all())
    assert "dana" in kept
    for hidden in (secret, token, GOOD):
        assert hidden not in kept


async def test_a_token_is_good_until_it_expires_or_is_revoked(database: Database, clock: Clock) -> None:
    tokens = ApiTokens(database, now=clock.now)
    short = await tokens.create("short", [Right.READ_CALLS], lifetime=timedelta(days=1), actor="cli:op")
    lasting = await tokens.create("lasting", [Right.LISTEN], lifetime=None, actor="cli:op")

    found = await tokens.find(short)
    assert found is not None
    assert found.scopes == {Right.READ_CALLS}
    assert await tokens.find(short + "x") is None
    clock.passes(days=1)
    assert await tokens.find(short) is None
    assert await tokens.find(lasting) is not None
    await tokens.revoke("lasting", actor="cli:op")
    assert await tokens.find(lasting) is None
    with pytest.raises(TokenRefused, match="names are not used again"):
        await tokens.create("lasting", [Right.LISTEN], lifetime=None, actor="cli:op")
    with pytest.raises(TokenRefused, match="no token lasting to revoke"):
        await tokens.revoke("lasting", actor="cli:op")
    assert [action for _, action, _ in await _audited(database)] == ["token_created"] * 2 + ["token_revoked"]


async def test_failures_lock_an_account_longer_and_longer(database: Database, clock: Clock) -> None:
    counted = Failures(database, now=clock.now)
    dana = failures.account("dana")
    for _ in range(5):
        assert await counted.begin([dana]) == 0

    waits = []
    for _ in range(8):
        waits.append(await counted.begin([dana]))
        clock.passes(seconds=waits[-1])
        assert await counted.begin([dana]) == 0
    assert waits == [30, 60, 120, 240, 480, 900, 900, 900]
    assert await counted.begin([failures.account("eve")]) == 0


async def test_a_success_clears_the_account_but_not_what_others_failed_from_its_address(
    database: Database, clock: Clock
) -> None:
    counted = Failures(database, now=clock.now)
    office = failures.address("192.0.2.1")
    for number in range(19):
        assert await counted.begin([failures.account(f"guess{number}"), office]) == 0
    mine = failures.account("dana")
    assert await counted.begin([mine, office]) == 0
    await counted.succeeded(mine, [office])

    assert await counted.begin([mine, office]) == 0
    assert await counted.begin([failures.account("one-more"), office]) == 30
    clock.passes(hours=25)
    assert await counted.begin([failures.account("one-more"), office]) == 0


async def test_guesses_made_at_once_are_all_counted(database: Database, clock: Clock) -> None:
    counted = Failures(database, now=clock.now)
    waits = await asyncio.gather(*(counted.begin([failures.account("dana")]) for _ in range(12)))

    assert sum(wait == 0 for wait in waits) == 5


async def test_an_agent_sees_only_calls_given_to_them_or_to_their_queues(tmp_path: Path, database_url: str) -> None:
    class Party:
        channel, direction, caller, called, carrier_call_id = "sip", "inbound", "+1", "+2", "x"

    began = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
    async with Store.open(tmp_path, url=database_url, on_failure=lambda _: None) as store:
        for number in range(4):
            store.journal.begin_call(f"c{number}", Party(), began + timedelta(minutes=number), "v")
        store.journal.share_call("c0", SharedWith.USER, "dana")
        store.journal.share_call("c1", SharedWith.QUEUE, "billing")
        store.journal.share_call("c2", SharedWith.QUEUE, "dana")  # a queue that bears a user's name
        store.journal.share_call("c3", SharedWith.USER, "billing")  # and the other way round
        store.journal.share_call("c0", SharedWith.USER, "dana")
        await store.journal.flush()

        sight = Sight("dana", frozenset({"billing"}))
        assert [call["id"] for call in await store.search(CallSearch(sight=sight), 10)] == ["c1", "c0"]
        assert [await store.is_seen(f"c{number}", sight) for number in range(5)] == [True, True, False, False, False]
        assert await store.search(CallSearch(sight=Sight("eve")), 10) == []
        assert [await store.is_seen(call, EVERY_CALL) for call in ("c3", "c9")] == [True, False]


def _command(monkeypatch: pytest.MonkeyPatch, data: Path, *arguments: str, typed: str = "") -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    return cli.main([*arguments, "--data", str(data)])


def test_users_are_kept_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _command(monkeypatch, tmp_path, "users", "add", "dana", "--role", "qa", typed=GOOD + "\n") == 0
    assert _command(monkeypatch, tmp_path, "users", "add", "dana", "--role", "qa", typed=GOOD + "\n") == 1
    assert _command(monkeypatch, tmp_path, "users", "add", "eve", "--role", "qa", typed="") == 1
    assert _command(monkeypatch, tmp_path, "users", "role", "dana", "agent") == 0
    assert _command(monkeypatch, tmp_path, "users", "queues", "dana", "billing", "orders") == 0
    assert _command(monkeypatch, tmp_path, "users", "disable", "dana") == 0
    assert _command(monkeypatch, tmp_path, "users", "disable", "nobody-here") == 1
    capsys.readouterr()
    assert _command(monkeypatch, tmp_path, "users", "list") == 0
    assert capsys.readouterr().out.split() == ["dana", "agent", "disabled", "billing", "orders"]
    with pytest.raises(SystemExit):
        _command(monkeypatch, tmp_path, "users", "add", "eve", "--role", "king")


def test_tokens_are_made_shown_once_and_revoked_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scopes = ("--scope", "calls:read", "--scope", "recordings:listen")
    assert _command(monkeypatch, tmp_path, "tokens", "create", "crm", *scopes) == 0
    token = capsys.readouterr().out.strip()
    assert token.startswith("vbt_")
    assert _command(monkeypatch, tmp_path, "tokens", "list") == 0
    listed = capsys.readouterr().out
    assert "calls:read recordings:listen" in listed
    assert token not in listed
    assert _command(monkeypatch, tmp_path, "tokens", "revoke", "crm") == 0
    assert _command(monkeypatch, tmp_path, "tokens", "list") == 0
    assert "revoked" in capsys.readouterr().out


async def test_what_the_command_line_changed_names_its_account_in_the_trail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await asyncio.to_thread(_command, monkeypatch, tmp_path, "users", "add", "dana", "--role", "qa", typed=GOOD)

    async with Database.connected(locate(tmp_path)) as database:
        (entry,) = await _audited(database)
        async with database.connect() as connection:
            content = json.loads(str(await connection.scalar(select(AUDIT_CONTENTS.c.content))))
    assert entry[0].startswith("cli:")
    assert entry[1:] == ("user_added", "user:dana")
    assert content == {"role": "qa", "queues": []}
