"""Recall and false alarms of redaction, in transcripts of made-up calls (scripts/bench/_said_numbers.py)."""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from _report import Report, parser
from _said_numbers import Case, cards_in_pieces, cases, telephones

from voicebot.app.speech import recogniser_wish
from voicebot.records.record import HeardWord, Speaker, TurnRecord
from voicebot.records.redacting import TurnRedactor
from voicebot.settings import load_settings
from voicebot.speech.models import choose_dictation, choose_recogniser, engine_name

if TYPE_CHECKING:
    from _unheard_audio import Unheard

_AUDIO_SEED = 8
_UNHEARD_SEED = 10
_PATIENCE_S = 60.0


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
    made.add_argument("--only-unheard", action="store_true", help="of the clips, only what no turn holds")
    made.add_argument("--only-turns", action="store_true", help="of the clips, only what turns hold")
    made.add_argument("--noise", type=int, metavar="DB", help="of that, only with noise so far below; 0 for none")
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
    pieces, phones = list(cards_in_pieces(options.calls // 4)), list(telephones(options.calls // 4))
    report.rate("made later", "cards said in pieces wholly gone", sum(map(is_safe, pieces)), len(pieces))
    report.rate("made later", "telephone numbers touched", sum(map(raises_alarm, phones)), len(phones))
    if options.clips:
        if not options.only_unheard:
            _measure_audio(report, made, options.clips)
        if not options.only_turns:
            _measure_unheard(report, options.clips, options.data, options.noise)
    report.finish(options.json)


def _measure_unheard(report: Report, clips: int, data: Path | None, noise: int | None) -> None:
    """What is said where no turn holds it, with and without noise on the line."""
    from _recogniser import Recogniser  # noqa: PLC0415  # the speech libraries take seconds
    from _unheard_audio import (  # noqa: PLC0415  # the speech libraries take seconds
        NOISES,
        EngineEar,
        digits_of_people,
        hide,
        numbers_alone,
        numbers_in_talk,
        orders_of_people,
        sentences,
        talk_without_numbers,
    )

    sensitive = [case for case in cases(4 * clips, seed=_UNHEARD_SEED) if case.is_sensitive][:clips]
    numbers = {"numbers alone": list(numbers_alone(sensitive))}
    harmless = {}
    if data is None:
        report.missing("talk, and people's digits and orders", "no --data")
    else:
        talk = sentences(data)
        numbers["numbers in talk"] = list(numbers_in_talk(sensitive, talk))
        numbers["people's digits"] = list(digits_of_people(data, clips, _UNHEARD_SEED))
        harmless["talk without numbers"] = list(talk_without_numbers(talk[2 * clips :], clips))
        harmless["people's orders"] = list(orders_of_people(data, clips))
    choice = choose_dictation(recogniser_wish(load_settings()))
    with tempfile.TemporaryDirectory(prefix="voicebot-bench-") as scratch:
        recogniser = Recogniser(choice.options, Path(scratch))
        ear = EngineEar(recogniser, engine_name(choice.engine))
        for noise_db in NOISES if noise is None else (noise or None,):
            for what, made in (numbers | harmless).items():
                found = hide(made, noise_db, ear)
                name = f"{what}, noise {noise_db or 'none'}"
                if what in harmless:
                    _report_talk(report, name, found)
                else:
                    _report_numbers(report, name, found)
            found = hide(numbers["numbers alone"], noise_db, ear, agent=True)
            _report_numbers(report, f"numbers alone, agent's lane, noise {noise_db or 'none'}", found)
        recogniser.close()


def _report_numbers(report: Report, name: str, found: Unheard) -> None:
    report.rate(name, "calls with the number wholly silent", found.safe, found.calls, yardstick="98 %")
    report.rate(name, "parts of numbers silent", found.parts_gone, found.parts)
    report.rate(name, "turns before it silent", found.turns_gone, found.calls)


def _report_talk(report: Report, name: str, found: Unheard) -> None:
    report.rate(name, "calls wholly audible", found.audible, found.calls, yardstick="most")
    report.figure(name, "share of the speech that is audible", 100 * found.kept_s / found.spoken_s, "%")


def _measure_audio(report: Report, made: list[Case], clips: int) -> None:
    """Of calls of another seed, which nothing was set on: as many harmless turns besides as a third of the others."""
    from _recogniser import Recogniser  # noqa: PLC0415  # the speech libraries take seconds that text need not pay
    from _redacted_audio import ASKED, OPEN, Speaking, hear  # noqa: PLC0415

    fresh = list(cases(4 * clips, seed=_AUDIO_SEED))
    sensitive = [case for case in fresh if case.is_sensitive][:clips]
    harmless = [case for case in fresh if not case.is_sensitive][: clips // 3]
    requests = sorted({turn.text for case in made if not case.number % 2 for turn in case.turns})[:300]
    with tempfile.TemporaryDirectory(prefix="voicebot-bench-") as scratch:
        # Whatever else the machine does meanwhile, Whisper's words are waited for.
        options = {**choose_recogniser(recogniser_wish(load_settings())).options, "late_s": _PATIENCE_S}
        recogniser = Recogniser(options, Path(scratch))
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
