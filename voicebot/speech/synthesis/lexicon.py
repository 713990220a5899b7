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

import yaml

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

    Raises ConfigurationError naming every entry that is no pair of texts.
    """
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Lexicon()
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        line = error.problem_mark.line + 1 if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark else None
        problem = Problem(str(path), line, "The lexicon cannot be read.", "Write one `term: respelling` a line.")
        raise ConfigurationError([problem]) from error
    if entries is None:
        return Lexicon()
    if not isinstance(entries, dict):
        problem = Problem(str(path), None, "The lexicon is no mapping.", "Write one `term: respelling` a line.")
        raise ConfigurationError([problem])
    problems = [
        Problem(str(path), None, f"`{term}` has no respelling in letters.", 'Put words in quotes: "yes": "yess".')
        for term, said in entries.items()
        if not (isinstance(term, str) and isinstance(said, str) and term.strip() and re.search(r"\w", said))
    ]
    if problems:
        raise ConfigurationError(problems)
    return Lexicon(entries)


def _folded(term: str) -> str:
    return " ".join(term.split()).lower()
