"""Prints a demo to a terminal: colour where there is one, plain lines elsewhere."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from typing import Any, TextIO

_BOLD, _DIM, _RED, _GREEN, _CYAN, _YELLOW = "1", "2", "31", "32", "36", "33"
_LABEL_WIDTH = 14


class Terminal:
    """Writes to `stream`. Colour needs a terminal and no NO_COLOR in the environment."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colour = stream.isatty() and "NO_COLOR" not in os.environ

    def title(self, text: str) -> None:
        self._line("")
        self._line(self._paint(f"── {text} ", _BOLD) + self._paint("─" * max(0, 76 - len(text)), _DIM))

    def step(self, text: str) -> None:
        self._line(self._paint(f"   {text}", _DIM))

    def problem(self, text: str) -> None:
        self._line(self._paint(f"✗  {text}", _RED))

    def success(self, text: str) -> None:
        self._line(self._paint(f"✓  {text}", _GREEN))

    def says(self, who: str, text: str) -> None:
        self._line(self._paint(f"   {who:<{_LABEL_WIDTH}}", _YELLOW) + text)

    def turn(self, turn: dict[str, Any]) -> None:
        """Show a turn of the record: what was said or heard, what it was taken for, and how long each stage took."""
        if turn["speaker"] == "bot":
            heard = f" (heard {turn['heard_ms'] / 1000:.1f} s)"
            self._line(self._paint(f"   {'bot said':<{_LABEL_WIDTH}}", _CYAN) + turn["text"] + self._paint(heard, _DIM))
            return
        heard = "(secret)" if turn["secret"] else turn["text"] or "(nothing)"
        self._line(self._paint(f"   {'bot heard':<{_LABEL_WIDTH}}", _CYAN) + heard)
        understood = [f"{name} = {value}" for name, value in turn["slots"].items()]
        if turn["intent"]:
            understood.insert(0, f"{turn['intent']} {turn['confidence']:.2f}")
        if understood:
            self._detail("understood", " · ".join(understood))
        if turn["decision"]:
            self._detail("decided", turn["decision"])
        if turn["timings_ms"]:
            stages = (f"{name.replace('_', ' ')} {value:.0f}" for name, value in turn["timings_ms"].items())
            self._detail("milliseconds", " · ".join(stages))

    def row(self, name: str, values: Sequence[float]) -> None:
        """Show a stage's median and worst over `values`, in milliseconds."""
        if not values:
            return
        worst = max(values)
        self._line(f"   {name:<20} median {statistics.median(values):7.0f}   worst {worst:7.0f}   n {len(values):3d}")

    def _detail(self, label: str, text: str) -> None:
        self._line(self._paint(f"     {label:<{_LABEL_WIDTH}}{text}", _DIM))

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)
