"""Reads the weights of a Whisper model from the file that CTranslate2 keeps them in (`model.bin`)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from os import SEEK_CUR
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

_SPEC = "WhisperSpec"
_READ_VERSION = 6
#: By their number in the file. bfloat16, which numpy lacks, is the upper half of a float32.
_ELEMENT_TYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2", 5: "<u2"}
_BFLOAT16 = 5

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Weights (outputs, inputs) as int8, and for each output what one of its steps is worth."""

    steps: npt.NDArray[np.int8]
    worth: Floats


class Weights:
    """The tensors of one model by name ("decoder/layer_0/ffn/linear_0/weight").

    Those of one `part` ("decoder"); the others are not read. ValueError when the file is none that we can read,
    KeyError when it holds no tensor of a name.
    """

    def __init__(self, file: Path, part: str) -> None:
        with file.open("rb") as data:
            self._tensors = _tensors(data, part)
        self._matrices: dict[int, Matrix] = {}

    def floats(self, name: str) -> Floats:
        """Return a tensor as float32, whatever it is kept as."""
        values = self._tensors[name].astype(np.float32)
        scale = self._tensors.get(f"{name}_scale")
        return values if scale is None else values / scale.astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))

    def matrix(self, name: str) -> Matrix:
        """Return a matrix as int8: as it is kept, or each row rounded to 127 steps of its largest weight."""
        values = self._tensors[name]
        # The embeddings are mostly the projection, too, and by far the largest matrix.
        if (known := self._matrices.get(id(values))) is None:
            known = self._matrices[id(values)] = self._rounded(name)
        return known

    def _rounded(self, name: str) -> Matrix:
        values, scale = self._tensors[name], self._tensors.get(f"{name}_scale")
        if values.dtype == np.int8 and scale is not None and scale.size == len(values):
            return Matrix(values.astype(np.int8), (1.0 / scale.astype(np.float32)).reshape(-1))
        floats = self.floats(name)
        worth = np.abs(floats).max(axis=1) / 127.0
        worth[worth == 0] = 1.0
        return Matrix(np.rint(floats / worth[:, np.newaxis]).astype(np.int8), worth)

    def number(self, name: str) -> int:
        return int(self._tensors[name].reshape(-1)[0])

    def has(self, name: str) -> bool:
        return name in self._tensors


def _tensors(data: BinaryIO, part: str) -> dict[str, Array]:
    version = _number(data, "I")
    spec = _text(data)
    if version != _READ_VERSION or spec != _SPEC:
        raise ValueError(
            f"{_SPEC} in version {_READ_VERSION} of CTranslate2's files is read here, not {spec} in version {version}"
        )
    _number(data, "I")  # the revision of the spec
    tensors: dict[str, Array] = {}
    for _ in range(_number(data, "I")):
        name = _text(data)
        shape = [_number(data, "I") for _ in range(_number(data, "B"))]
        kind, size = _number(data, "B"), _number(data, "I")
        if not name.startswith(f"{part}/"):
            data.seek(size, SEEK_CUR)
            continue
        values = np.frombuffer(_bytes(data, size), dtype=_ELEMENT_TYPES[kind]).reshape(shape)
        tensors[name] = (values.astype(np.uint32) << 16).view(np.float32) if kind == _BFLOAT16 else values
    for _ in range(_number(data, "I")):
        alias, original = _text(data), _text(data)
        for suffix in ("", "_scale"):
            if original + suffix in tensors:
                tensors[alias + suffix] = tensors[original + suffix]
    return tensors


def _number(data: BinaryIO, form: str) -> int:
    (value,) = struct.unpack(f"<{form}", _bytes(data, struct.calcsize(f"<{form}")))
    return int(value)


def _text(data: BinaryIO) -> str:
    return _bytes(data, _number(data, "H"))[:-1].decode()


def _bytes(data: BinaryIO, count: int) -> bytes:
    if len(read := data.read(count)) != count:
        raise ValueError("the file ends too early")
    return read
