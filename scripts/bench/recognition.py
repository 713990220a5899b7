"""Measures recognition on 8 kHz mu-law: orders, digits, numbers, foreign speech, kitchen noise, and what it costs.

    scripts/bench/recognition --data DIR [--engine ENGINE] [--model DIR] [--whisper DIR] [--context S] [--only PART ...]
        [--share N] [--draw N] [--json FILE]

Engines: sphinx (pocketsphinx alone), whisper (alone), two-pass (both, what calls use where a Whisper model is), vosk
(the model of `--model`).
It drives the engine that a recognition worker runs, with what a bot's flows would expect. Every threshold is set on
other people's speech than it is tried on. All of it takes about half an hour on one core; `--share 4` takes every
fourth recording.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
from _foreign import strangers
from _kitchen import kitchen
from _no_numbers import ALSO_NO_NUMBERS, NO_NUMBERS, SHORT_WORDS
from _numbers import NumbersInUse, Tries, outcome
from _orders import requests, slots_of
from _recogniser import Recogniser
from _report import Report, parser, percentile
from _spoken import RATE_HZ, Recording, joined, speech_spans, spoken

from voicebot import g711
from voicebot.dialog.check_digits import CheckDigit
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.language.entities.finder import find_entities
from voicebot.language.words import normalise
from voicebot.simulation.sounds import Wave, cough, hum, mixed, silence, wave_of
from voicebot.speech.asr import Hypothesis
from voicebot.speech.published import installed_models
from voicebot.speech.recognition.known import words_of
from voicebot.wav import read_mulaw_wav

FOLDS = 5
STREAM_S = 14.0
NOISE_BELOW_DB = 12.0
FALSE_REJECTION = 0.05
ORDER = Expectation("order", (AnswerKind.OPEN,))
DIGIT = Expectation("digit", (AnswerKind.DIGITS,), lengths=(1,))
PIN = Expectation("pin", (AnswerKind.DIGITS,), lengths=(4,))
NUMBER = Expectation("number", (AnswerKind.DIGITS,), lengths=(6,), check_digit=CheckDigit.LUHN)
DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_SAID_AS_DIGITS = frozenset(DIGIT_WORDS)
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
_LEAD, _TRAIL = round(0.3 * RATE_HZ), round(0.5 * RATE_HZ)

Heard = tuple[Hypothesis, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """One spoken order with its label; the speech with what is around it."""

    name: str
    wave: Wave
    slots: Mapping[str, str]


class Bench:
    """What every part works with; what one part heard, another need not hear again."""

    def __init__(
        self, report: Report, data: Path, recogniser: Recogniser, *, share: int, first: int = 0, draw: int = 0
    ) -> None:
        self.report = report
        self.data = data
        self.recogniser = recogniser
        self.share = share
        self.first = first
        self.draw = draw
        self.wide = "8k" not in recogniser.name
        self.domain = recogniser.compile(requests(), (ORDER, DIGIT, NUMBER, PIN))

    @cached_property
    def orders(self) -> list[Order]:
        labels = json.loads((self.data / "commands" / "label.json").read_text(encoding="utf-8"))
        return [
            Order(name, _around_speech(self.data / "commands" / name), _plain(labels[name]["slots"]))
            for name in sorted(labels)[:: self.share]
        ]

    @cached_property
    def orders_heard(self) -> list[Heard]:
        return [self.recogniser.hear(order.wave, ORDER, self.domain) for order in self.orders]

    @cached_property
    def digits(self) -> dict[str, dict[str, list[Wave]]]:
        """The recordings by speaker and digit."""
        found: dict[str, dict[str, list[Wave]]] = {}
        for path in sorted((self.data / "digits").glob("*.wav")):
            digit, speaker, _ = path.stem.split("_")
            found.setdefault(speaker, {}).setdefault(digit, []).append(wave_of(g711.decode(read_mulaw_wav(path))))
        return found

    def aim(self, wide: str, narrow: str) -> str:
        return f"aim {wide if self.wide else narrow} %"


def _around_speech(path: Path) -> Wave:
    """Return a recording's speech with as much around it as the turn detector hands over."""
    wave = wave_of(g711.decode(read_mulaw_wav(path)))
    spans = speech_spans(wave)
    return wave[max(0, spans[0][0] - _LEAD) : spans[-1][1] + _TRAIL] if spans else wave


def _plain(slots: Mapping[str, str]) -> dict[str, str]:
    return {name: " ".join(value.split()) for name, value in slots.items()}


def _score(orders: Sequence[Order], heard: Sequence[Heard]) -> tuple[int, int, int]:
    """Return how many slots are right, of how many, and how many orders are right in every slot."""
    right = slots = whole = 0
    for order, hypotheses in zip(orders, heard, strict=True):
        found = slots_of(hypotheses[0].text) if hypotheses else {}
        right += sum(found.get(name) == value for name, value in order.slots.items())
        slots += len(order.slots)
        whole += found == order.slots
    return right, slots, whole


