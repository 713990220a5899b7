"""Measures understanding: intents, "none of these", calibration, spoken values, identification, mood, time a turn.

    scripts/bench/understanding --data DIR [--json FILE] [--only PART ...] [--encoder DIR]

Every threshold comes from training or validation rows; no test row touches one. Takes about ten minutes on one core.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from _report import Report, parser, percentile
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.errors import EngineUnavailable
from voicebot.language.encoder import SentenceEncoder, find_encoder
from voicebot.language.identity import SURE, Profile, ProfileSearch, SpokenIdentity
from voicebot.language.intents import IntentClassifier
from voicebot.language.mood import is_frustrated, is_urgent, read_mood, sentiment_label
from voicebot.language.understanding import Understanding
from voicebot.language.words import normalise

Labelled = list[tuple[str, str]]

DRAWS = 3
TURNED_AWAY = 0.05
NOW = datetime(2026, 3, 4, 10, 0, tzinfo=ZoneInfo("Europe/London"))
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Corpus:
    """One labelled collection; `validation` is empty where the collection has none."""

    name: str
    train: Labelled
    validation: Labelled
    test: Labelled


@dataclass(frozen=True, slots=True)
class Bench:
    """What every part works with: where the rows go, the material, and the encoder if there is one."""

    report: Report
    data: Path
    encoder: SentenceEncoder | None

    def engines(self) -> Iterator[tuple[str, SentenceEncoder | None]]:
        yield "words only", None
        if self.encoder:
            yield "with encoder", self.encoder


@dataclass(frozen=True, slots=True)
class EviCall:
    """Whose profile a caller had been given, and what the recogniser made of them."""

    key: str
    said: SpokenIdentity


def clinc(data: Path) -> tuple[Corpus, dict[str, list[str]]]:
    """Return CLINC150 and its sentences out of scope by part."""
    parts = json.loads((data / "intents" / "clinc150_full.json").read_text(encoding="utf-8"))
    inside = {name: [(text, label) for text, label in parts[name]] for name in ("train", "val", "test")}
    outside = {name: [text for text, _ in parts[f"oos_{name}"]] for name in ("train", "val", "test")}
    return Corpus("CLINC150", inside["train"], inside["val"], inside["test"]), outside


def banking(data: Path) -> Corpus:
    def rows(part: str) -> Labelled:
        with (data / "intents" / f"banking77_{part}.csv").open(encoding="utf-8", newline="") as file:
            return [(row["text"], row["category"]) for row in csv.DictReader(file)]

    return Corpus("BANKING77", rows("train"), [], rows("test"))


def natcs(data: Path) -> Corpus:
    lines = (data / "intents" / "natcs_insurance.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return Corpus("NatCS insurance", [(row["utterance"], row["intent"]) for row in rows], [], [])


def evi(data: Path) -> tuple[list[Profile], list[EviCall]]:
    """Return EVI's profiles, and the calls of those speakers that are there to measure with."""
    csv.field_size_limit(1_000_000)
    with (data / "identity" / "records.en.csv").open(encoding="utf-8", newline="") as file:
        profiles = [
            Profile(row["scenario_id"], row["postcode"], row["name"], date.fromisoformat(row["dob"]))
            for row in csv.DictReader(file)
        ]
    heard: dict[tuple[str, str], dict[str, list[tuple[str, ...]]]] = {}
    with (data / "identity" / "dialogues.en.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if int(hashlib.sha256(row["speaker_id"].encode()).hexdigest(), 16) % 2:
                items = heard.setdefault((row["dialogue_id"], row["scenario_id"]), {})
                items.setdefault(row["item"], []).append(tuple(json.loads(row["nbest"])))
    return profiles, [
        EviCall(key, SpokenIdentity(tuple(items["postcode"]), tuple(items["name"]), tuple(items["dob"])))
        for (_, key), items in heard.items()
    ]


def _asked(said: SpokenIdentity, attempts: int, items: Sequence[str]) -> SpokenIdentity:
    """Return what a caller said to the first `attempts` questions after each of `items`."""
    return SpokenIdentity(**{item: getattr(said, item)[:attempts] for item in items})


def _heard_names(said: SpokenIdentity, attempts: int) -> set[str]:
    return {_name_key(text) for heard in said.name[:attempts] for text in heard}


def _name_key(name: str) -> str:
    """Return a name's letters alone, so that "T OB y" is Toby."""
    return "".join(letter for letter in name.lower() if letter.isalpha())


def grouped(rows: Labelled) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for text, label in rows:
        found.setdefault(label, []).append(text)
    return {label: tuple(texts) for label, texts in found.items()}


def draw(rows: Labelled, shots: int, seed: int) -> tuple[Labelled, Labelled]:
    """Return `shots` rows of each label and the rest."""
    chance = np.random.default_rng(seed)
    taken: set[int] = set()
    for label in sorted({label for _, label in rows}):
        members = [index for index, row in enumerate(rows) if row[1] == label]
        taken.update(int(index) for index in chance.permutation(members)[:shots])
    chosen = [row for index, row in enumerate(rows) if index in taken]
    return chosen, [row for index, row in enumerate(rows) if index not in taken]


def right(classifier: IntentClassifier, rows: Labelled) -> int:
    return sum(scores[0].intent == label for text, label in rows if (scores := classifier.scores(text)))


YARDSTICKS = {
    ("CLINC150", "full"): "aim 96.0; BERT 96.2 to 96.9",
    ("CLINC150", "10-shot"): "aim 91; CPFT 94.2",
    ("CLINC150", "5-shot"): "MiniLM 87.2; CPFT 92.3",
    ("BANKING77", "full"): "aim 94.1",
    ("BANKING77", "10-shot"): "aim 85.4; CPFT 87.2",
    ("BANKING77", "5-shot"): "MiniLM 80.5; CPFT 80.9",
}


def measure_intents(bench: Bench) -> None:
    """Accuracy on test rows; few-shot is pooled over three draws."""
    for corpus in (clinc(bench.data)[0], banking(bench.data)):
        for engine, encoder in bench.engines():
            for shots in (None, 10, 5):
                kind = f"{shots}-shot" if shots else "full"
                hits = trials = 0
                for seed in range(DRAWS if shots else 1):
                    train = draw(corpus.train, shots, seed)[0] if shots else corpus.train
                    classifier = IntentClassifier(grouped(train), encoder)
                    hits, trials = hits + right(classifier, corpus.test), trials + len(corpus.test)
                yardstick = YARDSTICKS[corpus.name, kind] if encoder else ""
                bench.report.rate("intents", f"{corpus.name} {kind}, {engine}", hits, trials, yardstick=yardstick)
    corpus = natcs(bench.data)
    for engine, encoder in bench.engines():
        for shots in (10, 5):
            hits = trials = 0
            for seed in range(DRAWS):
                train, test = draw(corpus.train, shots, seed)
                hits, trials = hits + right(IntentClassifier(grouped(train), encoder), test), trials + len(test)
            bench.report.rate("intents", f"{corpus.name} {shots}-shot, {engine}", hits, trials)


def measure_none(bench: Bench) -> None:
    """Out of scope on CLINC150: threshold where 5 % of validation rows in scope are turned away; and calibration."""
    corpus, outside = clinc(bench.data)
    for engine, encoder in bench.engines():
        aims = ("aim 92.6", "aim 86.6", "MiniLM 97.6") if encoder else ("", "", "")
        classifier = IntentClassifier(grouped(corpus.train), encoder)
        level = float(np.quantile([_top(classifier, text)[1] for text, _ in corpus.validation], TURNED_AWAY))
        inside = [(*_top(classifier, text), label) for text, label in corpus.test]
        strangers = [_top(classifier, text)[1] for text in outside["test"]]
        section = f"none of these, CLINC150 full, {engine}"
        kept_right = sum(found == label and score >= level for found, score, label in inside)
        refused = sum(score < level for score in strangers)
        area = roc_auc_score([1] * len(inside) + [0] * len(strangers), [row[1] for row in inside] + strangers)
        bench.report.rate(section, "in scope, right and kept", kept_right, len(inside), yardstick=aims[0])
        bench.report.rate(section, "out of scope, refused", refused, len(strangers), yardstick=aims[1])
        bench.report.figure(section, "AUROC", 100 * float(area), "%", n=len(inside) + len(strangers), yardstick=aims[2])
        shipped = classifier.threshold.confidence
        kept = sum(score >= shipped for _, score, _ in inside)
        bench.report.rate(section, "in scope kept, threshold as trained", kept, len(inside))
        shut_out = sum(score < shipped for score in strangers)
        bench.report.rate(section, "out of scope refused, as trained", shut_out, len(strangers))
        outcomes = [(score, found == label) for found, score, label in inside] + [(each, False) for each in strangers]
        _calibration(bench.report, f"calibration, CLINC150 full with out of scope, {engine}", outcomes)
    few, _ = draw(banking(bench.data).train, 10, 0)
    for engine, encoder in bench.engines():
        classifier = IntentClassifier(grouped(few), encoder)
        outcomes = [((top := _top(classifier, text))[1], top[0] == label) for text, label in banking(bench.data).test]
        _calibration(bench.report, f"calibration, BANKING77 10-shot, {engine}", outcomes)


def _top(classifier: IntentClassifier, text: str) -> tuple[str, float]:
    scores = classifier.scores(text)
    return (scores[0].intent, scores[0].confidence) if scores else ("", 0.0)


def _calibration(report: Report, section: str, outcomes: Sequence[tuple[float, bool]]) -> None:
    """Add the reliability of each of ten equal bins and the expected calibration error."""
    for tenth in range(10):
        inside = [each for each in outcomes if min(int(each[0] * 10), 9) == tenth]
        if inside:
            said = sum(confidence for confidence, _ in inside) / len(inside)
            hits = sum(correct for _, correct in inside)
            label = f"right where it said {tenth / 10:.1f} to {(tenth + 1) / 10:.1f}"
            report.rate(section, label, hits, len(inside), note=f"mean said {100 * said:.1f} %")
    error = _calibration_error(outcomes)
    report.figure(section, "expected calibration error", 100 * error, "points", n=len(outcomes))


def _calibration_error(outcomes: Sequence[tuple[float, bool]]) -> float:
    """Return the expected calibration error over ten equal bins (Guo et al. 2017), 0 to 1."""
    error = 0.0
    for tenth in range(10):
        inside = [each for each in outcomes if min(int(each[0] * 10), 9) == tenth]
        error += abs(sum(said for said, _ in inside) - sum(right for _, right in inside)) / len(outcomes)
    return error


def measure_phrases(bench: Bench) -> None:
    """The hand-made phrases of tests/language/phrases; a test keeps the first of them all right.

    Of the later ones every second row was held back when the rules for the rest were made.
    """
    sys.path.insert(0, str(ROOT))
    from tests.language.test_phrases import LATER, phrases, read_phrase  # noqa: PLC0415  # tests are no installed package

    def measure(section: str, rows: Sequence[tuple[str, str, str, tuple[int, ...]]]) -> None:
        counts: dict[str, list[bool]] = {}
        for kind, said, value, lengths in rows:
            counts.setdefault(kind, []).append(read_phrase(kind, said, lengths) == value)
        for kind, rights in counts.items():
            bench.report.rate(section, kind, sum(rights), len(rights))
        everything = [right for rights in counts.values() for right in rights]
        bench.report.rate(section, "all", sum(everything), len(everything))

    measure("spoken values, phrases that a test keeps right", phrases())
    numbered: dict[str, int] = {}
    halves: tuple[list[tuple[str, str, str, tuple[int, ...]]], ...] = ([], [])
    for row in phrases(LATER):
        numbered[row[0]] = numbered.get(row[0], -1) + 1
        halves[numbered[row[0]] % 2].append(row)
    measure("spoken values, later phrases that rules were made on", halves[0])
    measure("spoken values, later phrases held back", halves[1])


def measure_identity(bench: Bench) -> None:
    """Callers of EVI by what a recogniser made of their postcode, name and birth date, among 10,000 profiles.

    Weights and thresholds were set on the speakers of the other half. Strangers are the same calls with the profiles of
    all callers taken out. Calls whose profile the records lack are left out.
    """
    profiles, calls = evi(bench.data)
    by_key = {profile.key: profile for profile in profiles}
    calls = [call for call in calls if call.key in by_key]
    callers = {call.key for call in calls}
    among_all = ProfileSearch(profiles, day_first=True)
    without = ProfileSearch([profile for profile in profiles if profile.key not in callers], day_first=True)
    section = "identity (EVI), 10,000 profiles"
    for attempts in (1, 3):
        tries = f"{attempts} attempt{'s' if attempts > 1 else ''}"
        listed = sum(_name_key(by_key[call.key].name) in _heard_names(call.said, attempts) for call in calls)
        bench.report.rate(section, f"name among what was heard, {tries}", listed, len(calls), yardstick="aim 82")
        named = [among_all.find(_asked(call.said, attempts, ("name",)), limit=1) for call in calls]
        pairs = zip(named, calls, strict=True)
        found = sum(
            bool(best) and _name_key(best[0].profile.name) == _name_key(by_key[call.key].name) for best, call in pairs
        )
        bench.report.rate(section, f"name found by searching the records, {tries}", found, len(calls))
    asked_for = [("postcode", "name", "birth_date"), ("postcode", "birth_date"), ("name", "birth_date")]
    for items in asked_for:
        for attempts in (1, 3):
            _identify(bench.report, (among_all, without), calls, items, attempts)


def _identify(
    report: Report,
    searches: tuple[ProfileSearch, ProfileSearch],
    calls: Sequence[EviCall],
    items: tuple[str, ...],
    attempts: int,
) -> None:
    section = (
        f"identity (EVI): {', '.join(items).replace('_', ' ')}; {attempts} attempt{'s' if attempts > 1 else ''} each"
    )
    spent, customers, strangers = [], [], []
    for call in calls:
        said = _asked(call.said, attempts, items)
        before = time.thread_time()
        best = searches[0].find(said, limit=1)
        spent.append(1000 * (time.thread_time() - before))
        customers.append((best[0].probability, best[0].profile.key == call.key) if best else (0.0, False))
        stranger = searches[1].find(said, limit=1)
        strangers.append(stranger[0].probability if stranger else 0.0)
    taken = [right for probability, right in customers if probability >= SURE]
    report.rate(section, "right profile first", sum(right for _, right in customers), len(calls))
    report.rate(section, f"right profile taken (at {SURE})", sum(taken), len(calls))
    report.rate(section, "wrong profile taken", len(taken) - sum(taken), len(calls))
    report.rate(section, "false accept: stranger taken for a customer", sum(p >= SURE for p in strangers), len(calls))
    error = _calibration_error(customers)
    report.figure(section, "expected calibration error", 100 * error, "points", n=len(customers))
    report.figure(section, "a search, median", percentile(spent, 0.5), "ms", n=len(spent))


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
    for engine, encoder in bench.engines():
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
    "intents": (measure_intents, "intents"),
    "none": (measure_none, "intents"),
    "phrases": (measure_phrases, None),
    "identity": (measure_identity, "identity"),
    "mood": (measure_mood, None),
    "time": (measure_time, "intents"),
}


def main() -> int:
    options = parser(__doc__ or "")
    options.add_argument("--only", nargs="+", choices=PARTS, help="measure these parts alone")
    options.add_argument("--encoder", type=Path, help="folder of the sentence encoder, if not the installed one")
    given = options.parse_args()
    report = Report("understanding")
    folder = given.encoder or find_encoder()
    encoder = None
    try:
        encoder = SentenceEncoder(folder) if folder else None
    except EngineUnavailable as error:
        report.missing("sentence encoder", str(error))
    if folder is None:
        report.missing("sentence encoder", "not installed; scripts/sentence_encoder.py makes it")
    bench = Bench(report, given.data or Path(), encoder)
    for name in given.only or PARTS:
        measure, needs = PARTS[name]
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
