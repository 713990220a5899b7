"""Cuts speakable text into the clauses that an engine speaks one at a time, and says how long to pause after each.

An engine that is barely faster than real time must begin with a short clause for its first audio to come early; a
fast one speaks whole sentences, whose melody is better.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SENTENCE_PAUSE_S = 0.22
_COLON_PAUSE_S = 0.16
_COMMA_PAUSE_S = 0.10
# A "sentence" longer than this without any punctuation is cut between words, so that no request lasts for ever.
_LONGEST_UNPUNCTUATED = 300

_SENTENCE_END = re.compile(r"(?<=[.?!…])[\"')\]]*\s+")
_CLAUSE_END = re.compile(r"(?<=[,;:\u2013\u2014])\s+")


@dataclass(frozen=True, slots=True)
class Clause:
    """A piece of text to speak in one go; `pause_s` of silence follows it at normal speed."""

    text: str
    pause_s: float


def split_clauses(text: str, longest_chars: int) -> tuple[Clause, ...]:
    """Cut `text` at sentence ends, and sentences over `longest_chars` at the punctuation inside them."""
    clauses: list[Clause] = []
    for sentence in _SENTENCE_END.split(text.strip()):
        clauses += [Clause(piece, pause_after(piece)) for piece in _pieces(sentence, longest_chars)]
    return tuple(clauses)


def pause_after(text: str) -> float:
    """Return the pause, in seconds, that the last character of `text` asks for."""
    match text.rstrip("\"')] ")[-1:]:
        case "." | "?" | "!" | "…":
            return _SENTENCE_PAUSE_S
        case ":" | ";" | "\u2013" | "\u2014":
            return _COLON_PAUSE_S
        case ",":
            return _COMMA_PAUSE_S
        case _:
            return 0.0


def _pieces(sentence: str, longest_chars: int) -> list[str]:
    """Join neighbouring clauses again as long as they stay within the limit: fewer joints sound better."""
    pieces: list[str] = []
    for clause in _CLAUSE_END.split(sentence):
        if pieces and len(pieces[-1]) + 1 + len(clause) <= longest_chars:
            pieces[-1] = f"{pieces[-1]} {clause}"
        else:
            pieces.append(clause)
    return [part for piece in pieces for part in _unpunctuated(piece) if re.search(r"\w", part)]


def _unpunctuated(piece: str) -> list[str]:
    parts: list[str] = []
    while len(piece) > _LONGEST_UNPUNCTUATED:
        at = piece.rfind(" ", 1, _LONGEST_UNPUNCTUATED)
        at = at if at > 0 else _LONGEST_UNPUNCTUATED
        parts.append(piece[:at])
        piece = piece[at:].lstrip()
    return [*parts, piece]
