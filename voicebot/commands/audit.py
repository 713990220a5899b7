"""`voicebot audit verify` tells whether anybody changed, removed or reordered what was decided and done."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from voicebot.records.store import verify_audit
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
