"""What reviewers say of a call: at which turn a person should have taken over, or that none should.

One line a label in ``labels.tsv`` in the data folder; the last one of a call stands.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from voicebot.errors import ConfigurationError, Problem

FILE = "labels.tsv"
_COLUMNS = ("call", "person_at", "by", "at", "why")
_NEVER = "never"


@dataclass(frozen=True, slots=True)
class Label:
    """`person_at` is the number of a decision as `voicebot explain` counts them, None for never."""

    call_id: str
    person_at: int | None
    by: str
    at: datetime
    why: str


def add_label(data: Path, label: Label) -> None:
    """Append a label to those in the data folder."""
    path = data / FILE
    is_new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        if is_new:
            writer.writerow(_COLUMNS)
        turn = _NEVER if label.person_at is None else str(label.person_at)
        writer.writerow([label.call_id, turn, label.by, label.at.isoformat(timespec="seconds"), label.why])


def read_labels(data: Path) -> dict[str, Label]:
    """Return the labels by call; ConfigurationError names each line that is none."""
    path = data / FILE
    if not path.exists():
        return {}
    found: dict[str, Label] = {}
    problems = []
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file, delimiter="\t"), start=1):
            if tuple(row) == _COLUMNS:
                continue
            try:
                call_id, turn, by, at, why = row
                person_at = None if turn == _NEVER else int(turn)
                found[call_id] = Label(call_id, person_at, by, datetime.fromisoformat(at), why)
            except ValueError:
                fix = "Write call, turn or never, by, time and why, with tabs between."
                problems.append(Problem(str(path), number, "This is no label.", fix))
    if problems:
        raise ConfigurationError(problems)
    return found
