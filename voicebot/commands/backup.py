"""`voicebot backup` copies everything that lasts while the server runs; `voicebot restore` puts it back."""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime
from pathlib import Path

from voicebot.records.backup import back_up, restore
from voicebot.records.database import locate
from voicebot.records.store import verify_audit
from voicebot.settings import load_settings


def add_backup(parser: argparse.ArgumentParser) -> None:
    """Add the options of `backup`."""
    parser.add_argument("folder", type=Path, help="a new folder to copy to")
    parser.add_argument("--data", type=Path, help="the server's data folder")
    parser.set_defaults(run=_back_up)


def add_restore(parser: argparse.ArgumentParser) -> None:
    """Add the options of `restore`."""
    parser.add_argument("folder", type=Path, help="what 'voicebot backup' made")
    parser.add_argument("--data", type=Path, help="the data folder to fill; it must be empty, and so must a PostgreSQL")
    parser.set_defaults(run=_restore)


def _back_up(given: argparse.Namespace) -> int:
    settings = load_settings(data=given.data)
    url = locate(settings.data, settings.database)
    made = asyncio.run(back_up(settings.data, url, given.folder, at=datetime.now(UTC)))
    print(f"backup of the {made.kind} database and its files: {made.files} files, {made.size_bytes} bytes")
    return 0


def _restore(given: argparse.Namespace) -> int:
    settings = load_settings(data=given.data)
    put = asyncio.run(restore(given.folder, settings.data, locate(settings.data, settings.database)))
    print(f"restored as of {put.made_at}: {put.files} files, {put.size_bytes} bytes")
    report = asyncio.run(verify_audit(settings.data, url=settings.database))
    print(f"audit trail: {report.entries} entries, {'sound' if report.sound else 'NOT SOUND'}")
    return 0 if report.sound else 1
