"""Puts a prompt's text into words that every engine reads alike: "$42.60" becomes "forty-two dollars and sixty cents".

Pure and English (United States). The output holds letters, apostrophes, hyphens and . , ; : ? ! only: no digits, no
symbols, no abbreviations, so that no engine applies rules of its own.
"""

from __future__ import annotations

from voicebot.speech.synthesis.words import abbreviations, amounts, codes, dates, symbols, times
from voicebot.speech.synthesis.words.rule import apply_all

# The order matters: an address is read before the numbers in it, a phone number before it could be a range, a date
# before it could be a fraction, and what nothing claimed is a plain number.
_RULES = (
    *symbols.EARLY_RULES,
    *abbreviations.EARLY_RULES,
    *codes.ADDRESSES,
    *times.RULES,
    *dates.RULES,
    *amounts.MONEY,
    *amounts.RANGES,
    *amounts.MEASURES,
    *codes.CODES,
    *amounts.NUMBERS,
    *abbreviations.RULES,
    *symbols.LATE_RULES,
)


def normalize(text: str) -> str:
    """Return `text` in speakable words; empty when there is nothing to say."""
    return symbols.tidied(apply_all(_RULES, symbols.cleaned(text)))
