"""Prints a demo to a terminal: colour where there is one, plain lines elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import textwrap
from collections.abc import Sequence
from typing import Any, TextIO

_BOLD, _DIM, _RED, _GREEN, _CYAN, _YELLOW = "1", "2", "31", "32", "36", "33"
_MARGIN = "   "
_LABEL_WIDTH = 14
_WIDEST = 118
#: Branches not taken aloud, questions to a backend (its answer follows), ends of flows.
_BOOKKEEPING = re.compile(r": (?:branch|backend|flow_done)\b")


class Terminal:
    """Writes to `stream`. Colour needs a terminal and no NO_COLOR in the environment (no-color.org)."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colour = stream.isatty() and not os.environ.get("NO_COLOR")
        # A file or a pipe has no width; long lines there are easier to search than wrapped ones.
        self._width = min(shutil.get_terminal_size().columns, _WIDEST) if stream.isatty() else 10_000

    def title(self, text: str) -> None:
        rule = "─" * max(0, min(self._width, 80) - len(text) - 4)
        self._line("")
        self._line(self._paint(f"── {text} ", _BOLD) + self._paint(rule, _DIM))

    def step(self, text: str) -> None:
        self._line(self._paint(_MARGIN + text, _DIM))

    def problem(self, text: str) -> None:
        self._line(self._paint(f"✗  {text}", _RED))

    def success(self, text: str) -> None:
        self._line(self._paint(f"✓  {text}", _GREEN))

    def caller_says(self, text: str) -> None:
        self._labelled("caller says", text, _YELLOW)

    def caller_hears(self, text: str, *, sure: bool) -> None:
        """Show what the caller understood of the bot's audio; a question mark where they had to guess."""
        self._labelled("caller hears", (text or "(nothing)") + ("" if sure else "  (?)"), _YELLOW, text_code=_DIM)

    def turn(self, turn: dict[str, Any]) -> None:
        """Show a turn of the record: what was said or heard, what it was taken for, and how long each stage took."""
        if turn["speaker"] == "bot":
            cut_off = turn["heard_text"]
            if cut_off is None:
                self._labelled("bot says", turn["text"], _CYAN)
            elif cut_off:
                self._labelled("bot says", f"{cut_off} … (interrupted)", _CYAN)
            return
        heard = "(kept secret)" if turn["secret"] else turn["text"] or "(nothing)"
        self._labelled("bot hears", heard, _CYAN)
        understood = [f"{name} = {value}" for name, value in turn["slots"].items()]
        if turn["intent"]:
            understood.insert(0, f"{turn['intent']} {turn['confidence']:.2f}")
        if understood:
            self._labelled("understood", " · ".join(understood), _DIM, text_code=_DIM)
        if decided := _decisions(turn["decision"] or ""):
            self._labelled("decided", decided, _DIM, text_code=_DIM)
        if turn["timings_ms"]:
            stages = (f"{name.replace('_', ' ')} {value:.0f}" for name, value in turn["timings_ms"].items())
            self._labelled("milliseconds", " · ".join(stages), _DIM, text_code=_DIM)

    def table_head(self) -> None:
        self._line(self._paint(f"{_MARGIN}{'':<34}{'median':>8}{'95 %':>8}{'worst':>8}{'n':>5}", _DIM))

    def table_row(self, name: str, values: Sequence[float]) -> None:
        """Show the median, the 95th percentile and the worst of `values`."""
        if not values:
            self._line(f"{_MARGIN}{name:<34}{'-':>8}{'-':>8}{'-':>8}{0:>5}")
            return
        high = statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]
        figures = "".join(f"{figure:>8.0f}" for figure in (statistics.median(values), high, max(values)))
        self._line(f"{_MARGIN}{name:<34}{figures}{len(values):>5}")

    def _labelled(self, label: str, text: str, code: str, *, text_code: str = "") -> None:
        indent = " " * (len(_MARGIN) + _LABEL_WIDTH + 2)
        room = max(20, self._width - len(indent))
        first, *rest = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
        self._line(f"{_MARGIN}{self._paint(f'{label:<{_LABEL_WIDTH}}', code)}  {self._paint(first, text_code)}")
        for line in rest:
            self._line(indent + self._paint(line, text_code))

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour and code else text

    def _line(self, text: str) -> None:
        print(text.rstrip(), file=self._stream, flush=True)


def _decisions(trace: str) -> str:
    """Return a turn's decisions without the bookkeeping around them; the record has every one."""
    steps = (step for step in trace.split("; ") if step)
    return " → ".join(step for step in steps if not _BOOKKEEPING.search(step))
