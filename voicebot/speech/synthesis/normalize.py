"""Puts a prompt's text into words that every engine reads alike: "$42.60" becomes "forty-two dollars and sixty cents".

Pure and English (United States). The output holds letters, apostrophes, hyphens and . , ; : ? ! only: no digits, no
symbols, no abbreviations, so that no engine applies rules of its own.
"""

from __future__ import annotations

import re

from voicebot.speech.synthesis.words import abbreviations, amounts, codes, dates, notations, roman, symbols, times
from voicebot.speech.synthesis.words.rule import apply_all

# The order matters: an address is read before the numbers in it, a phone number before it could be a range, a date
# before it could be a fraction, and what nothing claimed is a plain number.
_RULES = (
    *symbols.EARLY_RULES,
    *abbreviations.EARLY_RULES,
    *codes.ADDRESSES,
    *notations.RULES,
    *times.RULES,
    *dates.RULES,
    *amounts.MONEY,
    *amounts.RANGES,
    *amounts.MEASURES,
    *codes.CODES,
    *amounts.NUMBERS,
    *roman.RULES,
    *abbreviations.RULES,
    *symbols.LATE_RULES,
)


# Some rules look far ahead, so that their time grows with the square of the text: nothing longer is read in one piece.
_LONGEST_PIECE = 600
_SENTENCES_END = re.compile(r"(?<=[.?!])\s+")


def normalize(text: str) -> str:
    """Return `text` in speakable words; empty when there is nothing to say. Takes time in proportion to its length."""
    said = (symbols.tidied(apply_all(_RULES, piece)) for piece in _pieces(symbols.cleaned(text)))
    return " ".join(piece for piece in said if piece)


def _pieces(text: str) -> list[str]:
    """Part a long text behind a sentence; where there is none, between words, or as a last resort anywhere."""
    pieces: list[str] = []
    while len(text) > _LONGEST_PIECE:
        ends = [match.end() for match in _SENTENCES_END.finditer(text, 0, _LONGEST_PIECE)]
        cut = ends[-1] if ends else text.rfind(" ", 1, _LONGEST_PIECE) + 1 or _LONGEST_PIECE
        pieces.append(text[:cut])
        text = text[cut:]
    return [*pieces, text]
