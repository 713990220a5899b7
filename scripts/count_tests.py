"""Counts what pytest's JUnit reports hold: names every skipped test, ends with one line of counts.

Fails when a test failed, when none ran, or, with ``--no-skips=yes``, when one was skipped.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET


@dataclass(slots=True)
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: list[str] = field(default_factory=list)

    def add(self, case: ET.Element) -> None:
        """Count one test; an expected failure counts as passed, since pytest fails those that pass unexpectedly."""
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            self.failed += 1
        elif skip is not None and skip.get("type") != "pytest.xfail":
            name = f"{case.get('classname', '')}::{case.get('name', '')}".strip(":")
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
        for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314
            tally.add(case)
    for line in sorted(tally.skipped):
        print(f"skipped  {line}")
    refused = bool(tally.skipped) and arguments.no_skips == "yes"
    if refused:
        print("Skipped tests count as failed here (--no-skips).")
    if not tally.passed:
        print("No test passed.")
    print(f"{tally.passed} passed, {tally.failed} failed, {len(tally.skipped)} skipped")
    return 1 if tally.failed or refused or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
