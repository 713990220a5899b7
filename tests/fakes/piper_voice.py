"""A Piper voice that is a real ONNX file and hums: 40 ms a phoneme, so that speed and length can be checked."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np

from voicebot.onnx_file import Graph

RATE_HZ = 22_050
SECONDS_A_PHONEME = 0.04
_OPSET = 17


def make_piper_voice(folder: Path, name: str = "en_US-hum-low", *, with_settings: bool = True) -> Path:
    """Write ``NAME.onnx`` and ``NAME.onnx.json`` into `folder` and return the first."""
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / f"{name}.onnx"
    model.write_bytes(_model())
    if with_settings:
        Path(f"{model}.json").write_text(json.dumps(_settings()), encoding="utf-8")
    return model


def _settings() -> dict[str, object]:
    return {
        "audio": {"sample_rate": RATE_HZ},
        "espeak": {"voice": "en-us"},
        "inference": {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8},
        "num_symbols": 256,
        "num_speakers": 1,
        "phoneme_id_map": importlib.import_module("piper.phoneme_ids").DEFAULT_PHONEME_ID_MAP,
    }


def _model() -> bytes:
    """Piper's signature: phoneme ids, their number, and (noise, length, width) scales to samples of -1 to 1."""
    graph = Graph("hum")
    graph.input("input", "int64", [1, "phonemes"])
    lengths = graph.input("input_lengths", "int64", [1])
    scales = graph.input("scales", "float32", [3])
    (ids,) = graph.node("Cast", [lengths], attributes={"to": 1})
    (length_scale,) = graph.node("Gather", [scales, graph.tensor("which", np.array([1], np.int64))])
    (stretched,) = graph.node("Mul", [ids, length_scale])
    # Two ids a phoneme: its own and the pad after it.
    per_id = np.array([RATE_HZ * SECONDS_A_PHONEME / 2], np.float32)
    (samples,) = graph.node("Mul", [stretched, graph.tensor("per_id", per_id)])
    (count,) = graph.node("Squeeze", [samples])
    zero, one = graph.tensor("zero", np.array(0, np.float32)), graph.tensor("one", np.array(1, np.float32))
    (time,) = graph.node("Range", [zero, count, one])
    (phase,) = graph.node("Mul", [time, graph.tensor("step", np.array(2 * np.pi * 400 / RATE_HZ, np.float32))])
    (wave,) = graph.node("Sin", [phase])
    (quiet,) = graph.node("Mul", [wave, graph.tensor("level", np.array(0.05, np.float32))])
    (shaped,) = graph.node("Reshape", [quiet, graph.tensor("shape", np.array([1, 1, -1], np.int64))])
    graph.output(shaped, "output", "float32", [1, 1, "samples"])
    return graph.model({"": _OPSET})
