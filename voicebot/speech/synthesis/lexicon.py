"""A bot's pronunciation lexicon: how its own names are written so that a voice says them right.

A YAML mapping from a term to its respelling, which every engine understands::

    Nguyen: win
    SQL: sequel
    Qantara Plus: can tara plus
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from voicebot.dialog.document import read_yaml
from voicebot.errors import ConfigurationError, Problem


class Lexicon:
    """Replaces whole terms, whatever their case, the longest first."""

    def __init__(self, entries: Mapping[str, str] | None = None) -> None:
        self._entries = {_folded(term): said for term, said in (entries or {}).items()}
        terms = sorted(self._entries, key=len, reverse=True)
        alternatives = "|".join(re.escape(term).replace(r"\ ", r"\s+") for term in terms)
        self._pattern = re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)", re.IGNORECASE) if terms else None

    def __len__(self) -> int:
        return len(self._entries)

    def apply(self, text: str) -> str:
        """Return `text` with every known term respelled."""
        if self._pattern is None:
            return text
        return self._pattern.sub(self._said, text)

    def _said(self, match: re.Match[str]) -> str:
        term = match.group()
        said = self._entries[_folded(term)]
        # A name stays one: "Ms. Nguyen" is read by its capital.
        return said[0].upper() + said[1:] if term[0].isupper() else said


def load_lexicon(path: Path) -> Lexicon:
    """Read a lexicon file; a missing one is an empty lexicon.

    Raises ConfigurationError naming every entry, with its line, that is no pair of texts.
    """
    if not path.is_file() or _is_empty(path):
        return Lexicon()
    problems: list[Problem] = []
    source = read_yaml(path, path.name, problems)
    entries = {term: (entry, entry.text()) for term, entry in source.fields()} if source else {}
    for term, (entry, said) in entries.items():
        if said and not (term.strip() and re.search(r"\w", said)):
            entry.problem(f"'{term}' has no respelling in letters.", "Write one 'term: respelling' a line.")
    if problems:
        raise ConfigurationError(problems)
    return Lexicon({term: said for term, (_, said) in entries.items()})


def _is_empty(path: Path) -> bool:
    """Say whether a lexicon has nothing but comments."""
    return all(line.lstrip().startswith((b"#", b"---")) for line in path.read_bytes().splitlines() if line.strip())


def _folded(term: str) -> str:
    return " ".join(term.split()).lower()
