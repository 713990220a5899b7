"""Measures understanding: intents, "none of these", calibration, spoken values, identification, mood, time a turn.

    scripts/bench/understanding --data DIR [--json FILE] [--only PART ...] [--encoder DIR]
        [--whisper DIR]

Every threshold comes from training or validation rows; no test row touches one. Takes about ten minutes on a core that
does nothing else; `--only` does it in parts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from _callers import measure_callers
from _corpora import banking, draw, grouped
from _heard import measure_examples, measure_heard, measure_heard_twice
from _identity import measure_identity
from _intents import measure_banking, measure_clinc, measure_natcs, measure_none
from _report import Report, parser, percentile
from _understanding import ROOT, Bench, RememberingEncoder
from threadpoolctl import threadpool_limits

from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.errors import EngineUnavailable
from voicebot.language.encoder import find_encoder
from voicebot.language.mood import is_frustrated, is_urgent, read_mood, sentiment_label
from voicebot.language.understanding import Understanding
from voicebot.language.words import normalise
from voicebot.speech.published import installed_models

NOW = datetime(2026, 3, 4, 10, 0, tzinfo=ZoneInfo("Europe/London"))


def measure_phrases(bench: Bench) -> None:
    """The hand-made phrases of tests/language/phrases; a test keeps the first of them all right.

    Of the later ones every second row was held back when the rules for the rest were made.
    """
    sys.path.insert(0, str(ROOT))
    from tests.language.test_phrases import FURTHER, LATER, phrases, read_phrase  # noqa: PLC0415  # tests are no installed package

    def measure(section: str, rows: Sequence[tuple[str, str, str, tuple[int, ...]]]) -> None:
        counts: dict[str, list[bool]] = {}
        for kind, said, value, lengths in rows:
            counts.setdefault(kind, []).append(read_phrase(kind, said, lengths) == value)
        for kind, rights in counts.items():
            bench.report.rate(section, kind, sum(rights), len(rights))
        everything = [right for rights in counts.values() for right in rights]
        bench.report.rate(section, "all", sum(everything), len(everything))

    measure("spoken values, phrases that a test keeps right", phrases() + phrases(FURTHER))
    numbered: dict[str, int] = {}
    halves: tuple[list[tuple[str, str, str, tuple[int, ...]]], ...] = ([], [])
    for row in phrases(LATER):
        numbered[row[0]] = numbered.get(row[0], -1) + 1
        halves[numbered[row[0]] % 2].append(row)
    measure("spoken values, later phrases that rules were made on", halves[0])
    measure("spoken values, later phrases held back", halves[1])


def measure_mood(bench: Bench) -> None:
    """F1 of mood on the half of the labelled turns that was held back when the rules were made."""
    sys.path.insert(0, str(ROOT))
    from tests.language.test_mood import f1, labelled_turns  # noqa: PLC0415  # tests are no installed package

    section = "mood, turns held back"
    turns = [
        (read_mood(normalise(said)), label, angry, pressed) for said, label, angry, pressed in labelled_turns()[1::2]
    ]
    for label in ("negative", "neutral", "positive"):
        pairs = [(sentiment_label(mood) == label, true == label) for mood, true, _, _ in turns]
        bench.report.figure(section, f"sentiment {label}, F1", f1(pairs), "", n=sum(true for _, true in pairs))
    pairs = [(is_frustrated(mood), angry) for mood, _, angry, _ in turns]
    bench.report.figure(section, "frustration, F1", f1(pairs), "", n=sum(true for _, true in pairs))
    pairs = [(is_urgent(mood), pressed) for mood, _, _, pressed in turns]
    bench.report.figure(section, "urgency, F1", f1(pairs), "", n=sum(true for _, true in pairs))
    bench.report.figure(section, "turns", float(len(turns)), "")


def measure_time(bench: Bench) -> None:
    """Processor time of whole turns with one reading, as the dialog asks for them, for a bot of twenty intents."""
    corpus = banking(bench.data)
    labels = sorted({label for _, label in corpus.train})[:20]
    train = [row for row in draw(corpus.train, 10, 0)[0] if row[1] in labels]
    said = [text for text, label in corpus.test if label in labels][:400]
    expectation = Expectation("bench", (AnswerKind.OPEN,))
    for engine, remembering in bench.engines():
        # One that has seen none of it: every turn is encoded, and so is every example.
        encoder = remembering.forgetful() if remembering else None
        started = time.perf_counter()
        understanding = Understanding(grouped(train), encoder)
        section = f"time, 20 intents of 10 examples, {engine}"
        bench.report.figure(section, "training", time.perf_counter() - started, "s")
        spent = []
        for text in said:
            before = time.thread_time()
            understanding.interpret([(text, 1.0)], expectation, NOW)
            spent.append(1000 * (time.thread_time() - before))
        yardstick = "aim at most 5"
        bench.report.figure(section, "a turn, median", percentile(spent, 0.5), "ms", n=len(spent), yardstick=yardstick)
        bench.report.figure(section, "a turn, p95", percentile(spent, 0.95), "ms", n=len(spent), yardstick=yardstick)


PARTS: Mapping[str, tuple[Callable[[Bench], None], str | None]] = {
    "clinc150": (measure_clinc, "intents"),
    "banking77": (measure_banking, "intents"),
    "natcs": (measure_natcs, "intents"),
    "none": (measure_none, "intents"),
    "callers": (measure_callers, None),
    "heard": (measure_heard, None),
    "heard-twice": (measure_heard_twice, None),
    "examples": (measure_examples, None),
    "phrases": (measure_phrases, None),
    "identity": (measure_identity, "identity"),
    "mood": (measure_mood, None),
    "time": (measure_time, "intents"),
}


def main() -> int:
    options = parser(__doc__ or "")
    options.add_argument("--only", nargs="+", choices=PARTS, help="measure these parts alone")
    options.add_argument("--encoder", type=Path, help="folder of the sentence encoder, if not the installed one")
    options.add_argument("--whisper", type=Path, help="a Whisper model's folder, in place of the installed tiny.en")
    given = options.parse_args()
    report = Report("understanding")
    folder = given.encoder or find_encoder()
    encoder = None
    try:
        encoder = RememberingEncoder(folder) if folder else None
    except EngineUnavailable as error:
        report.missing("sentence encoder", str(error))
    if folder is None:
        report.missing("sentence encoder", "not installed; scripts/sentence_encoder.py makes it")
    whisper = given.whisper or installed_models() / "whisper-tiny.en"
    bench = Bench(report, given.data or Path(), encoder, whisper)
    for name in given.only or PARTS:
        measure, needs = PARTS[name]
        if measure in {measure_heard_twice, measure_examples} and not whisper.is_dir():
            report.missing(name, f"no Whisper model in {whisper}; `voicebot models pull whisper-tiny.en` fetches it")
            continue
        if needs and (given.data is None or not (given.data / needs).is_dir()):
            report.missing(name, f"no folder {needs} under --data")
            continue
        started = time.perf_counter()
        # One core is what the figures are for.
        with threadpool_limits(limits=1):
            measure(bench)
        print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    report.finish(given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
