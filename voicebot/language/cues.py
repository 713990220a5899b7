"""Files of phrases that give something away: under each name how sure a sign they are, and what only looks like it.

A file has sections ``[angry 0.8]`` with one phrase a line (a regular expression of whole words in lower case), and
``[not angry]`` with phrases that are struck out before that name is looked for. NUMBER and STRETCH stand for any number
above one and for minutes, days and the like.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources

_WORDS_FOR = {
    "NUMBER": "(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|[0-9]+)",
    "STRETCH": "(?:minutes?|hours?|days?|weeks?|months?|years?)",
}


@dataclass(frozen=True, slots=True)
class Cues:
    """The phrases of one name by how sure a sign they are, and those that only look like it."""

    signs: tuple[tuple[float, re.Pattern[str]], ...]
    struck_out: re.Pattern[str] | None

    def read(self, text: str) -> tuple[float, list[str]]:
        """Return how sure it is, each sign counting as independent evidence, and the words of the signs."""
        if self.struck_out:
            text = self.struck_out.sub(" ", text)
        doubt, heard = 1.0, []
        for weight, phrases in self.signs:
            for found in phrases.finditer(text):
                doubt *= 1 - weight
                heard.append(found.group())
        return 1 - doubt, heard


def load_cues(file: str) -> Mapping[str, Cues]:
    """Read a cue file of this room; returns what it holds by name."""
    sections: dict[str, list[str]] = {}
    phrases: list[str] = []
    for line in resources.files("voicebot.language").joinpath(file).read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            phrases = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            phrases.append(line)
    signs: dict[str, list[tuple[float, re.Pattern[str]]]] = {}
    struck_out: dict[str, re.Pattern[str]] = {}
    for title, lines in sections.items():
        first, second = title.split()
        if first == "not":
            struck_out[second] = _any_of(lines)
        else:
            signs.setdefault(first, []).append((float(second), _any_of(lines)))
    return {name: Cues(tuple(found), struck_out.get(name)) for name, found in signs.items()}


def _any_of(phrases: Iterable[str]) -> re.Pattern[str]:
    joined = "|".join(phrases)
    for name, words in _WORDS_FOR.items():
        joined = joined.replace(name, words)
    return re.compile(rf"(?<!\S)(?:{joined})(?!\S)")
