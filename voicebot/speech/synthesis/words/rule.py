"""One rule of text normalisation: what it looks for and how that is said."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Say = Callable[[re.Match[str]], str | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """`say` returns the words for a match of `pattern`, or None to leave it as it stands."""

    pattern: re.Pattern[str]
    say: Say

    def apply(self, text: str) -> str:
        def words(match: re.Match[str]) -> str:
            said = self.say(match)
            return match.group() if said is None else said

        return self.pattern.sub(words, text)


def rule(pattern: str, say: Say, flags: int = 0) -> Rule:
    return Rule(re.compile(pattern, flags), say)


def apply_all(rules: Iterable[Rule], text: str) -> str:
    for each in rules:
        text = each.apply(text)
    return text


def sentence_end(match: re.Match[str]) -> str:
    """Return the full stop that an abbreviation's dot hides when a sentence ends there, else nothing."""
    if not match.group().endswith("."):
        return ""
    rest = match.string[match.end() :].lstrip("\"')")
    return "." if not rest.strip() or re.match(r"\s+[A-Z]", rest) else ""
