"""Writes ONNX model files: the few protobuf messages of onnx.proto (IR version 8) that our graphs need.

The `onnx` package does this too, but nothing else in the project needs it, and its wheel is as large as our model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

_IR_VERSION = 8
_ELEMENT_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7}
_VARINT, _BYTES, _FIXED_32 = 0, 2, 5

Attribute = int | float | str | Sequence[int]


@dataclass(slots=True)
class Graph:
    """A graph under construction: nodes in execution order, named tensors, inputs and outputs.

    `dims` of inputs and outputs name free dimensions by strings and fixed ones by numbers.
    """

    name: str
    nodes: list[bytes] = field(default_factory=list)
    tensors: list[bytes] = field(default_factory=list)
    inputs: list[bytes] = field(default_factory=list)
    outputs: list[bytes] = field(default_factory=list)
    made: int = 0

    def tensor(self, name: str, values: np.ndarray) -> str:
        """Add a constant and return its name."""
        body = b"".join(_number(1, size) for size in values.shape)
        body += _number(2, _ELEMENT_TYPES[values.dtype.name]) + _text(8, name)
        body += _message(9, np.ascontiguousarray(values).tobytes())
        self.tensors.append(body)
        return name

    def node(
        self,
        op: str,
        inputs: Sequence[str],
        *,
        outputs: int = 1,
        domain: str = "",
        attributes: Mapping[str, Attribute] | None = None,
    ) -> tuple[str, ...]:
        """Add an operator and return the names of its outputs; an empty input name leaves an optional one out."""
        self.made += 1
        names = tuple(f"{op}_{self.made}_{index}" for index in range(outputs))
        body = b"".join(_text(1, name) for name in inputs) + b"".join(_text(2, name) for name in names)
        body += _text(3, f"{op}_{self.made}") + _text(4, op)
        body += b"".join(_message(5, _attribute(key, value)) for key, value in (attributes or {}).items())
        if domain:
            body += _text(7, domain)
        self.nodes.append(body)
        return names

    def input(self, name: str, element_type: str, dims: Sequence[str | int]) -> str:
        self.inputs.append(_value(name, element_type, dims))
        return name

    def output(self, source: str, name: str, element_type: str, dims: Sequence[str | int]) -> None:
        """Give a tensor of the graph to the outside under `name`."""
        self.nodes.append(_text(1, source) + _text(2, name) + _text(3, name) + _text(4, "Identity"))
        self.outputs.append(_value(name, element_type, dims))

    def model(self, opsets: Mapping[str, int]) -> bytes:
        """Return the whole file; `opsets` maps each operator domain used to its version."""
        graph = b"".join(_message(1, node) for node in self.nodes) + _text(2, self.name)
        graph += b"".join(_message(5, tensor) for tensor in self.tensors)
        graph += b"".join(_message(11, value) for value in self.inputs)
        graph += b"".join(_message(12, value) for value in self.outputs)
        body = _number(1, _IR_VERSION) + _text(2, "voicebot") + _message(7, graph)
        return body + b"".join(
            _message(8, _text(1, domain) + _number(2, version)) for domain, version in opsets.items()
        )


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _key(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _number(number: int, value: int) -> bytes:
    return _key(number, _VARINT) + _varint(value)


def _message(number: int, body: bytes) -> bytes:
    return _key(number, _BYTES) + _varint(len(body)) + body


def _text(number: int, value: str) -> bytes:
    return _message(number, value.encode())


def _attribute(name: str, value: Attribute) -> bytes:
    """Encode an AttributeProto; its last field names the kind of value."""
    body = _text(1, name)
    if isinstance(value, float):
        return body + _key(2, _FIXED_32) + np.float32(value).tobytes() + _number(20, 1)
    if isinstance(value, int):
        return body + _number(3, value) + _number(20, 2)
    if isinstance(value, str):
        return body + _text(4, value) + _number(20, 3)
    return body + b"".join(_number(8, item) for item in value) + _number(20, 7)


def _value(name: str, element_type: str, dims: Sequence[str | int]) -> bytes:
    sizes = (_text(2, size) if isinstance(size, str) else _number(1, size) for size in dims)
    shape = b"".join(_message(1, size) for size in sizes)
    tensor = _number(1, _ELEMENT_TYPES[element_type]) + _message(2, shape)
    return _text(1, name) + _message(2, _message(1, tensor))
