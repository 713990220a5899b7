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
_OTHER = '<testcase classname="tests.a" name="test_other"/>'
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


def test_a_test_that_was_tried_twice_is_counted_once_and_named(tmp_path: Path) -> None:
    status, lines = _count(tmp_path, _PASSED + _PASSED + _OTHER, _OTHER)
    assert lines == [
        "tried twice  0: tests.a::test_well: passed at the second try",
        "1 tried twice (docs/decisions/0006).",
        "3 passed, 0 failed, 0 skipped",
    ]
    assert status == 0


def test_a_test_that_fails_at_both_tries_fails(tmp_path: Path) -> None:
    first_try = '<testcase classname="tests.a" name="test_badly"/>'
    status, lines = _count(tmp_path, _PASSED + first_try + _FAILED)
    assert lines[0] == "tried twice  0: tests.a::test_badly: failed both times"
    assert lines[-1] == "1 passed, 1 failed, 0 skipped"
    assert status == 1


def test_a_test_that_fails_and_leaves_a_mess_was_tried_once(tmp_path: Path) -> None:
    mess = '<testcase classname="tests.a" name="test_badly"><error message="failed on teardown"/></testcase>'
    assert _count(tmp_path, _PASSED + _FAILED + mess)[1] == ["1 passed, 1 failed, 0 skipped"]


def test_pytest_reports_a_second_try_as_it_is_counted(tmp_path: Path) -> None:
    (tmp_path / "test_stalls.py").write_text(
        "from pathlib import Path\n"
        "def test_once():\n"
        "    seen = Path(__file__).with_name('seen')\n"
        "    first = not seen.exists()\n"
        "    seen.touch()\n"
        "    assert not first\n"
        "def test_never():\n"
        "    assert False\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", "--reruns", "1"]
    report = tmp_path / "quick.xml"
    subprocess.run([*command, f"--junitxml={report}"], cwd=tmp_path, capture_output=True, check=False)
    done = subprocess.run([sys.executable, SCRIPT, report], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        "tried twice  quick: test_stalls::test_once: passed at the second try",
        "tried twice  quick: test_stalls::test_never: failed both times",
        "2 tried twice (docs/decisions/0006).",
        "1 passed, 1 failed, 0 skipped",
    ]
