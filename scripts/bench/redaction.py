"""Recall and false alarms of redaction, in transcripts of made-up calls (scripts/bench/_said_numbers.py)."""

from __future__ import annotations

import argparse
from collections import Counter

from _report import Report, parser
from _said_numbers import Case, Said, cases

from voicebot.redaction import Context, Finding, find


def findings(turns: tuple[Said, ...]) -> list[tuple[Finding, ...]]:
    """Return what is found in each turn, knowing those before it and, for a number that goes on, the next."""
    found: list[tuple[Finding, ...]] = []
    context = Context()
    open_turn: tuple[int, Context] | None = None
    for index, turn in enumerate(turns):
        if turn.speaker != "caller":
            context = context.after_question(turn.text, turn.prompt)
            found.append(())
            continue
        now = find(turn.text, asked=context.asked, begun=context.begun)
        if open_turn and now and now[0].start <= 20:  # it went on: what looked like its beginning was
            before, earlier = open_turn
            found[before] = tuple(find(turns[before].text, asked=earlier.asked, begun=earlier.begun, ends=False))
        found.append(now)
        earlier = context
        context = context.after_answer(turn.text)
        open_turn = (index, earlier) if context.begun else None
    return found


def hidden(turn: Said, found: tuple[Finding, ...]) -> list[bool]:
    """Tell for each word whether it is hidden."""
    out, at = [], 0
    for word in turn.words:
        out.append(any(each.start < at + len(word) and at < each.end for each in found))
        at += len(word) + 1
    return out


def is_safe(case: Case) -> bool:
    """Every word of the number is gone."""
    return all(
        is_hidden or not secret
        for turn, found in zip(case.turns, findings(case.turns), strict=True)
        for secret, is_hidden in zip(turn.secret, hidden(turn, found), strict=True)
    )


def raises_alarm(case: Case) -> bool:
    return any(findings(case.turns))


def _options() -> argparse.Namespace:
    made = parser("How much of what must not be kept is found in what was said, and how much else.")
    made.add_argument("--calls", type=int, default=1200, metavar="N", help="calls to make up")
    return made.parse_args()


def main() -> None:
    options = _options()
    report = Report("redaction")
    made = list(cases(options.calls))
    for half, name in ((0, "set on"), (1, "held back")):
        part = [case for case in made if case.number % 2 == half]
        sensitive = [case for case in part if case.is_sensitive]
        harmless = [case for case in part if not case.is_sensitive]
        report.rate(name, "numbers wholly gone", sum(map(is_safe, sensitive)), len(sensitive), yardstick="95 %")
        for kind in ("card", "cvv", "pin", "ssn", "account"):
            of_kind = [case for case in sensitive if case.kind == kind]
            report.rate(name, f"… {kind}", sum(map(is_safe, of_kind)), len(of_kind))
        for manner in ("plain", "fillers", "corrected", "split"):
            of_manner = [case for case in sensitive if case.form.endswith(manner)]
            report.rate(name, f"… {manner}", sum(map(is_safe, of_manner)), len(of_manner))
        report.rate(name, "harmless turns touched", sum(map(raises_alarm, harmless)), len(harmless), yardstick="5 %")
        alarms = Counter(case.kind for case in harmless if raises_alarm(case))
        for kind, number in sorted(alarms.items()):
            report.rate(name, f"… {kind}", number, sum(case.kind == kind for case in harmless))
    report.finish(options.json)


if __name__ == "__main__":
    main()
