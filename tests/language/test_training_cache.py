"""Training is kept by content: done once for the same examples, anew for others; a damaged file is never taken."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from tests.language.test_understanding import INTENTS
from voicebot.language.encoder import SentenceEncoder, find_encoder
from voicebot.language.intents import IntentClassifier
from voicebot.language.training_cache import TrainingCache
from voicebot.language.validation import validate

SAID = ("has my parcel left yet", "i want a pizza", "what do i have in savings", "")


def trained(
    folder: Path, examples: Mapping[str, tuple[str, ...]] = INTENTS, encoder: SentenceEncoder | None = None
) -> tuple[IntentClassifier, int]:
    """Return a classifier and how many times it was trained for it."""
    with patch("voicebot.language.intents.validate", wraps=validate) as validated:
        classifier = IntentClassifier(examples, encoder, TrainingCache(folder))
    return classifier, validated.call_count


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.training"))


def outcome(classifier: IntentClassifier) -> tuple[object, ...]:
    scores = [classifier.scores(said) for said in SAID]
    return scores, classifier.threshold, classifier.collisions, classifier.trials.reliability()


def test_an_unchanged_bot_is_not_trained_again(tmp_path: Path) -> None:
    first, trainings = trained(tmp_path)
    assert trainings == 1
    again, trainings = trained(tmp_path)
    assert trainings == 0
    assert outcome(again) == outcome(first) == outcome(IntentClassifier(INTENTS))


def test_with_an_encoder_no_example_is_encoded_again(tmp_path: Path) -> None:
    folder = find_encoder()
    if folder is None:
        pytest.skip("no sentence encoder is installed (scripts/sentence_encoder.py makes it)")
    first, trainings = trained(tmp_path, encoder=SentenceEncoder(folder))
    assert trainings == 1
    encoder = SentenceEncoder(folder)
    with patch.object(encoder, "views") as encoded:
        again, trainings = trained(tmp_path, encoder=encoder)
    assert (trainings, encoded.call_count) == (0, 0)
    assert outcome(again) == outcome(first)


def test_the_order_of_intents_in_the_files_does_not_matter(tmp_path: Path) -> None:
    trained(tmp_path)
    assert trained(tmp_path, dict(reversed(INTENTS.items())))[1] == 0


def test_a_changed_example_is_trained_anew_and_the_earlier_training_stays(tmp_path: Path) -> None:
    trained(tmp_path)
    changed = INTENTS | {"balance": (*INTENTS["balance"][:-1], "what have i got")}
    assert trained(tmp_path, changed)[1] == 1
    assert len(kept(tmp_path)) == 2
    assert trained(tmp_path)[1] == 0


def test_an_example_moved_to_another_intent_is_trained_anew(tmp_path: Path) -> None:
    trained(tmp_path, {"one": ("a b c", "d e f"), "two": ("g h i",)})
    assert trained(tmp_path, {"one": ("a b c",), "two": ("d e f", "g h i")})[1] == 1


def _with_pickle() -> bytes:
    """Return a file whose digest is right and whose content would run code if it were unpickled."""
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=True, judge=np.array([Exploding()], dtype=object))
    return hashlib.sha256(packed.getvalue()).digest() + packed.getvalue()


def _other_arrays() -> bytes:
    packed = io.BytesIO()
    np.savez(packed, judge=np.zeros(7))
    return hashlib.sha256(packed.getvalue()).digest() + packed.getvalue()


class Exploding:
    def __reduce__(self) -> tuple[object, ...]:
        return pytest.fail, ("the file was unpickled",)


@pytest.mark.parametrize("damage", ["empty", "cut", "one byte", "no archive", "pickle", "other arrays"])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: str) -> None:
    first, _ = trained(tmp_path)
    (file,) = kept(tmp_path)
    whole = file.read_bytes()
    flipped = whole[:500] + bytes([whole[500] ^ 1]) + whole[501:]
    no_archive = hashlib.sha256(b"hello").digest() + b"hello"
    contents = {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "one byte": flipped,
        "no archive": no_archive,
        "pickle": _with_pickle(),
        "other arrays": _other_arrays(),
    }
    file.write_bytes(contents[damage])
    again, trainings = trained(tmp_path)
    assert trainings == 1
    assert outcome(again) == outcome(first)
    assert trained(tmp_path)[1] == 0


def test_where_nothing_can_be_written_the_bot_is_trained_at_each_start(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder", encoding="utf-8")
    assert trained(in_the_way)[1] == 1
    assert trained(in_the_way)[1] == 1


def test_the_oldest_trainings_are_forgotten(tmp_path: Path) -> None:
    for number in range(18):
        trained(tmp_path, {"one": (f"request number {number}",)})
    assert len(kept(tmp_path)) == 16
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".training"]
