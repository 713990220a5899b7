"""The labelled collections that understanding is measured on, and draws of a few examples from them."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from voicebot.language.identity import Profile, SpokenIdentity

Labelled = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Corpus:
    """One labelled collection; `validation` is empty where the collection has none."""

    name: str
    train: Labelled
    validation: Labelled
    test: Labelled


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
