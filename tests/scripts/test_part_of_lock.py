"""The server's part of the lock: all it needs, no test tools, not a hash changed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _names(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9._-]+)(?:\[[a-z0-9,_-]+\])?==", lock, re.MULTILINE))


def _part(*extras: str) -> str:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "part_of_lock.py", *extras], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_with_all_extras_it_is_the_whole_lock() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert _names(_part(*extras)) == _names((ROOT / "requirements.lock").read_text())


def test_the_servers_part_has_its_dependencies_down_to_the_last_and_no_test_tools() -> None:
    names = _names(_part("gpl"))
    assert {"aiohttp", "yarl", "multidict", "pipecat-ai", "loguru", "piper-tts", "greenlet"} <= names
    assert not {"pytest", "mypy", "ruff", "playwright", "hypothesis", "matplotlib"} & names


def test_entries_are_taken_as_they_stand() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    part = _part("gpl")
    for entry in re.split(r"\n(?=[a-z0-9])", part.strip()):
        assert entry in lock
