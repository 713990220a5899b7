"""Published versions of a bot: immutable, named by content, one of them current; a broken one never gets in."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import unified_diff
from pathlib import Path

from voicebot.dialog.check import Beside, Collide, Report, check
from voicebot.dialog.flow import Bot
from voicebot.dialog.loader import bot_files, load_bot
from voicebot.errors import VoicebotError

_MANIFEST = "published.json"
_NOTHING_PUBLISHED = "Nothing is published yet. Run 'voicebot flows publish'."


class UnknownVersion(VoicebotError):
    """There is no such version, or none to go back to. The message names those there are."""


class RefusedVersion(VoicebotError):
    """A bot has mistakes and was not published. `report` holds all of them."""

    def __init__(self, report: Report) -> None:
        super().__init__("\n".join(str(finding) for finding in report.errors))
        self.report = report


@dataclass(frozen=True, slots=True)
class Version:
    """One published bot. `name` is the hash of its content; `folder` holds its files, read-only."""

    name: str
    published_at: datetime
    by: str
    note: str
    folder: Path
    is_current: bool


class Library:
    """The versions under one folder. Safe to read while another process publishes; every change is one rename."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._versions = folder / "versions"
        self._current = folder / "current"

    def publish(
        self,
        source: Path,
        *,
        at: datetime,
        by: str = "",
        note: str = "",
        collide: Collide | None = None,
        beside: Sequence[Beside] = (),
    ) -> Version:
        """Check the bot in `source`, keep a copy and make it current.

        `RefusedVersion`, with nothing changed, when the check finds errors. Publishing what is there already makes
        that version current again.
        """
        report = check(source, collide, beside)
        if report.bot is None or not report.may_go_live:
            raise RefusedVersion(report)
        name = report.bot.version
        if not (self._versions / name).exists():
            self._keep(source, name, at, by, note)
        self._make_current(name)
        return self.version(name)

    def versions(self) -> tuple[Version, ...]:
        """All versions, the newest first."""
        current = self.current_name()
        found = [self._read(path.parent, current) for path in self._versions.glob(f"*/{_MANIFEST}")]
        return tuple(sorted(found, key=lambda version: (version.published_at, version.name), reverse=True))

    def version(self, name: str) -> Version:
        """Find a version by its name or the beginning of it; `UnknownVersion` when it fits none or several."""
        fitting = [version for version in self.versions() if name and version.name.startswith(name)]
        if len(fitting) != 1:
            known = ", ".join(version.name for version in self.versions())
            if not known:
                raise UnknownVersion(_NOTHING_PUBLISHED)
            which = "names several versions" if fitting else "names no version"
            raise UnknownVersion(f"'{name}' {which}. There are: {known}.")
        return fitting[0]

    def current_name(self) -> str:
        """Name of the version that new calls get; empty before the first is published. Cheap enough to ask often."""
        try:
            return self._current.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""

    def load_current(self) -> Bot:
        """Load the current version; `UnknownVersion` when nothing is published."""
        name = self.current_name()
        if not name:
            raise UnknownVersion(_NOTHING_PUBLISHED)
        return load_bot(self.version(name).folder)

    def rollback(self, name: str = "") -> Version:
        """Make `name` current again; without a name, the version published before the current one."""
        if name:
            target = self.version(name)
        else:
            versions = self.versions()
            current = next((version for version in versions if version.is_current), None)
            older = [version for version in versions if current and version.published_at < current.published_at]
            if not older:
                raise UnknownVersion("There is no version before the current one.")
            target = older[0]
        self._make_current(target.name)
        return self.version(target.name)

    def diff(self, one: str, other: str) -> str:
        """What changed from `one` to `other`, as a unified diff over all files; empty when nothing did."""
        first, second = self.version(one), self.version(other)
        return "".join(_diff(first.folder, second.folder, first.name, second.name))

    def diff_with(self, name: str, source: Path) -> str:
        """What publishing `source` would change in version `name`."""
        version = self.version(name)
        return "".join(_diff(version.folder, source, version.name, "unpublished"))

    def _keep(self, source: Path, name: str, at: datetime, by: str, note: str) -> None:
        self._versions.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self._versions))
        try:
            for path in bot_files(source):
                target = draft / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
                target.chmod(0o444)
            manifest = {"version": name, "published_at": at.isoformat(), "by": by, "note": note}
            (draft / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
            # The copy is checked, not the source: a file saved in between must not slip in under this name.
            if load_bot(draft).version != name:
                raise UnknownVersion("The files changed while they were being published. Publish once more.")
            draft.chmod(0o755)
            draft.rename(self._versions / name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _make_current(self, name: str) -> None:
        handle, draft = tempfile.mkstemp(prefix=".current-", dir=self._folder)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(name + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(self._current)

    def _read(self, folder: Path, current: str) -> Version:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        return Version(
            name=manifest["version"],
            published_at=datetime.fromisoformat(manifest["published_at"]),
            by=manifest["by"],
            note=manifest["note"],
            folder=folder,
            is_current=manifest["version"] == current,
        )


def _diff(one: Path, other: Path, one_name: str, other_name: str) -> Iterator[str]:
    before = {path.relative_to(one).as_posix(): path for path in bot_files(one)}
    after = {path.relative_to(other).as_posix(): path for path in bot_files(other)}
    for name in sorted(before.keys() | after.keys()):
        old, new = _lines(before.get(name)), _lines(after.get(name))
        yield from unified_diff(old, new, f"{one_name}/{name}", f"{other_name}/{name}")


def _lines(path: Path | None) -> list[str]:
    if path is None:
        return []
    if path.suffix == ".wav":
        return [f"{path.stat().st_size} bytes of audio\n"]
    return path.read_text(encoding="utf-8").splitlines(keepends=True)
