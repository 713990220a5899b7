"""The sentence encoder that is installed, and what happens without one."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from voicebot.errors import EngineUnavailable
from voicebot.language.encoder import ENCODER_FILE, SentenceEncoder, find_encoder, installed_folder


@cache
def encoder() -> SentenceEncoder:
    folder = find_encoder()
    if folder is None:
        pytest.skip("no sentence encoder is installed (scripts/sentence_encoder.py makes it)")
    return SentenceEncoder(folder)


def test_vectors_have_unit_length() -> None:
    views = encoder().views_of(["where is my order", "", "qwrtz 4512 !?"])
    each = views.reshape(3, SentenceEncoder.view_count, SentenceEncoder.dimensions)
    np.testing.assert_allclose(np.linalg.norm(each, axis=2), 1, atol=1e-5)
    np.testing.assert_array_equal(encoder().vector("where is my order"), each[0, 0])


def test_what_means_the_same_is_closer_than_what_shares_words() -> None:
    said = ("where is my order", "my parcel has not arrived", "where is my apple pie")
    order, parcel, apple = (encoder().vector(each) for each in said)
    assert order @ parcel > order @ apple


def test_a_sentence_has_the_same_vector_in_any_company() -> None:
    alone = encoder().views("i lost my card")
    among_others = encoder().views_of(["a", "i lost my card", "when do you open on sundays and on holidays"])[1]
    np.testing.assert_array_equal(alone, among_others)


def test_a_very_long_text_is_encoded_by_its_beginning() -> None:
    assert encoder().vector("word " * 5000).shape == (SentenceEncoder.dimensions,)


def test_a_vector_cannot_be_written_to_by_accident() -> None:
    with pytest.raises(ValueError, match="read-only"):
        encoder().vector("hello")[0] = 0


def test_a_folder_without_an_encoder_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"scripts/sentence_encoder\.py"):
        SentenceEncoder(tmp_path)


def test_a_damaged_encoder_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / ENCODER_FILE).write_bytes(b"no graph")
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n", encoding="utf-8")
    with pytest.raises(EngineUnavailable):
        SentenceEncoder(tmp_path)


def test_an_encoder_among_the_models_is_found_before_the_installed_one(tmp_path: Path) -> None:
    own = tmp_path / "sentence-encoder"
    own.mkdir()
    (own / ENCODER_FILE).write_bytes(b"")
    assert find_encoder(tmp_path) == own
    assert find_encoder(tmp_path / "nowhere") in {installed_folder(), None}
