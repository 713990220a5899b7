"""What every benchmark prints and writes: a table of rates with n and 95 % interval, figures, and what was missing.

A benchmark script `scripts/bench/NAME` is three lines of shell around `NAME.py`, which begins::

    from _report import Report, arguments

    options = arguments("What this measures.")
    report = Report("name")
    report.rate("digits", "strings wholly right", right, trials, yardstick="70 %")
    report.figure("turn", "end of speech to reply, p95", 812.0, "ms", n=400, yardstick="at most 900")
    report.missing("kitchen noise", "no such folder under --data")
    report.finish(options.json)
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

_Z_95 = 1.959964


@dataclass(frozen=True, slots=True)
class Row:
    """One line. A rate has `n` trials and its interval; a figure has a `unit`; `value` is a share for a rate."""

    section: str
    name: str
    value: float | None
    unit: str
    n: int | None = None
    low: float | None = None
    high: float | None = None
    yardstick: str = ""
    note: str = ""


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a rate by E. B. Wilson's score (JASA 22, 1927); (0, 1) for no trials."""
    if trials == 0:
        return 0.0, 1.0
    share, square = successes / trials, _Z_95**2
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = _Z_95 * math.sqrt(share * (1 - share) / trials + square / (4 * trials**2)) / (1 + square / trials)
    return max(0.0, middle - half), min(1.0, middle + half)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` (0 to 1) of the values do not exceed, between neighbours linearly; NaN if empty."""
    if not values:
        return math.nan
    ranked = sorted(values)
    place = share * (len(ranked) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ranked) - 1)
    return ranked[below] + (ranked[above] - ranked[below]) * (place - below)


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median, by the ranks that a coin would give; (NaN, NaN) if empty."""
    if not values:
        return math.nan, math.nan
    ranked = sorted(values)
    middle, half = len(ranked) / 2, _Z_95 * math.sqrt(len(ranked)) / 2
    return ranked[max(0, math.floor(middle - half))], ranked[min(len(ranked) - 1, math.ceil(middle + half))]


def arguments(description: str) -> argparse.Namespace:
    """Parse ``--data DIR`` and ``--json FILE``; for further options start from `parser`."""
    return parser(description).parse_args()


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser that knows the two options every benchmark has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--data", type=Path, metavar="DIR", help="folder of measuring material; parts missing are named")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    return made


class Report:
    """Collects rows in the order they are added."""

    def __init__(self, benchmark: str) -> None:
        self._benchmark = benchmark
        self._rows: list[Row] = []
        self._missing: list[tuple[str, str]] = []

    def rate(
        self, section: str, name: str, successes: int, trials: int, *, yardstick: str = "", note: str = ""
    ) -> None:
        """Add a rate of `successes` among `trials`."""
        low, high = wilson(successes, trials)
        share = successes / trials if trials else None
        self._rows.append(Row(section, name, share, "rate", trials, low, high, yardstick, note))

    def mixed_rate(
        self, section: str, name: str, parts: Sequence[tuple[float, int, int]], *, yardstick: str = ""
    ) -> None:
        """Add the rate of a mix, from the rate of each part: (share of the mix, successes, trials).

        The parts' distances from their own limits add up squared (G. Y. Zou and A. Donner, Stat Med 27, 2008).
        """
        rates = [(share, wins / trials, *wilson(wins, trials)) for share, wins, trials in parts]
        value = sum(share * rate for share, rate, _, _ in rates)
        below = math.sqrt(sum((share * (rate - low)) ** 2 for share, rate, low, _ in rates))
        above = math.sqrt(sum((share * (high - rate)) ** 2 for share, rate, _, high in rates))
        count = sum(trials for _, _, trials in parts)
        self._rows.append(Row(section, name, value, "rate", count, value - below, value + above, yardstick))

    def figure(
        self,
        section: str,
        name: str,
        value: float,
        unit: str,
        *,
        n: int | None = None,
        low: float | None = None,
        high: float | None = None,
        yardstick: str = "",
        note: str = "",
    ) -> None:
        """Add a measured value in `unit`; `low` and `high` if it has an interval. NaN shows as "-"."""
        known = None if math.isnan(value) else value
        self._rows.append(Row(section, name, known, unit, n, low, high, yardstick, note))

    def missing(self, section: str, why: str) -> None:
        """Say that a part was not measured, and why."""
        self._missing.append((section, why))

    def table(self) -> str:
        """Return everything so far as text, a block for each section."""
        lines: list[str] = []
        cells = [_cells(row) for row in self._rows]
        widths = [max((len(cell[column]) for cell in cells), default=0) for column in range(5)]
        section = None
        for row, cell in zip(self._rows, cells, strict=True):
            if row.section != section:
                section = row.section
                lines += ["", section]
            name, value, interval, count, yardstick = (
                text.ljust(width) for text, width in zip(cell, widths, strict=True)
            )
            lines.append(f"  {name}  {value}  {interval}  {count}  {yardstick}  {row.note}".rstrip())
        if self._missing:
            lines += ["", "not measured", *(f"  {part}: {why}" for part, why in self._missing)]
        return "\n".join(lines).lstrip("\n")

    def finish(self, json_file: Path | None) -> None:
        """Print the table and write the JSON."""
        print(self.table())
        if json_file is not None:
            self.save(json_file)

    def save(self, json_file: Path) -> None:
        """Write what there is so far as JSON; a long benchmark that is stopped keeps it."""
        document = {
            "benchmark": self._benchmark,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": {
                "processors": os.cpu_count(),
                "processor": _processor(),
                "python": platform.python_version(),
                "load_1min": round(os.getloadavg()[0], 2),
            },
            "rows": [asdict(row) for row in self._rows],
            "missing": [{"section": part, "why": why} for part, why in self._missing],
        }
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    def written(value: float | None) -> str:
        if value is None:
            return "-"
        return f"{100 * value:.1f} %" if row.unit == "rate" else f"{value:.4g}"

    value = written(row.value) if row.unit == "rate" or row.value is None else f"{written(row.value)} {row.unit}"
    interval = "" if row.low is None or row.high is None else f"[{written(row.low)}, {written(row.high)}]"
    count = "" if row.n is None else f"n={row.n}"
    return row.name, value, interval, count, f"({row.yardstick})" if row.yardstick else ""


def _processor() -> str:
    """Return the processor's name as Linux gives it; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), "")
