"""Prints the part of requirements.lock that a server needs: the project's own dependencies and the extras named.

The lock holds everything, test tools included; an image for production should not. What belongs to what stands in the
lock's own comments (`# via`), so nothing is resolved anew.

    python scripts/part_of_lock.py gpl build >server.lock
"""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Entry:
    """One package of the lock: its lines as they stand, and the names of those that need it."""

    name: str
    text: str
    needed_by: frozenset[str]


def read_lock(lock: str) -> list[Entry]:
    entries = []
    for text in re.findall(r"^[a-z0-9][^\n]*\n(?:[ \t]+[^\n]*\n)*", lock, re.MULTILINE):
        name = re.match(r"[a-z0-9._-]+", text)
        parents = re.findall(r"^ +# +(?:via +)?([a-z0-9._-]+)(?: \(pyproject\.toml\))?$", text, re.MULTILINE)
        entries.append(Entry(name.group() if name else "", text, frozenset(parents) - {"via"}))
    return entries


def _name(requirement: str) -> str:
    """Return a requirement's name as the lock writes it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]).lower()


def part_of(lock: str, project: str, extras: list[str]) -> str:
    """Return the entries that `project`, the text of pyproject.toml, needs with `extras`; KeyError for unknown ones."""
    declared = tomllib.loads(project)["project"]
    wanted = {_name(entry) for entry in declared["dependencies"]}
    for extra in extras:
        wanted |= {_name(entry) for entry in declared["optional-dependencies"][extra]}
    entries = read_lock(lock)
    while more := {entry.name for entry in entries if entry.needed_by & wanted} - wanted:
        wanted |= more
    return "".join(entry.text for entry in entries if entry.name in wanted)


if __name__ == "__main__":
    sys.stdout.write(
        part_of((ROOT / "requirements.lock").read_text(), (ROOT / "pyproject.toml").read_text(), sys.argv[1:])
    )
