"""Whisper's decoder as ONNX graphs, made from CTranslate2's weights: the same texts, a token in half of the time.

CTranslate2 brings int8 weights into the order it computes in anew for each token, which takes most of a token's time;
onnxruntime does it once. Both round activations to 8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voicebot.onnx_file import Graph
from voicebot.speech.recognition.whisper.weights import Weights

_OPSET = 17
_CONTRIBUTED = "com.microsoft"
_GELU = 3
#: On either side of zero.
_STEPS = 127
#: How many numbers `largest_product` adds up.
LARGEST = 64


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a decoder: layers, heads in each, and the numbers that stand for a position."""

    layers: int
    heads: int
    width: int

    @property
    def head(self) -> int:
        return self.width // self.heads


def shape_of(weights: Weights) -> Shape:
    """Return the decoder's sizes; ValueError where it is built in a way that we have no graph for."""
    as_published = {
        "pre_norm": 1,
        "activation": _GELU,
        "alibi": 0,
        "scale_embeddings": 0,
        "start_from_zero_embedding": 0,
    }
    for name, value in as_published.items():
        if weights.number(f"decoder/{name}") != value:
            raise ValueError(f"its decoder has another {name} than Whisper's")
    layers = 0
    while weights.has(f"decoder/layer_{layers}/ffn/linear_0/weight"):
        layers += 1
    width = len(weights.floats("decoder/layer_norm/gamma"))
    return Shape(layers, weights.number("decoder/num_heads"), width)


def cross_attention(weights: Weights) -> bytes:
    """Return the graph that is run once for a sound: each layer's keys and values for what the encoder heard.

    In: `encoded` (1, positions, width). Out: `cross_key_0`, `cross_value_0`, ... (1, heads, positions, head's width).
    """
    build = _Build(weights, "whisper-cross-attention")
    build.graph.input("encoded", "float32", [1, "positions", build.shape.width])
    for layer in range(build.shape.layers):
        both = build.dense("encoded", f"decoder/layer_{layer}/attention/linear_1")
        for name, part in zip(("key", "value"), build.split(both, 2), strict=True):
            build.give(build.by_head(part), f"cross_{name}_{layer}", "positions")
    return build.graph.model({"": _OPSET, _CONTRIBUTED: 1})


def decoder(weights: Weights) -> bytes:
    """Return the graph for the next tokens of a text.

    In: `tokens` (1, tokens, width), each one's vector with its position's; `wanted`, the places of those whose
    successors are asked for; `past_key_0`, `past_value_0`, ... (1, heads, past, head's width) of the tokens before; and
    what `cross_attention` gives. Out: `logits` (1, wanted, vocabulary), and `present_key_0`, `present_value_0`, ...:
    those of the past with those of `tokens` behind.
    """
    build = _Build(weights, "whisper-decoder")
    graph, shape = build.graph, build.shape
    text = graph.input("tokens", "float32", [1, "tokens", shape.width])
    graph.input("wanted", "int64", ["wanted"])
    for layer in range(shape.layers):
        for name, long in (
            ("past_key", "past"),
            ("past_value", "past"),
            ("cross_key", "positions"),
            ("cross_value", "positions"),
        ):
            graph.input(f"{name}_{layer}", "float32", [1, shape.heads, long, shape.head])
    for layer in range(shape.layers):
        scope = f"decoder/layer_{layer}"
        normed = build.norm(text, f"{scope}/self_attention/layer_norm")
        query, key, value = build.split(build.dense(normed, f"{scope}/self_attention/linear_0"), 3)
        said, present_key, present_value = build.attention(
            [query, key, value, "", "", "", f"past_key_{layer}", f"past_value_{layer}"], outputs=3, causal=True
        )
        build.give(present_key, f"present_key_{layer}", "present")
        build.give(present_value, f"present_value_{layer}", "present")
        text = build.add(text, build.dense(said, f"{scope}/self_attention/linear_1"))
        query = build.dense(build.norm(text, f"{scope}/attention/layer_norm"), f"{scope}/attention/linear_0")
        (heard,) = build.attention([query, f"cross_key_{layer}", f"cross_value_{layer}"], outputs=1, causal=False)
        text = build.add(text, build.dense(heard, f"{scope}/attention/linear_2"))
        wide = build.dense(build.norm(text, f"{scope}/ffn/layer_norm"), f"{scope}/ffn/linear_0")
        (wide,) = graph.node("Gelu", [wide], domain=_CONTRIBUTED)
        text = build.add(text, build.dense(wide, f"{scope}/ffn/linear_1"))
    (last,) = graph.node("Gather", [text, "wanted"], attributes={"axis": 1})
    logits = build.dense(build.norm(last, "decoder/layer_norm"), "decoder/projection")
    graph.output(logits, "logits", "float32", [1, "wanted", "vocabulary"])
    return graph.model({"": _OPSET, _CONTRIBUTED: 1})


