"""What the dialog listens for next. Recognition, end of turn, language and key entry all shape themselves by it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from voicebot.dialog.check_digits import CheckDigit


class AnswerKind(StrEnum):
    """The shapes an answer can have. `OPEN` is a request in the caller's own words."""

    OPEN = "open"
    YES_NO = "yes_no"
    DIGITS = "digits"
    ALPHANUMERIC = "alphanumeric"
    DATE = "date"
    TIME = "time"
    MONEY = "money"
    NAME = "name"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """How keys are collected: complete at `max_keys` or at the `terminator`, given up on after `gap_s` of no key."""

    min_keys: int
    max_keys: int
    terminator: str = "#"
    gap_s: float = 3.0


@dataclass(frozen=True, slots=True)
class Expectation:
    """One question's worth of listening.

    `name` is unique within a flow version (``"balance.pin"``) and names the compiled grammar. `kinds` are ordered,
    the likeliest first; a closed question may still hear an open request when `OPEN` is among them. `phrases` are
    further word sequences worth hearing, the flows' own: what is made of them outlives the call. `lengths` are the
    allowed numbers of characters of a digit string or code, `check_digit` is the rule that its last digits follow.
    While `secret` is set nothing of the answer may be written anywhere.
    """

    name: str
    kinds: tuple[AnswerKind, ...]
    phrases: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()
    keys: KeyEntry | None = None
    secret: bool = False
    barge_in: bool = True
    no_input_s: float = 6.0
    too_long_s: float = 20.0
    check_digit: CheckDigit | None = None


@dataclass(frozen=True, slots=True)
class Domain:
    """What callers may say to a bot: all that a recogniser needs to compile its grammars and language models.

    `version` names the content, so that compiled files can be cached. `requests` are example sentences of every
    intent, in lower-case spoken words. `names` are words from the customer's data worth hearing (people, products).
    """

    version: str
    requests: tuple[str, ...]
    expectations: tuple[Expectation, ...]
    names: tuple[str, ...] = ()
