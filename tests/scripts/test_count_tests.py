"""The last line of a test run: counts that cannot be better than what happened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "count_tests.py"

_PASSED = '<testcase classname="tests.a" name="test_well"/>'
_FAILED = '<testcase classname="tests.a" name="test_badly"><failure message="no"/></testcase>'
_BROKEN = '<testcase classname="tests.a" name="test_broken"><error message="no"/></testcase>'
_SKIPPED = '<testcase classname="tests.a" name="test_later"><skipped type="pytest.skip" message="no voice"/></testcase>'
_EXPECTED = '<testcase classname="tests.a" name="test_known"><skipped type="pytest.xfail" message="known"/></testcase>'


def _count(folder: Path, *runs: str, no_skips: bool = False) -> tuple[int, list[str]]:
    reports = []
    for number, cases in enumerate(runs):
        report = folder / f"{number}.xml"
        report.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
        reports.append(str(report))
    done = subprocess.run(
        [sys.executable, SCRIPT, f"--no-skips={'yes' if no_skips else 'no'}", *reports],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


def test_runs_are_added_up_and_skips_are_named(tmp_path: Path) -> None:
    status, lines = _count(tmp_path, _PASSED + _SKIPPED, _PASSED + _EXPECTED)
    assert lines == ["skipped  tests.a::test_later: no voice", "3 passed, 0 failed, 1 skipped"]
    assert status == 0


def test_a_skip_fails_where_none_is_allowed(tmp_path: Path) -> None:
    status, lines = _count(tmp_path, _PASSED + _SKIPPED, no_skips=True)
    assert status == 1
    assert lines[-1] == "1 passed, 0 failed, 1 skipped"


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    assert _count(tmp_path, _PASSED + _EXPECTED, no_skips=True)[0] == 0


@pytest.mark.parametrize("case", [_FAILED, _BROKEN])
def test_a_failure_fails(tmp_path: Path, case: str) -> None:
    status, lines = _count(tmp_path, _PASSED + case)
    assert status == 1
    assert lines[-1] == "1 passed, 1 failed, 0 skipped"


@pytest.mark.parametrize("cases", ["", _SKIPPED])
def test_a_run_in_which_nothing_passed_fails(tmp_path: Path, cases: str) -> None:
    assert _count(tmp_path, cases)[0] == 1
    assert _count(tmp_path)[0] == 1