def largest_product() -> bytes:
    """Return a graph that multiplies `ones` (1, LARGEST) by the largest weights that 8 bits hold, as the others do."""
    graph = Graph("largest-product")
    graph.input("ones", "float32", [1, LARGEST])
    steps = graph.tensor("steps", np.full((LARGEST, 1), _STEPS, dtype=np.int8))
    worth = graph.tensor("worth", np.full(1, 1 / _STEPS, dtype=np.float32))
    graph.output(_product(graph, "ones", steps, worth), "product", "float32", [1, 1])
    return graph.model({"": _OPSET, _CONTRIBUTED: 1})


def _product(graph: Graph, levels: str, steps: str, worth: str) -> str:
    """Multiply `levels`, -1 to 1, rounded to 8 bits, by int8 weights, of which one step each is `worth` so much."""
    step = graph.tensor(f"{levels}/step", np.array(1 / _STEPS, dtype=np.float32))
    zero = graph.tensor(f"{levels}/zero", np.array(_STEPS + 1, dtype=np.uint8))
    (rounded,) = graph.node("QuantizeLinear", [levels, step, zero])
    (product,) = graph.node("MatMulIntegerToFloat", [rounded, steps, step, worth, zero], domain=_CONTRIBUTED)
    return product


class _Build:
    def __init__(self, weights: Weights, name: str) -> None:
        self._weights = weights
        self.shape = shape_of(weights)
        self.graph = Graph(name)

    def dense(self, values: str, name: str) -> str:
        """Multiply by a matrix and add its bias; each row of `values` is rounded to 127 steps of its largest value.

        So no row is rounded by the others beside it, and each is as exact as in CTranslate2.
        """
        graph, matrix = self.graph, self._weights.matrix(f"{name}/weight")
        (size,) = graph.node("Abs", [values])
        (largest,) = graph.node("ReduceMax", [size], attributes={"axes": [-1], "keepdims": 1})
        (level,) = graph.node("Div", [values, largest])
        steps = graph.tensor(f"{name}/weight", np.ascontiguousarray(matrix.steps.T))
        worth = graph.tensor(f"{name}/worth", matrix.worth)
        (product,) = graph.node("Mul", [_product(graph, level, steps, worth), largest])
        if not self._weights.has(f"{name}/bias"):
            return product
        return self.add(product, graph.tensor(f"{name}/bias", self._weights.floats(f"{name}/bias")))

    def norm(self, values: str, name: str) -> str:
        gamma, beta = (
            self.graph.tensor(f"{name}/{part}", self._weights.floats(f"{name}/{part}")) for part in ("gamma", "beta")
        )
        (normed,) = self.graph.node("LayerNormalization", [values, gamma, beta])
        return normed

    def add(self, one: str, other: str) -> str:
        (both,) = self.graph.node("Add", [one, other])
        return both

    def split(self, values: str, parts: int) -> tuple[str, ...]:
        return self.graph.node("Split", [values], outputs=parts, attributes={"axis": 2})

    def by_head(self, values: str) -> str:
        sizes = np.array([0, 0, self.shape.heads, self.shape.head])
        (parted,) = self.graph.node("Reshape", [values, self.graph.tensor(f"{values}/sizes", sizes)])
        (turned,) = self.graph.node("Transpose", [parted], attributes={"perm": [0, 2, 1, 3]})
        return turned

    def attention(self, inputs: list[str], *, outputs: int, causal: bool) -> tuple[str, ...]:
        attributes = {"num_heads": self.shape.heads, "unidirectional": int(causal)}
        return self.graph.node(
            "MultiHeadAttention", inputs, outputs=outputs, domain=_CONTRIBUTED, attributes=attributes
        )

    def give(self, source: str, name: str, long: str) -> None:
        self.graph.output(source, name, "float32", [1, self.shape.heads, long, self.shape.head])
