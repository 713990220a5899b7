"""Recall and false alarms of redaction, in transcripts of made-up calls (scripts/bench/_said_numbers.py)."""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

from _report import Report, parser
from _said_numbers import Case, cases

from voicebot.records.record import HeardWord, Speaker, TurnRecord
from voicebot.records.redacting import TurnRedactor

_AUDIO_SEED = 8


def written(case: Case) -> dict[int, TurnRecord]:
    """Return the turns of a case as they end up in the record, by their numbers."""
    redactor, out = TurnRedactor(), {}
    for turn in case.turns:
        words = tuple(HeardWord(word, 500 * at, 500 * at + 400, 1.0) for at, word in enumerate(turn.words))
        speaker = Speaker.CALLER if turn.speaker == "caller" else Speaker.BOT
        record = TurnRecord(speaker, turn.text, prompt=turn.prompt, heard_ms=500 * len(words), words=words)
        out |= {each.number: each.turn for each in redactor.add(record)}
    return out | {each.number: each.turn for each in redactor.end()}


def is_safe(case: Case) -> bool:
    """Every word of the number is gone."""
    turns = written(case)
    return all(
        kept.text != word
        for number, turn in enumerate(case.turns)
        for word, secret, kept in zip(turn.words, turn.secret, turns[number].words, strict=True)
        if secret
    )


def raises_alarm(case: Case) -> bool:
    return any(turn.redactions for turn in written(case).values())


def _options() -> argparse.Namespace:
    made = parser("How much of what must not be kept is found in what was said, and how much else.")
    made.add_argument("--calls", type=int, default=1200, metavar="N", help="calls to make up")
    made.add_argument("--clips", type=int, default=0, metavar="N", help="speak and recognise so many of them too")
    made.add_argument("--only-unheard", action="store_true", help="of the clips, only what no turn holds: seconds")
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
    if options.clips:
        if not options.only_unheard:
            _measure_audio(report, made, options.clips)
        _measure_unheard(report, options.clips)
    report.finish(options.json)


def _measure_unheard(report: Report, clips: int) -> None:
    """What is said where no turn holds it, with and without noise on the line."""
    from _redacted_audio import Speaking  # noqa: PLC0415  # the speech libraries take seconds
    from _unheard_audio import NOISES, hide  # noqa: PLC0415

    sensitive = [case for case in cases(4 * clips, seed=_AUDIO_SEED) if case.is_sensitive][:clips]
    speaking = Speaking("rms")
    for noise_db in NOISES:
        for agent in (False, True):
            found = hide(sensitive, speaking, noise_db, agent=agent)
            name = f"no turn holds it, {'agent' if agent else 'caller'}, noise {noise_db or 'none'}"
            report.rate(name, "calls with the number wholly silent", found.calls_safe, found.calls, yardstick="95 %")
            report.rate(name, "words of numbers silent", found.numbers_gone, found.numbers)
            report.rate(name, "words beside them silent", found.beside_gone, found.beside)
            report.rate(name, "words of the turn before silent", found.held_gone, found.held, yardstick="1 %")


def _measure_audio(report: Report, made: list[Case], clips: int) -> None:
    """Of calls of another seed, which nothing was set on: as many harmless turns besides as a third of the others."""
    from _recogniser import Recogniser  # noqa: PLC0415  # the speech libraries take seconds that text need not pay
    from _redacted_audio import ASKED, OPEN, Speaking, hear  # noqa: PLC0415

    fresh = list(cases(4 * clips, seed=_AUDIO_SEED))
    sensitive = [case for case in fresh if case.is_sensitive][:clips]
    harmless = [case for case in fresh if not case.is_sensitive][: clips // 3]
    requests = sorted({turn.text for case in made if not case.number % 2 for turn in case.turns})[:300]
    with tempfile.TemporaryDirectory(prefix="voicebot-bench-") as scratch:
        recogniser = Recogniser({"engine": "sphinx"}, Path(scratch))
        domain = recogniser.compile(requests, (OPEN, ASKED))
        speaking = Speaking("rms")
        heard = hear(sensitive, speaking, recogniser, domain)
        report.rate("audio", "calls with the number wholly silent", heard.safe, heard.clips, note=recogniser.name)
        report.rate("audio", "words of numbers silent", heard.gone, heard.words)
        report.rate("audio", "words beside them silent", heard.harmless_gone, heard.harmless)
        quiet = hear(harmless, speaking, recogniser, domain)
        report.rate("audio", "words of harmless turns silent", quiet.harmless_gone, quiet.harmless)
        recogniser.close()


if __name__ == "__main__":
    main()
