"""Marks an admin may put into a prompt.

``[pause 300ms]``, ``[slow]…[/slow]``, ``[fast]…[/fast]``, ``[speed 0.9]…[/speed]``, ``[spell]…[/spell]`` letter by
letter, and ``[digits]…[/digits]`` digit by digit.

Pure. A mark never stops a call: one that is wrong is passed over when speaking, and `mark_problems` names it when a
flow is checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from voicebot.speech.synthesis.engine import FASTEST_SPEED, SLOWEST_SPEED

_MARK = re.compile(r"\[\s*(?P<closing>/?)\s*(?P<name>[A-Za-z]+)(?:\s+(?P<amount>[^\]]*?))?\s*\]")
_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s?(?P<unit>ms|s)")
_DEFAULT_PAUSE_S = 0.4
_LONGEST_PAUSE_S = 5.0
_FIXED = {"slow": 0.8, "fast": 1.2, "spell": 1.0, "digits": 1.0}


class Reading(StrEnum):
    """How a run of text is read: as text, letter by letter, or digit by digit."""

    TEXT = "text"
    SPELL = "spell"
    DIGITS = "digits"


@dataclass(frozen=True, slots=True)
class Pause:
    duration_s: float


@dataclass(frozen=True, slots=True)
class Run:
    """Text between marks; `speed` is relative to the voice's own."""

    text: str
    speed: float = 1.0
    reading: Reading = Reading.TEXT


@dataclass(frozen=True, slots=True)
class _Opening:
    """A mark that is open; `speed` is what it makes of the speed, None when it is no mark that there is."""

    name: str
    written: str
    speed: float | None


def parse_marks(text: str) -> tuple[Run | Pause, ...]:
    """Return the runs and pauses of `text`. A mark left open lasts to the end; one that is wrong counts as nothing."""
    parts: list[Run | Pause] = []
    open_marks: list[_Opening] = []
    last = 0
    for mark in _MARK.finditer(text):
        _add_run(parts, text[last : mark.start()], open_marks)
        last = mark.end()
        name = mark["name"].lower()
        if name == "pause":
            duration_s = _duration(mark["amount"])
            if duration_s is not None and not mark["closing"]:
                parts.append(Pause(duration_s))
        elif mark["closing"]:
            _close(open_marks, name)
        else:
            open_marks.append(_opening(mark))
    _add_run(parts, text[last:], open_marks)
    return tuple(parts)


def plain_text(text: str) -> str:
    """Return `text` without its marks, as captions and records show it."""
    return " ".join(_MARK.sub(" ", text).split())


def at_pace(text: str, pace: float) -> str:
    """Return `text` so marked that it is spoken at `pace` times its speed, within what voices can."""
    pace = round(min(max(pace, SLOWEST_SPEED), FASTEST_SPEED), 2)
    return text if pace == 1.0 or not text else f"[speed {pace}]{text}[/speed]"


def carry_marks(texts: Iterable[str]) -> tuple[str, ...]:
    """Close at the end of each piece of a prompt the marks that are open there, and open them again in the next.

    Each piece of a prompt is spoken, and kept, by itself, so ``[slow]Your code is {code}.[/slow]`` needs this.
    """
    carried: list[str] = []
    open_marks: list[_Opening] = []
    for text in texts:
        before = "".join(opening.written for opening in open_marks)
        for mark in _MARK.finditer(text):
            name = mark["name"].lower()
            if mark["closing"]:
                _close(open_marks, name)
            elif name != "pause":
                open_marks.append(_opening(mark))
        carried.append(before + text + "".join(f"[/{opening.name}]" for opening in reversed(open_marks)))
    return tuple(carried)


def mark_problems(text: str) -> tuple[str, ...]:
    """Return, in words, every mark of a whole prompt that is unknown, wrong, or not closed."""
    problems: list[str] = []
    open_marks: list[_Opening] = []
    for mark in _MARK.finditer(text):
        name = mark["name"].lower()
        if name == "pause":
            if mark["closing"] or _duration(mark["amount"]) is None:
                problems.append(f"{mark.group()}: a pause is written [pause 300ms] or [pause 1.5s], 5 s at most.")
        elif mark["closing"]:
            if not _close(open_marks, name):
                problems.append(f"{mark.group()} closes nothing.")
        elif _opening(mark).speed is None:
            problems.append(
                f"{mark.group()}: there are pause, slow, fast, spell, digits, and"
                f" [speed X] with X from {SLOWEST_SPEED} to {FASTEST_SPEED}."
            )
        else:
            open_marks.append(_opening(mark))
    unclosed = (f"{mark.written} is not closed; write [/{mark.name}] where it ends." for mark in open_marks)
    return (*problems, *unclosed)


def _add_run(parts: list[Run | Pause], text: str, open_marks: list[_Opening]) -> None:
    if not text.strip():
        return
    speed = 1.0
    reading = Reading.TEXT
    for opening in open_marks:
        speed *= opening.speed or 1.0
        if opening.name in set(Reading):
            reading = Reading(opening.name)
    parts.append(Run(text.strip(), round(speed, 3), reading))


def _close(open_marks: list[_Opening], name: str) -> bool:
    """Forget the innermost open mark of that name; False when there is none."""
    for index in range(len(open_marks) - 1, -1, -1):
        if open_marks[index].name == name:
            del open_marks[index]
            return True
    return False


def _duration(amount: str | None) -> float | None:
    if not amount:
        return _DEFAULT_PAUSE_S
    match = _DURATION.fullmatch(amount)
    if match is None:
        return None
    seconds = float(match["number"]) / (1000 if match["unit"] == "ms" else 1)
    return seconds if seconds <= _LONGEST_PAUSE_S else None


def _opening(mark: re.Match[str]) -> _Opening:
    name, amount = mark["name"].lower(), mark["amount"]
    speed: float | None = None
    if name == "speed":
        speed = _speed(amount)
    elif not amount:
        speed = _FIXED.get(name)
    return _Opening(name, mark.group(), speed)


def _speed(amount: str | None) -> float | None:
    try:
        speed = float(amount or "")
    except ValueError:
        return None
    return speed if SLOWEST_SPEED <= speed <= FASTEST_SPEED else None
