"""What a caller has come to do: cues to wait for and what to do at each. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.simulation.phrasebook import words_of


@dataclass(frozen=True, slots=True)
class Say:
    text: str


@dataclass(frozen=True, slots=True)
class PlayAudio:
    """Say a recording: mu-law at 8 kHz. `text` is what it says, for the transcript only."""

    mulaw: bytes
    text: str = "[recording]"


@dataclass(frozen=True, slots=True)
class Press:
    """Press keys one after the other, `gap_s` apart. `secret` keys do not appear in the transcript."""

    keys: str
    gap_s: float = 0.25
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: float


@dataclass(frozen=True, slots=True)
class HangUp:
    pass


@dataclass(frozen=True, slots=True)
class DropLine:
    """The connection breaks under the call."""


Deed = Say | PlayAudio | Press | Wait | HangUp | DropLine


@dataclass(frozen=True, slots=True)
class Step:
    """When the bot has said one of the cues `on` and paused, do `deeds`.

    A cue is words in a row (``"account number"``), or several such with anything between them (``"friday … book it"``);
    without cues anything the bot says will do. What counts is all
    that was heard since the caller last did something, so a pause in the bot's answer does no harm. With
    `interrupt_after_s` the caller acts that long into the bot's next utterance, over it, without waiting for a cue.
    """

    on: tuple[str, ...] = ()
    deeds: tuple[Deed, ...] = ()
    interrupt_after_s: float | None = None
    timeout_s: float = 15.0


@dataclass(frozen=True, slots=True)
class Script:
    """Steps in order. `asides` may come up at any time, each at most `most_asides` times, and do not move on.

    When the bot has said what fits neither and waits, the caller does `puzzled`, as often as an aside: a person asks
    again for what they did not catch. A bot that says `patience` such things in a row is giving wrong replies, and the
    call has failed.
    After the last step the caller waits for the bot to hang up, unless it hung up itself.
    """

    name: str
    steps: tuple[Step, ...]
    asides: tuple[Step, ...] = ()
    puzzled: tuple[Deed, ...] = ()
    most_asides: int = 2
    patience: int = 3
    pause_s: float = 0.7
    goodbye_timeout_s: float = 10.0

    @property
    def hangs_up(self) -> bool:
        deeds = self.steps[-1].deeds if self.steps else ()
        return bool(deeds) and isinstance(deeds[-1], HangUp | DropLine)


def fits(cues: tuple[str, ...], heard: str) -> bool:
    """Tell whether any cue occurs in `heard` (lower-case words); no cues fit whatever was said."""
    return any(_occurs(cue, heard) for cue in cues) if cues else bool(heard)


def _occurs(cue: str, heard: str) -> bool:
    rest = f" {heard} "
    for part in cue.split("…"):
        _, found, rest = rest.partition(f" {' '.join(words_of(part))} ")
        if not found:
            return False
        rest = f" {rest}"
    return True
