"""Draws latency, lateness and processor time over the number of calls from what `calls --json` wrote.

.venv/bin/python scripts/bench/plot_calls.py calls-*.json --to docs/images/calls.svg
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

LOOKS = {
    "stubbed": ("voicebot, speech stubbed", "C0", "-"),
    "matched": ("voicebot, matched to stock", "C0", "--"),
    "stock": ("stock pipecat", "C3", "-"),
    "echo": ("bare aiohttp echo", "C7", ":"),
    "real": ("voicebot, real speech", "C2", "-"),
    "same-engines": ("voicebot, Whisper and Piper", "C2", "-"),
    "engines": ("voicebot, two passes and Piper", "C2", "--"),
    "stock-engines": ("stock pipecat, Whisper and Piper", "C1", "-"),
    "stock-shared": ("the same, models shared", "C1", "--"),
}
#: Title, unit, the row's name for all but the echo, and for the echo; a rate is drawn in percent.
PANELS = (
    (
        "reply after the last sample, p95",
        "ms",
        "request: reply after the last sample, p95",
        "a frame there and back, p95",
    ),
    ("frames over 10 ms late", "%", "frames over 10 ms behind their pace", "frames over 10 ms behind their pace"),
    ("server and its workers, core in all", "%", "server, core in all", "server, core in all"),
)
#: Added to the server's own share, for each call.
WORKERS = "workers, core per call"
#: A measurement whose callers sent more than this share of their own frames late says nothing about the server.
CHECK, MOST_LATE = "check: callers' own frames sent late", 0.005
#: Drawn on the floor of a logarithmic scale, where nought has no place.
LEAST = {"ms": 0.1, "%": 0.01}

Curve = dict[int, float]


def curves(files: Iterable[Path], name: str, echo_name: str) -> dict[str, Curve]:
    """Return value by number of calls for each server; later files win, and disturbed measurements are left out."""
    found: dict[str, Curve] = {}
    for file in files:
        rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
        disturbed = {row["section"] for row in rows if row["name"] == CHECK and row["value"] > MOST_LATE}
        workers = {row["section"]: row["value"] for row in rows if row["name"] == WORKERS}
        for row in rows:
            system, _, calls = row["section"].partition(", ")
            if row["section"] in disturbed:
                continue
            if row["name"] == (echo_name if system == "echo" else name) and row["value"] is not None:
                count = int(calls.split()[0])
                value = row["value"] * (100 if row["unit"] == "rate" else 1)
                if name == "server, core in all":
                    value += count * workers.get(row["section"], 0.0)
                found.setdefault(system, {})[count] = value
    return found


def draw(files: list[Path], target: Path) -> None:
    figure, axes = plt.subplots(1, len(PANELS), figsize=(13, 4))
    for axis, (title, unit, name, echo_name) in zip(axes, PANELS, strict=True):
        for system, curve in curves(files, name, echo_name).items():
            label, colour, line = LOOKS[system]
            calls = sorted(curve)
            values = [max(curve[count], LEAST[unit]) for count in calls]
            axis.plot(calls, values, line, color=colour, marker="o", markersize=4, label=label)
        axis.set(title=f"{title} ({unit})", xlabel="calls at once", yscale="log")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(visible=True, alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, loc="lower center", ncols=len(labels))
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="JSON")
    parser.add_argument("--to", type=Path, required=True, metavar="IMAGE")
    given = parser.parse_args()
    draw(given.files, given.to)


if __name__ == "__main__":
    main()
