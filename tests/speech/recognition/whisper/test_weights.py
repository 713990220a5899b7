"""The file of a model's weights, in each form that CTranslate2 keeps them in."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.whisper_model import write_whisper_model
from voicebot.speech.recognition.whisper.network import Shape, shape_of
from voicebot.speech.recognition.whisper.weights import Weights

_MATRIX = "decoder/layer_0/ffn/linear_0/weight"


def text(value: str) -> bytes:
    return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"


def file_of(kind: int, values: bytes, *, spec: str = "WhisperSpec", version: int = 6) -> bytes:
    """Return a file with one tensor of two numbers, and another name for it, behind another part's."""
    head = struct.pack("<I", version) + text(spec) + struct.pack("<II", 3, 2)
    other = text("encoder/some") + struct.pack("<BBI", 0, 1, 1) + b"\1"
    tensor = text("decoder/some") + struct.pack("<BIBI", 1, 2, kind, len(values)) + values
    return head + other + tensor + struct.pack("<I", 1) + text("decoder/same") + text("decoder/some")


@pytest.mark.parametrize("kept_as", ["int8", "int16", "float16", "int8_float16"])
def test_a_matrix_is_the_same_however_it_is_kept(tmp_path: Path, kept_as: str) -> None:
    exact = Weights(write_whisper_model(tmp_path / "exact", says=None) / "model.bin", "decoder")
    kept = Weights(write_whisper_model(tmp_path / kept_as, says=None, quantization=kept_as) / "model.bin", "decoder")
    assert shape_of(kept) == shape_of(exact) == Shape(layers=1, heads=2, width=64)
    floats = exact.floats(_MATRIX)
    steps = np.abs(floats).max(axis=1, keepdims=True) / 127
    assert np.all(np.abs(kept.floats(_MATRIX) - floats) <= 0.51 * steps)
    matrix = kept.matrix(_MATRIX)
    assert matrix.steps.dtype == np.int8
    assert np.all(np.abs(matrix.steps * matrix.worth[:, np.newaxis] - floats) <= 0.8 * steps)


def test_a_row_of_nothing_stays_nothing(tmp_path: Path) -> None:
    matrix = Weights(write_whisper_model(tmp_path, says="yes") / "model.bin", "decoder").matrix(
        "decoder/embeddings/weight"
    )
    assert not matrix.steps.any()
    assert np.all(np.isfinite(matrix.worth))


def test_numbers_of_16_bits_with_the_range_of_32_are_read(tmp_path: Path) -> None:
    values = (np.array([1.5, -3.0e38], dtype=np.float32).view(np.uint32) >> 16).astype("<u2")
    (tmp_path / "model.bin").write_bytes(file_of(5, values.tobytes()))
    weights = Weights(tmp_path / "model.bin", "decoder")
    assert weights.floats("decoder/same") == pytest.approx([1.5, -3.0e38], rel=0.01)


@pytest.mark.parametrize(
    ("damaged", "why"),
    [
        (file_of(0, bytes(8), version=9), "in version 9"),
        (file_of(0, bytes(8), spec="TransformerSpec"), "TransformerSpec"),
        (file_of(0, bytes(8))[:-30], "too early"),
        (b"", "too early"),
    ],
)
def test_another_file_is_told_from_a_model(tmp_path: Path, damaged: bytes, why: str) -> None:
    (tmp_path / "model.bin").write_bytes(damaged)
    with pytest.raises(ValueError, match=why):
        Weights(tmp_path / "model.bin", "decoder")


def test_the_projection_is_the_embeddings_where_the_file_says_so(tmp_path: Path) -> None:
    directory = write_whisper_model(tmp_path, says=None, quantization="int8", tied=True)
    weights = Weights(directory / "model.bin", "decoder")
    assert weights.matrix("decoder/projection/weight") is weights.matrix("decoder/embeddings/weight")


def test_another_network_is_told_from_whispers(tmp_path: Path) -> None:
    weights = Weights(write_whisper_model(tmp_path, says=None, pre_norm=False) / "model.bin", "decoder")
    with pytest.raises(ValueError, match="pre_norm"):
        shape_of(weights)
