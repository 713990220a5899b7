"""What must hold of the repository itself, whatever is in it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from voicebot.records.metrics import Metrics
from voicebot.settings import Settings

ROOT = Path(__file__).parents[1]


def _tracked() -> list[Path]:
    """Return the files under version control; all of them where this is no checkout."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not {".venv", ".git"} & set(path.parts)]
    return [path for path in paths if path.is_file()]


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        return None


def test_the_lock_names_no_host_and_pins_every_package_by_hash() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    entries = [line for line in re.sub(r"\\\n\s*", "", lock).splitlines() if line and not line.lstrip().startswith("#")]
    assert len(entries) > 100
    for entry in entries:
        assert re.match(r"[a-z0-9][a-z0-9._-]*(\[[a-z0-9,_-]+\])?==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry
    assert "://" not in lock
    assert "--index-url" not in lock
    assert "--find-links" not in lock


def test_every_direct_dependency_is_in_the_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        wanted += extra
    locked = set(re.findall(r"^([a-z0-9._-]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    names = {re.split(r"[^A-Za-z0-9._-]", entry, maxsplit=1)[0].lower().replace("_", "-") for entry in wanted}
    assert names <= locked


def test_no_file_names_a_registrys_host_or_a_path_of_one_machine() -> None:
    # Written in two parts, so that this file does not find itself.
    hosts = ["pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "deb" + ".debian.org", "/work" + "/main"]
    hosts += ["/work" + "/shared", "/root" + "/."]
    found = [
        f"{path.relative_to(ROOT)}: {host}" for path in _tracked() for host in hosts if host in (_text(path) or "")
    ]
    assert found == []


def test_continuous_integration_runs_what_people_run_and_nothing_else() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    commands = [line for line in script.splitlines() if line.strip() and not line.startswith("#")]
    assert commands == ["set -euo pipefail", 'cd "$(dirname "$0")/.."', "exec ./scripts/test --no-skips"]


@pytest.mark.parametrize("script", ["scripts/setup", "scripts/test", ".ci/run"])
def test_scripts_can_be_run_and_bash_can_read_them(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", path], check=True)


def test_every_version_of_python_that_setup_takes_is_one_the_project_takes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"
    assert sys.version_info >= (3, 11)
    assert "(3, 11)" in (ROOT / "scripts" / "setup").read_text()


def test_every_setting_and_every_metric_is_explained_to_the_operator() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    names = []
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        names.append(alias if isinstance(alias, str) else f"VOICEBOT_{name.upper()}")
    families = text_string_to_metric_families(Metrics(CollectorRegistry()).text())
    names += [
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in families
        if not family.name.endswith("_created")
    ]
    assert [name for name in names if f"`{name}`" not in text] == []
