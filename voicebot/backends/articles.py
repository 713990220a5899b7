"""Reads the folder of Markdown articles that questions are answered from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voicebot.dialog.flow import spoken_words
from voicebot.dialog.loader import KNOWLEDGE
from voicebot.errors import ConfigurationError, Problem

#: The operation that finds the article a question is answered from.
OPERATION = "knowledge.find"


@dataclass(frozen=True, slots=True)
class Passage:
    """One answer, the `wordings` of the question, and the `article` it is from (``"shop.md: Do you deliver?"``)."""

    article: str
    wordings: tuple[str, ...]
    answer: str


def read_articles(folder: Path) -> tuple[Passage, ...]:
    """Read articles: each ``## question`` has other wordings as a list and then the answer as it is spoken.

    `ConfigurationError` names every article that is not written so.
    """
    passages: list[Passage] = []
    problems: list[Problem] = []
    for path in sorted(folder.rglob("*.md")):
        name = path.relative_to(folder).as_posix()
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            problems.append(Problem(f"{KNOWLEDGE}/{name}", None, "The article is not UTF-8 text.", "Save it as UTF-8."))
            continue
        _read_article(text, name, passages, problems)
    if problems:
        raise ConfigurationError(problems)
    return tuple(passages)


def _read_article(text: str, name: str, passages: list[Passage], problems: list[Problem]) -> None:
    heading, line_of_heading = "", 0
    wordings: list[str] = []
    answer: list[str] = []

    def finish() -> None:
        if heading and answer:
            spoken = tuple(spoken_words(wording) for wording in (heading, *wordings))
            passages.append(Passage(f"{name}: {heading}", spoken, " ".join(answer)))
        elif heading:
            what = f"'{heading}' has no answer."
            problems.append(Problem(f"{KNOWLEDGE}/{name}", line_of_heading, what, "Write the answer as a paragraph."))

    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if line.startswith("## "):
            finish()
            heading, line_of_heading = line[3:].strip(), number
            wordings, answer = [], []
        elif line.startswith("- ") and not answer:
            wordings.append(line[2:].strip())
        elif line and not line.startswith("#") and heading:
            answer.append(line)
    finish()
