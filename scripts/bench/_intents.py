"""Intents, "none of these" and calibration on public collections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from _corpora import Corpus, Labelled, banking, clinc, draw, grouped, natcs
from _report import Report
from _understanding import Bench, calibration_error
from sklearn.metrics import roc_auc_score

from voicebot.language.intents import IntentClassifier

DRAWS = 3
TURNED_AWAY = 0.05


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


def measure_clinc(bench: Bench) -> None:
    _measure_intents(bench, clinc(bench.data)[0])


def measure_banking(bench: Bench) -> None:
    _measure_intents(bench, banking(bench.data))


def _measure_intents(bench: Bench, corpus: Corpus) -> None:
    """Accuracy on test rows; few-shot is pooled over three draws."""
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


def measure_natcs(bench: Bench) -> None:
    """Accuracy on the rows that are left of three draws, which have no test part of their own."""
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
    error = calibration_error(outcomes)
    report.figure(section, "expected calibration error", 100 * error, "points", n=len(outcomes))