def measure_orders(bench: Bench) -> None:
    right, slots, whole = _score(bench.orders, bench.orders_heard)
    section = "orders, open question"
    bench.report.rate(section, "slots right", right, slots, yardstick=bench.aim("92", "96"))
    bench.report.rate(section, "orders wholly right", whole, len(bench.orders), yardstick=bench.aim("78", "88"))


def measure_noise(bench: Bench) -> None:
    chance = np.random.default_rng(5)
    noisy = [_in_kitchen(order.wave, chance) for order in bench.orders]
    heard = [bench.recogniser.hear(wave, ORDER, bench.domain) for wave in noisy]
    right, slots, whole = _score(bench.orders, heard)
    _, _, quiet = _score(bench.orders, bench.orders_heard)
    section = f"orders in a kitchen {NOISE_BELOW_DB:.0f} dB below the voice"
    bench.report.rate(section, "slots right", right, slots)
    bench.report.rate(section, "orders wholly right", whole, len(bench.orders))
    lost = 100 * (quiet - whole) / len(bench.orders)
    bench.report.figure(section, "orders lost to it", lost, "points", n=len(bench.orders), yardstick="aim at most 20")


def _in_kitchen(wave: Wave, chance: np.random.Generator) -> Wave:
    """Mix in a kitchen so that the speech, its pauses apart, is louder by `NOISE_BELOW_DB`."""
    speech = np.concatenate([wave[start:end] for start, end in speech_spans(wave)] or [wave])
    noise = kitchen(wave.size * 1000 / RATE_HZ, chance)
    level = np.sqrt(np.mean(speech**2) / np.mean(noise**2)) * 10 ** (-NOISE_BELOW_DB / 20)
    return mixed(wave, noise * level)


def measure_digits(bench: Bench) -> None:
    section = "single digits, a closed question"
    chance = np.random.default_rng(2)
    rights = trials = 0
    for speaker, by_digit in bench.digits.items():
        hits = count = 0
        for digit, waves in by_digit.items():
            for wave in waves[bench.first :: bench.share]:
                heard = bench.recogniser.hear(_on_quiet_line([wave], chance), DIGIT, bench.domain)
                hits += bool(heard) and DIGIT_WORDS[int(digit)] == _as_digits(heard[0].text)
                count += 1
        bench.report.rate(section, f"right, {speaker}", hits, count)
        rights, trials = rights + hits, trials + count
    bench.report.rate(section, "right, all four", rights, trials, yardstick=bench.aim("93", "97"))


def _on_quiet_line(digits: Sequence[Wave], chance: np.random.Generator) -> Wave:
    gaps_ms = [float(chance.uniform(40, 160)) for _ in digits]
    recording: Recording = joined(digits, gaps_ms, chance)
    return recording.wave[recording.start - _LEAD : recording.end + _TRAIL]


def _as_digits(text: str) -> str:
    return " ".join("zero" if word == "oh" else word for word in words_of(text))


