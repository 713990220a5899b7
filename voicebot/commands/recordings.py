"""`voicebot recordings`: make a key, try the store, check every recording, seal anew what other keys sealed."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from voicebot.app.recording_store import recording_objects, store_name, store_problem
from voicebot.app.vault import recording_keys
from voicebot.records.database import Database, locate
from voicebot.records.facts import SealedFacts
from voicebot.records.personal_values import PersonalValues
from voicebot.records.vault.index import RecordingIndex
from voicebot.records.vault.keys import new_key
from voicebot.records.vault.trial import try_out
from voicebot.records.vault.vault import Vault
from voicebot.settings import load_settings
from voicebot.work.customers import Customers

#: Each call that was seen to, and what is wrong with it.
_Seen = AsyncIterator[tuple[str, str | None]]
_Task = Callable[[Vault, Customers, Database], _Seen]


def add_recordings(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands to `parser`; each sets `run`, which returns the exit status."""
    tasks = parser.add_subparsers(dest="task", required=True)
    tasks.add_parser("new-key", help="print a fresh key for VOICEBOT_RECORDING_KEY").set_defaults(run=_new_key)
    trying = tasks.add_parser(
        "try-store", help="write, read and delete where recordings are kept; exits 1 if not all of it works"
    )
    trying.set_defaults(run=_try_store)
    verifying = tasks.add_parser("verify", help="check every recording against its checksum and seal; exits 1 if wrong")
    verifying.set_defaults(run=lambda given: _run(given, _verify, "sound"))
    rotating = tasks.add_parser(
        "rotate-keys",
        help="seal anew, with VOICEBOT_RECORDING_KEY, what older keys sealed, of customers too; may be begun again",
    )
    rotating.set_defaults(run=lambda given: _run(given, _rotate, "sealed anew"))
    for task in (trying, verifying, rotating):
        task.add_argument("--data", type=Path, help="the server's data folder")


def _new_key(given: argparse.Namespace) -> int:
    del given
    print(new_key())
    return 0


def _try_store(given: argparse.Namespace) -> int:
    settings = load_settings(data=given.data)
    failed = try_out(recording_objects(settings))
    if failed is None:
        print(f"recordings can be kept in {store_name(settings)}")
        return 0
    print(store_problem(settings, failed))
    return 1


def _verify(vault: Vault, customers: Customers, database: Database) -> _Seen:
    del customers, database
    return vault.verify()


async def _rotate(vault: Vault, customers: Customers, database: Database) -> _Seen:
    async for seen in vault.rotate():
        yield seen
    async for seen in customers.rotate():
        yield seen
    async for seen in PersonalValues(vault.keys).rotate(database):
        yield seen


def _run(given: argparse.Namespace, task: _Task, done: str) -> int:
    return asyncio.run(_each(given, task, done))


async def _each(given: argparse.Namespace, task: _Task, done: str) -> int:
    settings = load_settings(data=given.data)
    good = bad = 0
    async with Database.connected(locate(settings.data, settings.database)) as database:
        keys = await asyncio.to_thread(recording_keys, settings)
        vault = Vault(recording_objects(settings), keys, RecordingIndex(database))
        customers = Customers(SealedFacts(database), keys)
        async for call_id, fault in task(vault, customers, database):
            if fault is None:
                good += 1
            else:
                bad += 1
                print(f"{call_id}: {fault}")
    print(f"{good} {done}, {bad} not")
    return 1 if bad else 0
