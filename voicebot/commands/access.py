"""`voicebot users` and `voicebot tokens`: who may come in. A password never stands among the arguments."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from voicebot.commands.actor import actor
from voicebot.errors import VoicebotError
from voicebot.records.access.passwords import Passwords
from voicebot.records.access.roles import Right, Role
from voicebot.records.access.tokens import ApiTokens
from voicebot.records.access.users import User, Users
from voicebot.records.database import Database, locate
from voicebot.settings import load_settings

_DEFAULT_TOKEN_DAYS = 365


class PasswordsDiffer(VoicebotError):
    """A password was not typed the same way twice."""


@dataclass(frozen=True, slots=True)
class _Access:
    users: Users
    tokens: ApiTokens


_Name = TypeVar("_Name", bound=StrEnum)
_Task = Callable[[argparse.Namespace, _Access], Awaitable[None]]


def add_users(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands to `parser`; each sets `run`, which returns the exit status."""
    tasks = parser.add_subparsers(dest="task", required=True)
    adding = _task(tasks.add_parser("add", help="add a user; the password is asked for, or read from standard input"))
    adding.add_argument("name")
    adding.add_argument("--role", required=True, type=_one_of(Role), metavar="|".join(Role))
    adding.add_argument("--queue", action="append", default=[], help="whose calls an agent sees; may be given again")
    adding.set_defaults(run=_run(_add_user, begins=True))
    _task(tasks.add_parser("list", help="show every user")).set_defaults(run=_run(_list_users))
    changing = _task(tasks.add_parser("role", help="give a user another role"))
    changing.add_argument("name")
    changing.add_argument("role", type=_one_of(Role), metavar="|".join(Role))
    changing.set_defaults(run=_run(_set_role))
    queueing = _task(tasks.add_parser("queues", help="say which queues' calls an agent sees"))
    queueing.add_argument("name")
    queueing.add_argument("queues", nargs="*")
    queueing.set_defaults(run=_run(_set_queues))
    for name, what, task in (
        ("disable", "keep a user out, from this moment on", _disable),
        ("enable", "let a disabled user in again", _enable),
        ("password", "replace a password; it is asked for, or read from standard input", _set_password),
    ):
        on_user = _task(tasks.add_parser(name, help=what))
        on_user.add_argument("name")
        on_user.set_defaults(run=_run(task))


def add_tokens(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands to `parser`; each sets `run`, which returns the exit status."""
    tasks = parser.add_subparsers(dest="task", required=True)
    creating = _task(tasks.add_parser("create", help="make a token for a program and show it, this once"))
    creating.add_argument("name")
    creating.add_argument(
        "--scope", action="append", required=True, type=_one_of(Right), metavar="SCOPE",
        help=f"what it opens; may be given again: {', '.join(Right)}",
    )  # fmt: skip
    creating.add_argument("--days", type=_days, default=_DEFAULT_TOKEN_DAYS, help="how long it is good; 0 for ever")
    creating.set_defaults(run=_run(_create_token, begins=True))
    _task(tasks.add_parser("list", help="show every token's name and scopes")).set_defaults(run=_run(_list_tokens))
    revoking = _task(tasks.add_parser("revoke", help="make a token worthless, from this moment on"))
    revoking.add_argument("name")
    revoking.set_defaults(run=_run(_revoke_token))


def _task(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--data", type=Path, help="the server's data folder; the server may run meanwhile")
    return parser


def _one_of(kind: type[_Name]) -> Callable[[str], _Name]:
    def chosen(text: str) -> _Name:
        try:
            return kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"there is no '{text}'; there are {', '.join(kind)}") from None

    return chosen


def _run(task: _Task, *, begins: bool = False) -> Callable[[argparse.Namespace], int]:
    """Return what runs `task`; only one that `begins` may make a database where there is none yet."""

    async def on_database(given: argparse.Namespace) -> None:
        async with _opened(given.data, begins=begins) as access:
            await task(given, access)

    def run(given: argparse.Namespace) -> int:
        asyncio.run(on_database(given))
        return 0

    return run


@asynccontextmanager
async def _opened(data: Path | None, *, begins: bool) -> AsyncIterator[_Access]:
    settings = load_settings(data=data)
    url = locate(settings.data, settings.database)
    if not begins:
        async with Database.connected(url):
            pass  # refuses a folder without a database, which may be a slip of the pen
    async with Database.prepared(url) as database:
        yield _Access(Users(database, Passwords(), now=_now), ApiTokens(database, now=_now))


def _now() -> datetime:
    return datetime.now(UTC)


async def _add_user(given: argparse.Namespace, access: _Access) -> None:
    password = _password()
    user = await access.users.add(given.name, given.role, password, queues=given.queue, actor=actor())
    print(f"{user.name} may sign in as {user.role}")


async def _list_users(given: argparse.Namespace, access: _Access) -> None:
    del given
    users = await access.users.list()
    for user in users:
        print(_line(user))
    if not users:
        print("There is no user yet. Make one: voicebot users add NAME --role admin", file=sys.stderr)


async def _set_role(given: argparse.Namespace, access: _Access) -> None:
    await access.users.set_role(given.name, given.role, actor=actor())
    print(f"{given.name} is {given.role} now and has to sign in again")


async def _set_queues(given: argparse.Namespace, access: _Access) -> None:
    await access.users.set_queues(given.name, given.queues, actor=actor())
    print(f"{given.name} sees the calls of {', '.join(given.queues) or 'no queue'} and has to sign in again")


async def _disable(given: argparse.Namespace, access: _Access) -> None:
    await access.users.set_disabled(given.name, disabled=True, actor=actor())
    print(f"{given.name} is signed out and cannot sign in")


async def _enable(given: argparse.Namespace, access: _Access) -> None:
    await access.users.set_disabled(given.name, disabled=False, actor=actor())
    print(f"{given.name} may sign in")


async def _set_password(given: argparse.Namespace, access: _Access) -> None:
    await access.users.set_password(given.name, _password(), actor=actor())
    print(f"{given.name} has a new password and has to sign in again")


async def _create_token(given: argparse.Namespace, access: _Access) -> None:
    lifetime = timedelta(days=given.days) if given.days else None
    token = await access.tokens.create(given.name, given.scope, lifetime=lifetime, actor=actor())
    print("This is the token; it is not shown again:", file=sys.stderr)
    print(token)


async def _list_tokens(given: argparse.Namespace, access: _Access) -> None:
    del given
    now = _now()
    for token in await access.tokens.list():
        until = f"until {token.expires_at:%Y-%m-%d}" if token.expires_at else "for ever"
        state = until if token.is_good(now) else "revoked" if token.revoked_at else "expired"
        used = f"used {token.used_at:%Y-%m-%d}" if token.used_at else "never used"
        print(f"{token.name:24} {state:18} {used:16} {' '.join(sorted(token.scopes))}")


async def _revoke_token(given: argparse.Namespace, access: _Access) -> None:
    await access.tokens.revoke(given.name, actor=actor())
    print(f"{given.name} opens nothing any more")


def _line(user: User) -> str:
    by = "OpenID" if user.oidc_subject else "password"
    return f"{user.name:24} {user.role:12} {'disabled' if user.disabled else by:10} {' '.join(user.queues)}".rstrip()


def _password() -> str:
    """Ask for a password twice, or read it from standard input when nobody sits there."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise PasswordsDiffer("These were two passwords. Try again.")
    return password


def _days(text: str) -> int:
    days = int(text)
    if not 0 <= days <= 3650:
        raise argparse.ArgumentTypeError("a token is good for 0 (for ever) to 3650 days")
    return days
