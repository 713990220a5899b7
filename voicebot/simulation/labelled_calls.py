"""Written calls with a label: at which of the caller's turns a person should take over, or that none should.

The format is in tests/dialog/escalation/dialogues/README.md. Half of the calls are held back from any tuning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from voicebot.errors import ConfigurationError, Problem

_HEAD = re.compile(r"= (?P<id>[a-z0-9-]+) \|(?P<about>[^|]*)\|(?P<customer>[^|]*)")
_LABEL = re.compile(r"> (?P<turn>never|\d+) (?P<why>.+)")


class Happened(StrEnum):
    """What the bot made of a turn, as far as the escalation policy minds it."""

    OK = "ok"
    MISS = "miss"
    UNSURE = "unsure"
    SILENT = "silent"
    OVER = "over"
    AGAIN = "again"
    AUTH = "auth"
    DOWN = "down"
    NO = "no"
    KEYS = "keys"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class WrittenTurn:
    """One turn of the caller; `text` is empty when they were silent. `amount` is at stake from this turn on."""

    text: str
    happened: frozenset[Happened]
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class LabelledCall:
    """`person_at` counts the caller's turns from 1; None when the bot should go on to the end. `why` is the reason."""

    id: str
    about: str
    tier: str
    earlier_calls: int
    person_at: int | None
    why: str
    turns: tuple[WrittenTurn, ...]

    @property
    def is_held_back(self) -> bool:
        """Whether no weight may be made on this call."""
        return sha256(self.id.encode()).digest()[0] % 2 == 0


def read_labelled_calls(folder: Path) -> tuple[LabelledCall, ...]:
    """Read every ``*.txt`` in `folder`; ConfigurationError names each line that is wrong."""
    problems: list[Problem] = []
    calls = [call for path in sorted(folder.glob("*.txt")) for call in _read(path, problems)]
    if not calls and not problems:
        problems.append(Problem(str(folder), None, "There are no labelled calls here.", "Name a folder of .txt files."))
    if problems:
        raise ConfigurationError(problems)
    return tuple(calls)


def _read(path: Path, problems: list[Problem]) -> Iterator[LabelledCall]:
    lines = path.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        start = number
        block: list[str] = []
        while number < len(lines) and lines[number].strip():
            block.append(lines[number])
            number += 1
        number += 1
        if block and (call := _call(block, path, start + 1, problems)):
            yield call


def _call(block: list[str], path: Path, line: int, problems: list[Problem]) -> LabelledCall | None:
    head, label = _HEAD.match(block[0]), _LABEL.match(block[1]) if len(block) > 1 else None
    if head is None or label is None or len(block) < 3:
        fix = "Begin it with '= id | about | customer' and '> turn why', then its turns."
        problems.append(Problem(str(path), line, "A call is not written as it should be.", fix))
        return None
    turns = []
    for offset, text in enumerate(block[2:], start=2):
        turn = _turn(text)
        if turn is None:
            known = ", ".join(Happened)
            what = f"'{text}' is no turn."
            problems.append(Problem(str(path), line + offset, what, f"Write 'words | what happened': {known}."))
        else:
            turns.append(turn)
    person_at = None if label["turn"] == "never" else int(label["turn"])
    if person_at is not None and not 1 <= person_at <= len(turns):
        problems.append(Problem(str(path), line + 1, f"There is no turn {person_at}.", "Count the turns from 1."))
    calls = re.search(r"calls=(\d+)", head["customer"])
    return LabelledCall(
        id=head["id"],
        about=head["about"].strip(),
        tier="gold" if "gold" in head["customer"] else "",
        earlier_calls=int(calls[1]) if calls else 0,
        person_at=person_at,
        why=label["why"],
        turns=tuple(turns),
    )


def _turn(line: str) -> WrittenTurn | None:
    text, _, marks = (part.strip() for part in line.partition("|"))
    happened: set[Happened] = set()
    amount = None
    for mark in marks.split():
        if mark.startswith("amount=") and mark[7:].isdecimal():
            amount = Decimal(mark[7:])
        elif mark in set(Happened):
            happened.add(Happened(mark))
        else:
            return None
    if text == "-":
        happened.add(Happened.SILENT)
    return WrittenTurn("" if text == "-" else text, frozenset(happened or {Happened.OK}), amount)
