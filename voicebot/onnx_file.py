"""Writes ONNX model files, reads and changes others: the few messages of onnx.proto (IR 8) that we need.

The `onnx` package does this too, but nothing else in the project needs it, and its wheel is as large as our largest
model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

_IR_VERSION = 8
_ELEMENT_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7}
_VARINT, _BYTES, _FIXED_32 = 0, 2, 5

Floats = npt.NDArray[np.float32]
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

    def tensor(self, name: str, values: npt.NDArray[np.generic]) -> str:
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


def float_constants(model: bytes) -> dict[str, Floats]:
    """Return the float32 tensors of a file's `Constant` nodes by name, those inside branches of `If` nodes, too."""
    graph = next((body for number, body in _fields(model) if number == 7), b"")
    return dict(_constants(graph))


def followed(model: bytes, op: str, by: str) -> bytes:
    """Return a file in which the output of each `op` goes through an operator `by`, which takes one input."""

    def nodes(number: int, node: bytes, whole: bytes) -> bytes:
        fields = list(_fields(node)) if number == 1 else []
        if (4, op.encode()) not in fields:
            return whole
        output = next(body for number, body in fields if number == 2).decode()
        renamed = _rewritten(node, lambda number, _, whole: _text(2, f"{output}/{by}") if number == 2 else whole)
        return _message(1, renamed) + _message(1, _text(1, f"{output}/{by}") + _text(2, output) + _text(4, by))

    return _rewritten(
        model, lambda number, graph, whole: _message(7, _rewritten(graph, nodes)) if number == 7 else whole
    )


def _rewritten(message: bytes, change: Callable[[int, bytes, bytes], bytes]) -> bytes:
    """Return `message` with each field changed, given its number, its bytes, and those with its key."""
    return b"".join(change(*piece) for piece in _pieces(message))


def _constants(graph: bytes) -> Iterator[tuple[str, Floats]]:
    for node in (body for number, body in _fields(graph) if number == 1):
        fields = list(_fields(node))
        for attribute in (dict(_fields(body)) for number, body in fields if number == 5):
            if 6 in attribute:
                yield from _constants(attribute[6])
            elif 5 in attribute and (values := _floats(attribute[5])) is not None:
                yield next(body for number, body in fields if number == 2).decode(), values


def _floats(tensor: bytes) -> Floats | None:
    fields = list(_fields(tensor))
    elements = dict(fields)
    if 9 not in elements or int.from_bytes(elements[2], "little") != _ELEMENT_TYPES["float32"]:
        return None
    sizes = [_read_varint(body, 0)[0] for number, body in fields if number == 1]
    return np.frombuffer(elements[9], dtype="<f4").reshape(sizes)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the bytes of each field; a number's bytes are its varint as it stands."""
    return ((number, body) for number, body, _ in _pieces(message))


def _pieces(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield each field's number, its bytes, and all of it as it stands in the message."""
    at = 0
    while at < len(message):
        began = at
        key, at = _read_varint(message, at)
        start = at
        match key & 7:
            case 0:
                _, at = _read_varint(message, at)
            case 1:
                at += 8
            case 2:
                size, start = _read_varint(message, at)
                at = start + size
            case 5:
                at += 4
            case other:
                raise ValueError(f"protobuf has no wire type {other}")
        yield key >> 3, message[start:at], message[began:at]


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at `at`, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


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