def measure_numbers(bench: Bench) -> None:
    """Two tries at each of 240 numbers of 10,000 in use, as the dialog takes them; another `draw` has others."""
    in_use = NumbersInUse(random.Random(3 + 100 * bench.draw))  # noqa: S311 - nothing secret
    chance = np.random.default_rng(4 + 100 * bench.draw)
    tried: dict[str, list[Tries]] = {}
    strings = digits = 0
    each = max(4, 60 // bench.share)
    for speaker, by_digit in bench.digits.items():
        for number in in_use.draw(each):
            heard: list[Heard] = []
            # Nobody is asked again after a number was taken.
            while len(heard) < 2 and outcome(in_use, Tries(number, tuple(heard))).taken is None:
                waves = [by_digit[digit][int(chance.integers(len(by_digit[digit])))] for digit in number]
                heard.append(bench.recogniser.hear(_on_quiet_line(waves, chance), NUMBER, bench.domain))
            first = in_use.number_in(heard[0][0].text) if heard[0] else ""
            strings += first == number
            digits += sum(ours == theirs for ours, theirs in zip(first, number, strict=False))
            tried.setdefault(speaker, []).append(Tries(number, tuple(heard)))
    section = "six-digit numbers with a check digit, 10,000 of a million in use"
    total = each * len(tried)
    bench.report.rate(section, "digits in place, first try and alternative", digits, 6 * total)
    bench.report.rate(section, "strings right, first try and alternative", strings, total)
    outcomes = [(outcome(in_use, each), each) for tries in tried.values() for each in tries]
    count = len(outcomes)
    heard_at_all = sum(
        any(in_use.number_in(heard.text) == each.number for hypotheses in each.heard for heard in hypotheses)
        for _, each in outcomes
    )
    bench.report.rate(section, "right one among the alternatives of two tries", heard_at_all, count)
    right = sum(found.taken == each.number for found, each in outcomes)
    bench.report.rate(section, "right one taken in two tries", right, count, yardstick="aim 80 %")
    wrong = sum(found.taken not in {None, each.number} for found, each in outcomes)
    bench.report.rate(section, "wrong one taken", wrong, count, yardstick="aim under 1 %")
    offered = sum(found.denied > 0 for found, _ in outcomes)
    bench.report.rate(section, "a wrong one read back, and denied", offered, count)


def measure_none(bench: Bench) -> None:
    """Other words than a number where one is asked for: how many are taken for one, and how many numbers are not."""
    section = "a PIN of four digits is asked for"
    for name, texts in (("the words that the rule was made on", NO_NUMBERS), ("other words", ALSO_NO_NUMBERS)):
        waves = [wave for _, wave in spoken(texts)][:: bench.share]
        heard = [bench.recogniser.hear(_with_silence(wave), PIN, bench.domain) for wave in waves]
        first = sum(bool(each) and _reads_as_pin(each[0].text) for each in heard)
        among = sum(any(_reads_as_pin(one.text) for one in each) for each in heard)
        bench.report.rate(section, f"{name}: taken for a number", first, len(heard))
        bench.report.rate(section, f"{name}: a number is among the alternatives", among, len(heard))
    chance = np.random.default_rng(8)
    lost = right = count = 0
    for by_digit in bench.digits.values():
        for _ in range(max(4, 40 // bench.share)):
            number = [str(digit) for digit in chance.integers(10, size=4)]
            waves = [by_digit[digit][int(chance.integers(len(by_digit[digit])))] for digit in number]
            heard_one = bench.recogniser.hear(_on_quiet_line(waves, chance), PIN, bench.domain)
            first_read = _digits_in(heard_one[0].text) if heard_one else ""
            lost += not any(_reads_as_pin(each.text) for each in heard_one)
            right += first_read == "".join(number)
            count += 1
    bench.report.rate(section, "four digits by four people: no number heard", lost, count)
    bench.report.rate(section, "four digits by four people: right", right, count)


def measure_no_digit(bench: Bench) -> None:
    """What is no digit at a question for one: sounds, and short words."""
    section = "a single digit is asked for"
    chance = np.random.default_rng(9)
    noises = [make(chance) for make in (cough, hum) for _ in range(max(4, 20 // bench.share))]
    words = [wave for _, wave in spoken(SHORT_WORDS)][:: bench.share]
    for name, waves in (("coughs and hums", noises), ("short words", words)):
        heard = [bench.recogniser.hear(_with_silence(wave), DIGIT, bench.domain) for wave in waves]
        taken = sum(bool(each) and _as_digits(each[0].text) in _SAID_AS_DIGITS for each in heard)
        bench.report.rate(section, f"{name}: taken for a digit", taken, len(heard))


def _with_silence(wave: Wave) -> Wave:
    return np.concatenate([silence(300), wave, silence(500)])


def _digits_in(text: str) -> str:
    values = [
        each.value for each in find_entities(normalise(text), PIN, NOW).entities if each.kind == AnswerKind.DIGITS
    ]
    return str(values[0]) if values else ""


def _reads_as_pin(text: str) -> bool:
    return len(_digits_in(text)) in PIN.lengths


def measure_foreign(bench: Bench) -> None:
    """Reject by confidence what is no order, where one order in twenty is rejected too; threshold from other folds."""
    known = [_confidence(heard) for heard in bench.orders_heard]
    section = f"speech that is no order, {FALSE_REJECTION:.0%} of orders rejected"
    for name, waves in _foreign_speech(bench):
        foreign = [_confidence(bench.recogniser.hear(wave, ORDER, bench.domain)) for wave in waves]
        refused = lost = 0
        for fold in range(FOLDS):
            level = float(np.quantile([s for i, s in enumerate(known) if i % FOLDS != fold], FALSE_REJECTION))
            refused += sum(score < level for score in foreign[fold::FOLDS])
            lost += sum(score < level for score in known[fold::FOLDS])
        bench.report.rate(section, f"{name}, rejected", refused, len(foreign), yardstick="aim 85 %")
        bench.report.rate(section, "orders rejected meanwhile", lost, len(known))


def _confidence(heard: Heard) -> float:
    return heard[0].confidence if heard else 0.0


def _foreign_speech(bench: Bench) -> Iterator[tuple[str, list[Wave]]]:
    chance = np.random.default_rng(6)
    numbers = []
    for by_digit in bench.digits.values():
        for _ in range(max(5, 50 // bench.share)):
            waves = [
                each[int(chance.integers(len(each)))]
                for each in (by_digit[str(d)] for d in chance.integers(10, size=5))
            ]
            numbers.append(_on_quiet_line(waves, chance))
    yield "numbers read by four people", numbers
    if (bench.data / "intents").is_dir():
        yield "requests to a bank, synthetic voices", strangers(bench.data, max(5, 30 // bench.share), chance)


def measure_costs(bench: Bench) -> None:
    """Costs of everything heard so far in this run."""
    costs = bench.recogniser.costs
    if not costs.tails_ms:
        _ = bench.orders_heard
    section = "cost on this machine"
    factor = costs.processor_s / costs.audio_s
    bench.report.figure(section, "processor seconds by second of speech", factor, "", n=len(costs.tails_ms))
    bench.report.figure(section, "streams a core, all speaking at once", 1 / factor, "streams")
    for share in (0.5, 0.95):
        name = f"end of audio to answer, p{share * 100:.0f}"
        bench.report.figure(section, name, percentile(costs.tails_ms, share), "ms", n=len(costs.tails_ms))


def measure_streams(bench: Bench) -> None:
    """Callers who speak all the time on one core, in real time; the machine must be otherwise idle."""
    waves = [order.wave for order in bench.orders[:40]]
    bench.recogniser.hear(waves[0], ORDER, bench.domain)
    for callers in (2, 4, 6, 8, 10):
        heard = bench.recogniser.hear_many(waves, callers, STREAM_S, ORDER, bench.domain)
        section = f"{callers} callers at once on one core"
        bench.report.rate(section, "heard by the first pass alone", heard.alone, len(heard.waits_ms))
        for share in (0.5, 0.95):
            wait_ms = percentile(heard.waits_ms, share)
            bench.report.figure(
                section, f"end of audio to words, p{share * 100:.0f}", wait_ms, "ms", n=len(heard.waits_ms)
            )


PARTS: Mapping[str, tuple[Callable[[Bench], None], tuple[str, ...]]] = {
    "orders": (measure_orders, ("commands",)),
    "noise": (measure_noise, ("commands",)),
    "digits": (measure_digits, ("digits",)),
    "numbers": (measure_numbers, ("digits",)),
    "none": (measure_none, ("digits",)),
    "no-digit": (measure_no_digit, ()),
    "foreign": (measure_foreign, ("commands", "digits")),
    "costs": (measure_costs, ("commands",)),
    "streams": (measure_streams, ("commands",)),
}


def main() -> int:
    options = parser(__doc__ or "")
    options.add_argument(
        "--model",
        type=Path,
        help="the folder of an acoustic model for pocketsphinx, in place of its wheel's, or of a Vosk model",
    )
    options.add_argument("--engine", choices=("sphinx", "whisper", "two-pass", "vosk"), default="sphinx")
    options.add_argument("--whisper", type=Path, help="a Whisper model's folder, in place of the installed tiny.en")
    options.add_argument("--context", type=float, metavar="S", help="seconds of audio that Whisper hears at least")
    options.add_argument("--only", nargs="+", choices=PARTS, help="measure these parts alone")
    options.add_argument("--share", type=int, default=1, metavar="N", help="take every N-th recording")
    options.add_argument(
        "--first", type=int, default=0, metavar="N", help="with --share, begin with the N-th digit (0)"
    )
    options.add_argument("--draw", type=int, default=0, metavar="N", help="draw other numbers than the usual ones (0)")
    given = options.parse_args()
    report = Report("recognition")
    with tempfile.TemporaryDirectory(prefix="voicebot-bench-") as scratch:
        # What is measured here is hearing; how often Whisper is too late depends on the calls (scripts/bench/calls).
        engine: dict[str, object] = {"engine": given.engine, "late_s": 60}
        if given.engine == "vosk":
            engine["model"] = str(given.model or "")
        elif given.engine != "sphinx":
            engine["model"] = str(given.whisper or installed_models() / "whisper-tiny.en")
        if given.context:
            engine["context_s"] = given.context
        if given.model:
            engine["acoustic_model"] = str(given.model)
        recogniser = Recogniser(engine, Path(scratch))
        bench = Bench(report, given.data or Path(), recogniser, share=given.share, first=given.first, draw=given.draw)
        print(f"heard by {recogniser.name}")
        for name in given.only or PARTS:
            measure, needs = PARTS[name]
            absent = [need for need in needs if given.data is None or not (given.data / need).is_dir()]
            if absent:
                report.missing(name, f"no folder {absent[0]} under --data")
                continue
            started = time.perf_counter()
            measure(bench)
            print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
        recogniser.close()
    report.finish(given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
