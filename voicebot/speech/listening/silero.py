"""Silero's network at 8 kHz as one straight ONNX graph: the published file's answers in less than half of its time.

The published file asks at each step which rate and shapes it was given, and has convolutions over four places; for
windows of one size all that is known beforehand, and a convolution is a product of matrices. Frames of audio go through
a short-time spectrum, four convolutions and an LSTM cell; one weighted sum of what the cell says is the answer.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voicebot.onnx_file import Floats, Graph, float_constants

#: Frames of the spectrum, and samples in each; every frame begins half a frame after the one before.
FRAMES, FRAME_SAMPLES = 4, 128
STATE = 128
_BINS = 65
_WIDE, _NARROW = 128, 64
_OPSET = 17
#: Where the published file keeps the network for 8 kHz.
_BRANCH = "If_0_else_branch__Inline_0__"
#: For each place of a convolution's output, the rows under it: of four rows between two of zeros, every place or every
#: second one.
_EACH = ((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5))
_EVERY_SECOND = _EACH[::2]


def network(published: bytes) -> bytes:
    """Return the graph for the published file; KeyError, IndexError or ValueError when that holds another network.

    `frames` (FRAMES, FRAME_SAMPLES) and `state` (2, STATE) in, `probability` (1, 1) and `next_state` (2, STATE) out.
    """
    constants = float_constants(published)
    return _Network({name.removeprefix(_BRANCH): values for name, values in constants.items()}).build()


class _Network:
    def __init__(self, weights: dict[str, Floats]) -> None:
        self._weights = weights
        self._graph = Graph("silero-8k")

    def build(self) -> bytes:
        graph = self._graph
        graph.input("frames", "float32", [FRAMES, FRAME_SAMPLES])
        graph.input("state", "float32", [2, STATE])
        basis = self._weights["stft.forward_basis_buffer"][:, 0].T
        spectrum = self._node("MatMul", "frames", self._tensor("basis", basis))
        # Real parts, then imaginary ones.
        parts = self._reshaped(spectrum, FRAMES, 2, _BINS)
        (power,) = graph.node("ReduceL2", [parts], attributes={"axes": [1], "keepdims": 0})
        wide = self._convolution(0, self._places(power, _EACH, _BINS))
        halved = self._convolution(1, self._places(wide, _EVERY_SECOND, _WIDE))
        # Of the two places that are left, one before them is zeros; of the one that is then left, both beside it are.
        quartered = self._convolution(2, self._reshaped(halved, 1, 2 * _NARROW), taps=slice(1, 3))
        self._answer(self._cell(self._convolution(3, quartered, taps=slice(1, 2))))
        return graph.model({"": _OPSET})

    def _places(self, rows: str, places: tuple[tuple[int, ...], ...], width: int) -> str:
        """Lay out what a convolution of three taps sees at each place, zeros beside the first and last row."""
        padded = self._node("Pad", rows, self._tensor("beside", np.array([1, 0, 1, 0])))
        gathered = self._node("Gather", padded, self._tensor("under", np.array(places).reshape(-1)))
        return self._reshaped(gathered, len(places), 3 * width)

    def _convolution(self, number: int, places: str, taps: slice = slice(3)) -> str:
        name = f"encoder.{number}.reparam_conv"
        weight = self._weights[f"{name}.weight"].transpose(2, 1, 0)[taps]
        weight = weight.reshape(-1, weight.shape[-1])
        matrix, bias = self._tensor("weight", weight), self._tensor("bias", self._weights[f"{name}.bias"])
        return self._node("Relu", self._node("Gemm", places, matrix, bias))

    def _cell(self, heard: str) -> str:
        """Return what an LSTM cell says, and give out its state."""
        graph, weights = self._graph, self._weights
        said, kept = graph.node("Split", ["state"], outputs=2)
        both = np.concatenate([weights["decoder.rnn.weight_ih"], weights["decoder.rnn.weight_hh"]], axis=1)
        bias = weights["decoder.rnn.bias_ih"] + weights["decoder.rnn.bias_hh"]
        (joined,) = graph.node("Concat", [heard, said], attributes={"axis": 1})
        gates = self._node("Gemm", joined, self._tensor("gates", both.T), self._tensor("gates_bias", bias))
        taken, left, new, told = graph.node("Split", [gates], outputs=4, attributes={"axis": 1})
        fresh = self._node("Mul", self._node("Sigmoid", taken), self._node("Tanh", new))
        cell = self._node("Add", self._node("Mul", self._node("Sigmoid", left), kept), fresh)
        output = self._node("Mul", self._node("Sigmoid", told), self._node("Tanh", cell))
        (state,) = graph.node("Concat", [output, cell], attributes={"axis": 0})
        graph.output(state, "next_state", "float32", [2, STATE])
        return output

    def _answer(self, said: str) -> None:
        weight = self._weights["decoder.decoder.2.weight"].reshape(STATE, 1)
        bias = self._weights["decoder.decoder.2.bias"]
        score = self._node(
            "Gemm", self._node("Relu", said), self._tensor("answer", weight), self._tensor("answer_bias", bias)
        )
        self._graph.output(self._node("Sigmoid", score), "probability", "float32", [1, 1])

    def _reshaped(self, values: str, *sizes: int) -> str:
        return self._node("Reshape", values, self._tensor("sizes", np.array(sizes)))

    def _node(self, op: str, *inputs: str) -> str:
        return self._graph.node(op, inputs)[0]

    def _tensor(self, name: str, values: npt.NDArray[np.generic]) -> str:
        return self._graph.tensor(f"{name}_{len(self._graph.tensors)}", values)
