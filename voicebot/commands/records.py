"""`voicebot records` deletes calls and keeps others from deletion; every step is an entry in the audit trail."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from voicebot.app.vault import call_eraser, recording_keys
from voicebot.records.database import Database, locate
from voicebot.records.disposal import Disposal
from voicebot.records.vault.index import RecordingIndex
from voicebot.settings import Settings, load_settings
from voicebot.work.customers import hashes

_Task = Callable[[Disposal, Settings, argparse.Namespace], Awaitable[int]]


def add_records(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands to `parser`; each sets `run`, which returns the exit status."""
    tasks = parser.add_subparsers(dest="task", required=True)

    def task(name: str, about: str, run: _Task) -> argparse.ArgumentParser:
        added = tasks.add_parser(name, help=about)
        added.add_argument("--data", type=Path, help="the server's data folder")
        added.set_defaults(run=lambda given: asyncio.run(_run(run, given)))
        return added

    retaining = task("retain", "delete now what was kept for as long as [retention] says", _retain)
    retaining.add_argument("--dry-run", action="store_true", help="only count what is due")
    deleting = task("delete", "delete whole calls at a customer's request and print the certificate", _delete)
    which = deleting.add_mutually_exclusive_group(required=True)
    which.add_argument("--call", action="append", metavar="ID", help="a call; may be given again")
    which.add_argument("--caller", metavar="NUMBER", help="every call and chat of this number")
    which.add_argument(
        "--customer", metavar="ID", help="every call and chat in which this customer proved who they are"
    )
    deleting.add_argument("--certificate", type=Path, metavar="FILE", help="write the certificate there")
    _add_why(deleting)
    task("certificate", "print a deletion's certificate once more", _certificate).add_argument("id")
    holding = task("hold", "keep calls from every deletion", _hold)
    which = holding.add_mutually_exclusive_group(required=True)
    which.add_argument("--call", metavar="ID", help="one call")
    which.add_argument("--caller", metavar="NUMBER", help="every call of this number, coming ones too")
    _add_why(holding)
    releasing = task("release", "end a legal hold", _release)
    releasing.add_argument("id", help="as 'voicebot records holds' names it")
    _add_why(releasing)
    task("holds", "list the legal holds", _holds)


def _add_why(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", required=True, help="kept in the audit trail; no customer's name or number")
    parser.add_argument("--by", default=getpass.getuser(), help="who orders it (default: %(default)s)")


async def _run(run: _Task, given: argparse.Namespace) -> int:
    settings = load_settings(data=given.data)
    async with _disposal(settings) as disposal:
        return await run(disposal, settings, given)


@asynccontextmanager
async def _disposal(settings: Settings) -> AsyncIterator[Disposal]:
    async with Database.connected(locate(settings.data, settings.database)) as database:
        yield Disposal(database, call_eraser(settings, RecordingIndex(database)), lambda: datetime.now(UTC))


async def _retain(disposal: Disposal, settings: Settings, given: argparse.Namespace) -> int:
    policy = settings.retention.policy
    counted = await (disposal.count_due(policy) if given.dry_run else disposal.retain(policy))
    for kind, number in counted.items():
        print(f"{kind.value}: {number} {'due' if given.dry_run else 'deleted'}")
    return 0


async def _delete(disposal: Disposal, settings: Settings, given: argparse.Namespace) -> int:
    customer = hashes(given.customer, await asyncio.to_thread(recording_keys, settings)) if given.customer else ()
    certificate = await disposal.delete(
        call_ids=given.call or (),
        caller=given.caller,
        customer=customer,
        by=given.by,
        reason=given.reason,
    )
    written = json.dumps(certificate, indent=2)
    print(written)
    if given.certificate is not None:
        await asyncio.to_thread(given.certificate.write_text, written + "\n", "utf-8")
    return 0


async def _certificate(disposal: Disposal, settings: Settings, given: argparse.Namespace) -> int:
    del settings
    print(json.dumps(await disposal.certificate(given.id), indent=2))
    return 0


async def _hold(disposal: Disposal, settings: Settings, given: argparse.Namespace) -> int:
    del settings
    held = await disposal.hold(call_id=given.call, caller=given.caller, by=given.by, reason=given.reason)
    print(f"held: {held.id}")
    return 0


async def _release(disposal: Disposal, settings: Settings, given: argparse.Namespace) -> int:
    del settings
    await disposal.release(given.id, by=given.by, reason=given.reason)
    print(f"released: {given.id}")
    return 0


async def _holds(disposal: Disposal, settings: Settings, given: argparse.Namespace) -> int:
    del settings, given
    for held in await disposal.holds():
        what = f"call {held.call_id}" if held.call_id else f"caller {held.caller}"
        print(f"{held.id}  {held.placed_at:%Y-%m-%d %H:%M}  {what}  by {held.placed_by}: {held.reason}")
    return 0
