"""The models in pipecat's wheel, opened without pipecat, against pipecat's own code."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Never

import numpy as np
import onnxruntime
import pytest
import soxr
from pipecat.audio.turn.smart_turn._whisper_features import compute_whisper_log_mel_features
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.audio.vad.silero import SileroOnnxModel

from tests.speech.listening.sounds import line, voice
from voicebot.errors import EngineUnavailable
from voicebot.g711 import Pcm
from voicebot.onnx_file import Graph
from voicebot.simulation.sounds import silence
from voicebot.speech.listening import models
from voicebot.speech.listening.models import EndOfTurnModel, SpeechModel, end_of_turn_path, log_mel, silero_path


@pytest.fixture(scope="module")
def analyzer() -> LocalSmartTurnAnalyzerV3:
    analyzer = LocalSmartTurnAnalyzerV3(sample_rate=8000)
    analyzer.set_sample_rate(8000)
    return analyzer


def utterance(text: str) -> Pcm:
    return line(np.concatenate([silence(300), voice(text), silence(200)]))


@pytest.fixture(scope="module")
def exact() -> onnxruntime.InferenceSession:
    """Return the model as its file says: quantised tensors, but arithmetic between them that is not."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(end_of_turn_path(), sess_options=options, providers=["CPUExecutionProvider"])


def test_the_end_of_turn_probability_is_as_near_to_the_models_as_what_pipecat_computes(
    analyzer: LocalSmartTurnAnalyzerV3, exact: onnxruntime.InferenceSession
) -> None:
    texts = ("yes", "no", "I would like to know my balance", "my order number is", "I want a", "at half past", "and")
    ours, theirs = [], []
    for text in texts:
        pcm = utterance(text)
        samples = soxr.resample(pcm.astype(np.float32) / 32768.0, 8000, 16000, quality="HQ")
        features = log_mel(np.concatenate([np.zeros(128000 - samples.size, dtype=np.float32), samples]))
        answer = float(exact.run(None, {"input_features": features[np.newaxis]})[0].item())
        ours.append(abs(EndOfTurnModel().probability(pcm) - answer))
        theirs.append(abs(analyzer._predict_endpoint(pcm.astype(np.float32) / 32768.0)["probability"] - answer))
    assert max(ours) < 0.1
    assert np.mean(ours) < np.mean(theirs) + 0.01


def test_no_softmax_is_computed_number_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    optimised = tmp_path / "optimised.onnx"

    def options() -> onnxruntime.SessionOptions:
        made = make()
        made.optimized_model_filepath = str(optimised)
        return made

    make = onnxruntime.SessionOptions
    monkeypatch.setattr(onnxruntime, "SessionOptions", options)
    models._end_of_turn_session.__wrapped__()
    assert b"QLinearMatMul" in optimised.read_bytes()
    assert b"QLinearSoftmax" not in optimised.read_bytes()


def test_only_the_last_eight_seconds_of_an_utterance_count() -> None:
    recent = utterance("and a large cup of tea, please")
    recent = np.concatenate([np.zeros(64000 - recent.size, dtype=np.int16), recent])
    longer = np.concatenate([utterance("something said long before"), recent])
    model = EndOfTurnModel()
    assert model.probability(longer) == pytest.approx(model.probability(recent), abs=1e-4)


def test_an_utterance_without_audio_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        EndOfTurnModel().probability(np.zeros(0, dtype=np.int16))


@pytest.mark.parametrize("silent", [0, 1, 199, 200, 359, 360, 361, 96000, 127999])
def test_the_features_are_those_of_whisper(silent: int) -> None:
    audio = (0.1 * np.random.default_rng(3).standard_normal(128000)).astype(np.float32)
    audio[:silent] = 0.0
    np.testing.assert_allclose(log_mel(audio), compute_whisper_log_mel_features(audio), atol=1e-5)


def test_silence_has_the_features_of_whisper() -> None:
    audio = np.zeros(128000, dtype=np.float32)
    np.testing.assert_allclose(log_mel(audio), compute_whisper_log_mel_features(audio), atol=1e-5)


def test_speech_probabilities_are_those_of_pipecats_silero() -> None:
    theirs = SileroOnnxModel(str(silero_path()))
    ours = SpeechModel()
    audio = utterance("what are your opening hours").astype(np.float32) / 32768.0
    for start in range(0, audio.size - 255, 256):
        window = audio[start : start + 256]
        assert ours.probability(window) == pytest.approx(float(theirs(window, 8000)[0, 0]), abs=1e-5)


def test_a_model_told_to_forget_judges_as_if_new() -> None:
    audio = utterance("thank you").astype(np.float32)[4000:6048].reshape(-1, 256) / 32768.0
    model = SpeechModel()
    first = [model.probability(window) for window in audio]
    model.forget()
    assert [model.probability(window) for window in audio] == first


def test_callers_are_judged_each_by_what_they_said() -> None:
    audio = utterance("where is my order").astype(np.float32)[:4096].reshape(-1, 256) / 32768.0
    alone = SpeechModel()
    expected = [alone.probability(window) for window in audio]
    one, other = SpeechModel(), SpeechModel()
    heard = [
        (one.probability(window), other.probability(silent)) for window, silent in zip(audio, 0.0 * audio, strict=True)
    ]
    assert [probability for probability, _ in heard] == expected
    assert max(probability for _, probability in heard) < 0.1


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(Graph("another").model({"": 17}), id="another network"),
        pytest.param(silero_path().read_bytes()[:1000], id="damaged"),
        pytest.param(silero_path().read_bytes()[:-100_000], id="cut short"),
        pytest.param(b"<!DOCTYPE html><html></html>", id="a page"),
        pytest.param(b"", id="nothing"),
    ],
)
@pytest.mark.parametrize("model", [SpeechModel, EndOfTurnModel])
def test_another_file_in_the_wheel_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: type[SpeechModel | EndOfTurnModel], content: bytes
) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(content)
    for path, session in (("silero_path", "_silero_session"), ("end_of_turn_path", "_end_of_turn_session")):
        monkeypatch.setattr(models, path, lambda: other)
        monkeypatch.setattr(models, session, getattr(models, session).__wrapped__)
    with pytest.raises(EngineUnavailable, match=r"other\.onnx is damaged or holds another network"):
        model()


def test_pipecat_itself_is_not_imported() -> None:
    code = (
        "import sys; from voicebot.speech.listening.models import EndOfTurnModel, SpeechModel; "
        "EndOfTurnModel(); SpeechModel(); sys.exit('pipecat' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_installed(name: str) -> Never:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", not_installed)
    with pytest.raises(EngineUnavailable, match="pipecat-ai is not installed"):
        silero_path()
    with pytest.raises(EngineUnavailable, match="pipecat-ai is not installed"):
        end_of_turn_path()
