"""A small soak: what calls of every kind leave behind must be nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.spoken, pytest.mark.timeout(240)]


def test_sixty_short_calls_leave_no_task_handle_or_process_behind(tmp_path: Path) -> None:
    found = tmp_path / "soak.json"
    script = [sys.executable, str(ROOT / "scripts" / "bench" / "soak.py")]
    options = ["--calls", "60", "--at-once", "10", "--looks", "3", "--json", str(found)]
    done = subprocess.run([*script, *options], capture_output=True, text=True, check=False, timeout=200, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = {(row["section"], row["name"]): row for row in json.loads(found.read_text())["rows"]}
    held = {name: row for (section, name), row in rows.items() if section.startswith("held after")}
    for name in ("tasks", "handles", "workers"):
        assert f"was {held[name]['value']:.0f}" == held[name]["yardstick"], done.stdout
    went = {name: row["value"] * row["n"] for (section, name), row in rows.items() if section == "calls"}
    assert round(sum(went.values())) == 60
    assert "refused" not in went
