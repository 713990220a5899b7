"""Measures when the shipped escalation policy gets a person, on labelled calls that were held back from tuning.

    scripts/bench/escalation [--json FILE] [--encoder DIR] [--show]

The calls are those of tests/dialog/escalation/dialogues; their labels were written before the policy. Signals are
measured from the words by the same parts that a real call uses, the rest ("not understood", "a system is down") is
written with the call. Beside the policy stand a list of keywords and a bot that never gets anybody. Ten seconds.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from _report import Report, parser, percentile
from _understanding import ROOT
from threadpoolctl import threadpool_limits

from voicebot.dialog.escalation.judging import MeasuredCall, MeasuredTurn, decisions, judge, takeover_at
from voicebot.dialog.escalation.policy import EscalationPolicy
from voicebot.dialog.loader import load_bot
from voicebot.errors import EngineUnavailable
from voicebot.language.encoder import SentenceEncoder, find_encoder
from voicebot.language.understanding import Understanding
from voicebot.simulation.labelled_calls import LabelledCall, read_labelled_calls
from voicebot.simulation.measured_calls import measure

DIALOGUES = ROOT / "tests" / "dialog" / "escalation" / "dialogues"
#: What a bot without a policy would be given: words for a person, for trouble and for anger.
KEYWORDS = re.compile(
    r"\b(agent|human|person|people|operator|representative|manager|supervisor|someone|somebody|colleague"
    r"|lawyer|sue|court|police|ombudsman|complaint|complain|hospital|died|emergency|fraud|hacked"
    r"|ridiculous|unacceptable|useless|terrible|angry|furious|stupid|worst|fed up|sick of)\b"
)

#: At which turn a person takes over, None for never.
Decide = Callable[[MeasuredCall], int | None]


def keywords(calls: dict[str, LabelledCall], call: MeasuredCall) -> int | None:
    found = (number for number, turn in enumerate(calls[call.id].turns, start=1) if KEYWORDS.search(turn.text))
    return next(found, None)


def never(_: MeasuredCall) -> int | None:
    return None


def with_policy(policy: EscalationPolicy, call: MeasuredCall) -> int | None:
    return takeover_at(policy, call.turns)


def measure_half(report: Report, section: str, calls: Sequence[MeasuredCall], ways: dict[str, Decide]) -> None:
    for name, decide in ways.items():
        figures = judge(calls, decide)
        handed = figures.right + figures.false
        due = figures.right + figures.missed
        report.rate(section, f"{name}, precision", figures.right, handed)
        report.rate(section, f"{name}, recall", figures.right, due)
        report.figure(section, f"{name}, F1", figures.f1 if handed else 0.0, "", n=len(calls))
        late = list(figures.late)
        report.figure(section, f"{name}, turns too late, p95", percentile(late, 0.95), "", n=len(late))


def measure_reasons(
    report: Report, written: dict[str, LabelledCall], calls: Sequence[MeasuredCall], decide: Decide
) -> None:
    """Recall by the reason that the label names."""
    due: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for call in calls:
        if call.person_at is None:
            continue
        reason = re.split(r"[,;]| and | at | the | for | that | customer", written[call.id].why)[0].strip()
        due[reason] += 1
        at = decide(call)
        right[reason] += at is not None and at >= call.person_at
    for reason, times in due.most_common():
        report.rate("recall by reason, calls held back", reason, right[reason], times)


def show_mistakes(policy: EscalationPolicy, written: dict[str, LabelledCall], calls: Sequence[MeasuredCall]) -> None:
    for call in calls:
        at = takeover_at(policy, call.turns)
        if at != call.person_at:
            last = decisions(policy, call.turns)[-1]
            said = written[call.id].turns[(at or call.person_at or 1) - 1].text
            why = written[call.id].why
            print(f"{call.id}: {at}, due {call.person_at} ({why}); {last.rule or last.held}, {last.score}: {said}")


def main() -> int:
    options = parser(__doc__ or "")
    options.add_argument("--encoder", type=Path, help="folder of the sentence encoder, if not the installed one")
    options.add_argument("--show", action="store_true", help="print the calls that were not held back and went wrong")
    given = options.parse_args()
    report = Report("escalation")
    folder = given.encoder or find_encoder()
    encoder = None
    try:
        encoder = SentenceEncoder(folder) if folder else None
    except EngineUnavailable as error:
        report.missing("sentence encoder", str(error))
    if folder is None:
        report.missing("sentence encoder", "not installed; scripts/sentence_encoder.py makes it")
    bot = load_bot(ROOT / "flows")
    if bot.policy is None:
        report.missing("escalation", "flows/policy.yaml is not there")
        report.finish(given.json)
        return 1
    written = {call.id: call for call in read_labelled_calls(DIALOGUES)}
    with threadpool_limits(limits=1):
        understanding = Understanding(bot.intents, encoder)
        calls = [
            MeasuredCall(
                call.id,
                tuple(MeasuredTurn(call.about, one) for one in measure(call, bot, understanding)),
                call.person_at,
            )
            for call in written.values()
        ]
    halves: dict[bool, list[MeasuredCall]] = {
        held: [call for call in calls if written[call.id].is_held_back is held] for held in (True, False)
    }
    ways: dict[str, Decide] = {
        "policy": partial(with_policy, bot.policy),
        "keywords": partial(keywords, written),
        "never": never,
    }
    measure_half(report, "calls held back", halves[True], ways)
    measure_half(report, "calls that weights and words were made on", halves[False], ways)
    measure_reasons(report, written, halves[True], ways["policy"])
    if given.show:
        show_mistakes(bot.policy, written, halves[False])
    report.finish(given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
