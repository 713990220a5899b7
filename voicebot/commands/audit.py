"""`voicebot audit list` shows what was decided and done, `verify` whether anybody changed, removed or reordered it."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

from voicebot.records.audit import AuditSearch
from voicebot.records.store import read_audit, verify_audit
from voicebot.settings import load_settings

#: Problems printed; a chain that was cut in the middle has one for every entry after it.
_PRINTED = 20


def add_audit(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands to `parser`; each sets `run`, which returns the exit status."""
    tasks = parser.add_subparsers(dest="task", required=True)
    verifying = tasks.add_parser(
        "verify", help="check every entry, also while the server runs; exits 1 if one is wrong"
    )
    verifying.add_argument("--data", type=Path, help="the server's data folder")
    verifying.set_defaults(run=_verify)
    listing = tasks.add_parser("list", help="show entries, the newest first, one line of JSON each")
    listing.add_argument("--call", metavar="ID", help="what was decided in this call, and done about it")
    listing.add_argument("--by", metavar="NAME", help="what somebody did: a user, token:NAME, cli:NAME or bot")
    listing.add_argument("--action", metavar="NAME", help="such as recording_played or calls_exported")
    listing.add_argument("--limit", type=_positive, default=50, help="how many; 50 unless told")
    listing.add_argument("--data", type=Path, help="the server's data folder")
    listing.set_defaults(run=_list)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1_000_000):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 1000000")
    return int(text)


def _list(given: argparse.Namespace) -> int:
    settings = load_settings(data=given.data)
    wanted = AuditSearch(
        subject=f"call:{given.call}" if given.call else None,
        actor=given.by,
        action=given.action,
    )
    for entry in asyncio.run(read_audit(settings.data, wanted, url=settings.database, limit=given.limit)):
        print(json.dumps(entry.document(), ensure_ascii=False))
    return 0


def _verify(given: argparse.Namespace) -> int:
    settings = load_settings(data=given.data)
    report = asyncio.run(verify_audit(settings.data, url=settings.database))
    for problem in report.problems[:_PRINTED]:
        print(f"entry {problem.number}: {problem.what}")
    if len(report.problems) > _PRINTED:
        print(f"and {len(report.problems) - _PRINTED} more")
    verdict = "sound" if report.sound else f"NOT SOUND, {len(report.problems)} problems"
    print(f"{report.entries} entries, the contents of {report.deleted} deleted: {verdict}")
    print(f"head {report.head.number} {report.head.hash}")
    return 0 if report.sound else 1
