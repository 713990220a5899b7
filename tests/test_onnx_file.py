"""Constants are read from an ONNX file as onnxruntime reads them."""

from __future__ import annotations

import numpy as np
import onnxruntime

from voicebot.onnx_file import Graph, float_constants, followed
from voicebot.speech.listening.models import silero_path


def test_constants_inside_branches_are_read() -> None:
    constants = float_constants(silero_path().read_bytes())
    assert constants["If_0_else_branch__Inline_0__decoder.rnn.weight_ih"].shape == (512, 128)
    assert {name.partition("__")[0] for name in constants} == {"If_0_else_branch", "If_0_then_branch"}


def test_a_file_without_constants_has_none() -> None:
    assert float_constants(Graph("empty").model({"": 17})) == {}


def test_a_graph_that_was_written_runs() -> None:
    graph = Graph("double")
    doubled = graph.node("Mul", [graph.input("x", "float32", [2]), graph.tensor("two", np.array(2, np.float32))])[0]
    graph.output(doubled, "y", "float32", [2])
    session = onnxruntime.InferenceSession(graph.model({"": 17}), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"x": np.array([1, 2], np.float32)})[0], [2, 4])


def test_what_follows_an_operator_changes_its_output_and_nothing_else() -> None:
    graph = Graph("twice negative")
    x = graph.input("x", "float32", [2])
    graph.output(graph.node("Neg", [x])[0], "y", "float32", [2])
    graph.output(graph.node("Neg", [graph.node("Identity", [x])[0]])[0], "z", "float32", [2])
    changed = followed(graph.model({"": 17}), "Neg", by="Abs")
    session = onnxruntime.InferenceSession(changed, providers=["CPUExecutionProvider"])
    for output in session.run(None, {"x": np.array([1, -2], np.float32)}):
        np.testing.assert_array_equal(output, [1, 2])


def test_a_file_without_the_operator_stays_as_it_is() -> None:
    file = silero_path().read_bytes()
    assert followed(file, "Softmax", by="Abs") == file
