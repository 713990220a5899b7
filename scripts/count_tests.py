"""Counts what pytest's JUnit reports hold: names every test skipped or tried twice, ends with one line of counts.

Fails when a test failed, when none ran, or, with ``--no-skips=yes``, when one was skipped.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET


@dataclass(slots=True)
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: list[str] = field(default_factory=list)
    tried_twice: list[str] = field(default_factory=list)

    def add(self, run: str, cases: Iterable[ET.Element]) -> None:
        """Count the tests of one run, each once however often it was tried."""
        entries: defaultdict[str, list[ET.Element]] = defaultdict(list)
        for case in cases:
            entries[f"{case.get('classname', '')}::{case.get('name', '')}".strip(":")].append(case)
        for name, of_one in entries.items():
            self._add_test(run, name, of_one)

    def _add_test(self, run: str, name: str, entries: list[ET.Element]) -> None:
        """Count one test; an expected failure counts as passed, since pytest fails those that pass unexpectedly.

        A try that is followed by another leaves an empty entry, like a test that passed. A test that fails and then
        fails to clear up after itself has two entries as well, but both tell of a failure.
        """
        told = [{child.tag for child in entry} & {"failure", "error", "skipped"} for entry in entries]
        failed = any(verdict & {"failure", "error"} for verdict in told)
        if len(entries) > 1 and set() in told:
            self.tried_twice.append(f"{run}: {name}: {'failed both times' if failed else 'passed at the second try'}")
        skip = entries[-1].find("skipped")
        if failed:
            self.failed += 1
        elif skip is not None and skip.get("type") != "pytest.xfail":
            self.skipped.append(f"{name}: {skip.get('message', '')}")
        else:
            self.passed += 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", nargs="*", type=Path)
    parser.add_argument("--no-skips", choices=("yes", "no"), default="no")
    arguments = parser.parse_args()
    tally = Tally()
    for report in arguments.reports:
        # pytest wrote these files a moment ago; they are not outside input.
        tally.add(report.stem, ET.parse(report).getroot().iter("testcase"))  # noqa: S314
    for line in sorted(tally.skipped):
        print(f"skipped  {line}")
    for line in tally.tried_twice:
        print(f"tried twice  {line}")
    if tally.tried_twice:
        print(f"{len(tally.tried_twice)} tried twice (docs/decisions/0006).")
    refused = bool(tally.skipped) and arguments.no_skips == "yes"
    if refused:
        print("Skipped tests count as failed here (--no-skips).")
    if not tally.passed:
        print("No test passed.")
    print(f"{tally.passed} passed, {tally.failed} failed, {len(tally.skipped)} skipped")
    return 1 if tally.failed or refused or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
