"""YAML with places: every value knows its file and line, so that a mistake can be shown where it stands."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path

import yaml

from voicebot.errors import Problem


class _PlainComposer(yaml.SafeLoader):
    """Refuses aliases: they hide what is repeated from a reader, and can nest without end."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # the stubs leave this one out
            raise yaml.MarkedYAMLError(problem="*aliases are not supported", problem_mark=mark)
        return super().compose_node(parent, index)


class Source:
    """A piece of YAML with its place. Reading it as the wrong thing adds a problem and gives an empty value.

    Scalars are always their written text, so that ``no``, ``08:30`` and ``007`` stay what the admin wrote.
    """

    def __init__(self, node: yaml.Node, file: str, problems: list[Problem]) -> None:
        self._node = node
        self._problems = problems
        self.file = file

    @property
    def line(self) -> int:
        return self._node.start_mark.line + 1

    @property
    def is_text(self) -> bool:
        return isinstance(self._node, yaml.ScalarNode)

    @property
    def is_list(self) -> bool:
        return isinstance(self._node, yaml.SequenceNode)

    @property
    def is_fields(self) -> bool:
        return isinstance(self._node, yaml.MappingNode)

    @property
    def is_quoted(self) -> bool:
        return isinstance(self._node, yaml.ScalarNode) and self._node.style in {"'", '"'}

    def problem(self, what: str, fix: str) -> None:
        self._problems.append(Problem(self.file, self.line, what, fix))

    def text(self) -> str:
        if isinstance(self._node, yaml.ScalarNode) and str(self._node.value).strip():
            return str(self._node.value).strip()
        self.problem("A piece of text is missing here.", "Write the text after the colon.")
        return ""

    def number(self, *, least: int = 0) -> int:
        text = self.text()
        if text.isdecimal() and int(text) >= least:
            return int(text)
        self.problem(f"'{text}' is no whole number of at least {least}.", "Write it in digits.")
        return least

    def fraction(self) -> float:
        text = self.text()
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if 0 <= value <= 1:
            return value
        self.problem(f"'{text}' is no number from 0 to 1.", "Write it like 0.6.")
        return 0.0

    def amount(self) -> float:
        """A number of at least 0, with or without a decimal point."""
        text = self.text()
        if text.replace(".", "", 1).isdecimal():
            return float(text)
        self.problem(f"'{text}' is no number of at least 0.", "Write it like 2 or 0.45.")
        return 0.0

    def flag(self) -> bool:
        text = self.text().lower()
        if text not in {"yes", "no", "true", "false"}:
            self.problem(f"'{text}' is neither yes nor no.", "Write yes or no.")
        return text in {"yes", "true"}

    def items(self) -> list[Source]:
        """The entries of a list; a single value counts as a list of one."""
        if isinstance(self._node, yaml.SequenceNode):
            return [Source(node, self.file, self._problems) for node in self._node.value]
        return [self]

    def texts(self) -> tuple[str, ...]:
        return tuple(text for item in self.items() if (text := item.text()))

    def fields(self, known: Collection[str] | None = None) -> Fields:
        """The entries of a mapping; each key outside `known` is a problem."""
        entries: dict[str, Source] = {}
        if not isinstance(self._node, yaml.MappingNode):
            self.problem("Named entries are expected here.", "Write 'name: value' lines, indented.")
            return Fields(self, entries)
        for key_node, value_node in self._node.value:
            key = Source(key_node, self.file, self._problems)
            name = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else ""
            if not name:
                key.problem("The name of an entry must be a word.", "Put a word before the colon.")
            elif name in entries:
                key.problem(f"'{name}' is written twice.", "Keep one of the two.")
            elif known is not None and name not in known:
                key.problem(f"'{name}' is not known here.", suggestion(name, known))
            else:
                entries[name] = Source(value_node, self.file, self._problems)
        return Fields(self, entries)


class Fields:
    """A mapping's entries by name, each with its place."""

    def __init__(self, source: Source, entries: dict[str, Source]) -> None:
        self.source = source
        self._entries = entries

    def __iter__(self) -> Iterator[tuple[str, Source]]:
        return iter(self._entries.items())

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)

    def get(self, name: str) -> Source | None:
        return self._entries.get(name)

    def require(self, name: str) -> Source | None:
        """The entry, or None after noting that it is missing."""
        found = self._entries.get(name)
        if found is None:
            self.source.problem(f"'{name}' is missing.", f"Add a line '{name}: …'.")
        return found

    def text(self, name: str, default: str = "") -> str:
        found = self._entries.get(name)
        return default if found is None else found.text()

    def texts(self, name: str) -> tuple[str, ...]:
        found = self._entries.get(name)
        return () if found is None else found.texts()

    def flag(self, name: str, *, default: bool = False) -> bool:
        found = self._entries.get(name)
        return default if found is None else found.flag()


def suggestion(name: str, known: Collection[str]) -> str:
    """Name the likely word, or all there are."""
    close = get_close_matches(name, known, n=1)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"There are: {', '.join(sorted(set(known)))}." if known else "None is declared yet."


def read_yaml(path: Path, file: str, problems: list[Problem]) -> Source | None:
    """Compose one file; None, with a problem noted, when it is no YAML or empty. `file` is how problems name it."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=_PlainComposer)
    except UnicodeDecodeError:
        problems.append(Problem(file, None, "The file is not UTF-8 text.", "Save it as UTF-8."))
        return None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        what = f"This is not valid YAML: {error.problem}."
        problems.append(
            Problem(
                file,
                line,
                what,
                "Check the indentation, and put text with a colon, a bracket or, in [], a question mark in quotes.",
            )
        )
        return None
    except yaml.YAMLError:
        problems.append(Problem(file, None, "This is not valid YAML.", "Check it with an editor's YAML mode."))
        return None
    if node is None:
        problems.append(Problem(file, None, "The file is empty.", "Remove it or write something."))
        return None
    return Source(node, file, problems)
