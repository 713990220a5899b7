"""What the page of a call shows of each turn: where it lies, what was cut, what the policy weighed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from voicebot.records.record import Speaker

#: A caller who begins within this time after the bot was cut off is the one who cut it.
_REACTION_MS = 1500
#: How the record says that a caller spoke over a prompt without interrupting it.
_BACKCHANNEL = "backchannel"


#: Less likely requests are in the record and not on its page.
_WORTH_SHOWING = 0.01


class Mark(StrEnum):
    """What the waveform marks: the bot was interrupted, a rule of the flow fired, the policy did something."""

    BARGE_IN = "barge-in"
    DECISION = "decision"
    ESCALATION = "escalation"


@dataclass(frozen=True, slots=True)
class Weighed:
    """One signal's part in a score."""

    signal: str
    value: float
    weight: float
    part: float


@dataclass(frozen=True, slots=True)
class Escalation:
    """What the policy decided at a turn: `did` is the rung it climbed to by `rule`, or `held` why it did nothing."""

    did: str
    rule: str
    held: str
    about: str
    score: float | None
    threshold: float | None
    policy: str
    parts: tuple[Weighed, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A turn with what is derived from it and from those beside it.

    `number` counts from 0 and `end_ms` is where it was over. `unheard` are the words that the caller did not hear any
    more because the bot was cut off at `cut_ms`. `words` pairs each word with where it begins (milliseconds, None
    where that is not known) and how sure it is. `otherwise` are the other requests that the words may have been about.
    """

    number: int
    turn: Mapping[str, Any]
    end_ms: int
    cut_ms: int | None
    unheard: str
    interrupted: bool
    agreed: bool
    words: tuple[tuple[str, int | None, float | None], ...]
    escalation: Escalation | None
    signals: tuple[tuple[str, str], ...]
    marks: tuple[Mark, ...]
    otherwise: tuple[tuple[str, float], ...]


def shown_turns(turns: Sequence[Mapping[str, Any]]) -> list[Shown]:
    """Return a record's turns as its page shows them."""
    starts_ms = [turn["at_ms"] for turn in turns if turn["speaker"] == Speaker.CALLER]
    return [_shown(number, turn, starts_ms) for number, turn in enumerate(turns)]


def _shown(number: int, turn: Mapping[str, Any], starts_ms: Sequence[int]) -> Shown:
    end_ms = turn["at_ms"] + turn["heard_ms"]
    is_cut = turn["speaker"] == Speaker.BOT and turn["heard_text"] is not None
    interrupted = is_cut and any(turn["at_ms"] <= start <= end_ms + _REACTION_MS for start in starts_ms)
    escalation = _escalation(turn["signals"].get("decision"))
    marks = []
    if interrupted and turn["heard_ms"]:
        marks.append(Mark.BARGE_IN)
    if escalation and escalation.did:
        marks.append(Mark.ESCALATION)
    elif turn["decision"]:
        marks.append(Mark.DECISION)
    return Shown(
        number=number,
        turn=turn,
        end_ms=end_ms,
        cut_ms=end_ms if is_cut else None,
        unheard=_unheard(turn) if is_cut else "",
        interrupted=interrupted,
        agreed=bool(turn["over_prompt"]) and (turn["decision"] or "").startswith(_BACKCHANNEL),
        words=_words(turn),
        escalation=escalation,
        signals=tuple((name, _value(value)) for name, value in turn["signals"].items() if name != "decision"),
        marks=tuple(marks),
        otherwise=_otherwise(turn),
    )


def _otherwise(turn: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    """Return the requests that the words may have been about besides the one that was taken."""
    return tuple(
        (reading["intent"], reading["confidence"])
        for reading in turn["intents"]
        if reading["intent"] != turn["intent"] and reading["confidence"] >= _WORTH_SHOWING
    )


def _unheard(turn: Mapping[str, Any]) -> str:
    text, heard = turn["text"], turn["heard_text"]
    return str(text.removeprefix(heard))


def _words(turn: Mapping[str, Any]) -> tuple[tuple[str, int | None, float | None], ...]:
    """Pair each word shown with its time where the recogniser's words are what the turn shows."""
    timed, text = turn["words"], turn["text"].split()
    if [word["text"] for word in timed] == text:
        return tuple((word["text"], word["start_ms"], word["confidence"]) for word in timed)
    return tuple((word, None, None) for word in text)


def _escalation(decision: object) -> Escalation | None:
    """Read what a turn's signals keep of the policy's decision; records of other versions may lack parts of it."""
    if not isinstance(decision, Mapping):
        return None
    rows = [row for row in decision.get("parts") or () if isinstance(row, Sequence) and len(row) == 4]
    return Escalation(
        did=str(decision.get("rung") or ""),
        rule=str(decision.get("rule") or ""),
        held=str(decision.get("held") or ""),
        about=str(decision.get("about") or ""),
        score=decision.get("score"),
        threshold=decision.get("threshold"),
        policy=str(decision.get("policy") or ""),
        parts=tuple(Weighed(*row) for row in rows),
    )


def _value(value: object) -> str:
    """Return a measurement as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
