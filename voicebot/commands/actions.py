"""`voicebot actions` lists what the bot did, has waiting or has planned, and cancels or undoes it beside the server."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from voicebot.app.vault import recording_keys
from voicebot.commands.actor import actor
from voicebot.dialog.flow import Operation
from voicebot.dialog.library import Library, UnknownVersion
from voicebot.dialog.loader import load_bot
from voicebot.records.actions import Action, ActionBook
from voicebot.records.database import Database, locate
from voicebot.records.deeds import Deeds
from voicebot.settings import FLOW_LIBRARY, Settings, load_settings
from voicebot.work.verbs import Verb

if TYPE_CHECKING:
    from voicebot.work.actions import Actions
    from voicebot.work.durable import Errand

_Task = Callable[["Actions", argparse.Namespace], Awaitable[int]]
#: Longer than a server needs to notice what it is asked for, and to do it.
_WAIT_S = 10.0


class _LeftToTheServer:
    """The server sees in the database what is to be undone; only it has the customer's systems open."""

    async def take_up(self, errand: Errand) -> None:
        del errand


def add_actions(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands to `parser`; each sets `run`, which returns the exit status."""
    tasks = parser.add_subparsers(dest="task", required=True)

    def task(name: str, about: str, run: _Task) -> argparse.ArgumentParser:
        added = tasks.add_parser(name, help=about)
        added.add_argument("--data", type=Path, help="the server's data folder; the server may run meanwhile")
        added.add_argument("--flows", type=Path, help="folder with the bot's flows, where none were published")
        added.set_defaults(run=lambda given: asyncio.run(_run(run, given)))
        return added

    listing = task("list", "what was done, waits or is planned, the latest first", _list)
    listing.add_argument("--call", metavar="ID", help="of one call")
    for verb, about in (
        (Verb.CANCEL, "stop what has not happened; what was done is taken back where an operation can"),
        (Verb.UNDO, "take back what was done, by hand where no operation can; what waits is stopped"),
    ):
        task(verb.value, about, _doing(verb)).add_argument("id", help="as 'voicebot actions list' names it")


async def _run(run: _Task, given: argparse.Namespace) -> int:
    settings = load_settings(data=given.data, flows=given.flows)
    async with _actions(settings) as actions:
        return await run(actions, given)


@asynccontextmanager
async def _actions(settings: Settings) -> AsyncIterator[Actions]:
    from voicebot.work.actions import Actions  # noqa: PLC0415  # it needs the libraries of calls, other commands do not
    from voicebot.work.supervision import Supervision  # noqa: PLC0415  # likewise

    library = Library(settings.data / FLOW_LIBRARY)

    def contracts(version: str) -> Mapping[str, Operation]:
        try:
            folder = library.version(version).folder
        except UnknownVersion:  # edited in place and never published, so they are there as they are now
            current = library.current_name()
            folder = library.version(current).folder if current else settings.flows
        return load_bot(folder).operations

    async def contracts_of(version: str) -> Mapping[str, Operation]:
        return await asyncio.to_thread(contracts, version)

    async with Database.connected(locate(settings.data, settings.database)) as database:
        keys = await asyncio.to_thread(recording_keys, settings)
        book, deeds = ActionBook(database, now=_now), Deeds(database, keys, now=_now)
        yield Actions(book, Supervision(deeds), contracts_of, _LeftToTheServer(), wait_s=_WAIT_S)


def _now() -> datetime:
    return datetime.now(UTC)


async def _list(actions: Actions, given: argparse.Namespace) -> int:
    for action in await (actions.of_call(given.call) if given.call else actions.latest()):
        print(_line(action))
    return 0


def _doing(verb: Verb) -> _Task:
    async def do(actions: Actions, given: argparse.Namespace) -> int:
        from voicebot.work.actions import Told  # noqa: PLC0415  # see _actions

        answer = await actions.do(verb, given.id, by=actor())
        if answer is None:
            print(f"There is no action {given.id}. 'voicebot actions list' names them.")
            return 1
        print(_line(answer.action))
        print(answer.text)
        if answer.told is Told.BEGUN:
            print("A server that runs on these records goes on with it.")
        return 1 if answer.told is Told.REFUSED else 0

    return do


def _line(action: Action) -> str:
    by = f"  by {action.by}" if action.by else ""
    return f"{action.id}  {action.at:%Y-%m-%d %H:%M}  {action.state:17}  {action.name}  of call {action.call_id}{by}"
