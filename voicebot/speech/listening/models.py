"""The two ONNX models inside pipecat's wheel, changed so that they take less time: pipecat is never imported here.

One session a process serves every call: onnxruntime sessions may be run from several threads, and what a model
remembers of one caller is that caller's own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import onnxruntime
import soxr

from voicebot import g711
from voicebot.errors import EngineUnavailable
from voicebot.onnx_file import followed
from voicebot.speech.listening import silero

_DISTRIBUTION = "pipecat-ai"
_SILERO_FILE = "pipecat/audio/vad/data/silero_vad.onnx"
_TURN_FOLDER = "pipecat/audio/turn/smart_turn/data"
_TURN_PATTERN = "smart-turn-v3*.onnx"

Floats = npt.NDArray[np.float32]


def silero_path() -> Path:
    """Return where the Silero voice activity model lies; `EngineUnavailable` when the wheel is not installed."""
    path = _in_wheel(_SILERO_FILE)
    if not path.is_file():
        raise EngineUnavailable(f"{path.name} is not in {_DISTRIBUTION}; install the version from the lock.")
    return path


def end_of_turn_path() -> Path:
    """Return where the smart-turn v3 model lies; `EngineUnavailable` when the wheel is not installed."""
    found = sorted(_in_wheel(_TURN_FOLDER).glob(_TURN_PATTERN))
    if not found:
        raise EngineUnavailable(f"No {_TURN_PATTERN} in {_DISTRIBUTION}; install the version from the lock.")
    return found[-1]


def _in_wheel(relative: str) -> Path:
    try:
        distribution = metadata.distribution(_DISTRIBUTION)
    except metadata.PackageNotFoundError as error:
        raise EngineUnavailable(f"{_DISTRIBUTION} is not installed; run scripts/setup.") from error
    return Path(str(distribution.locate_file(relative)))


def _open(published: Path, change: Callable[[bytes], bytes]) -> onnxruntime.InferenceSession:
    """Return a session for the file as `change` leaves it; `EngineUnavailable` where that finds another network."""
    # One thread: a frame's work is far too small to share out, and spinning helper threads would rob other calls.
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    try:
        model = change(published.read_bytes())
        return onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no base of their own
        what = f"{published.name} is damaged or holds another network"
        raise EngineUnavailable(f"{what}; install {_DISTRIBUTION} of the lock.") from error


@functools.cache
def _silero_session() -> onnxruntime.InferenceSession:
    return _open(silero_path(), silero.network)


@functools.cache
def _end_of_turn_session() -> onnxruntime.InferenceSession:
    # Where a softmax stands between quantised tensors, onnxruntime computes it one number at a time, which takes a
    # third of each question; what is never negative stays as it is.
    return _open(end_of_turn_path(), functools.partial(followed, op="Softmax", by="Abs"))


class SpeechModel:
    """Silero at 8 kHz, one object a call: the probability of speech in each window of 256 samples (32 ms).

    It remembers about the last second, and noise or music before speech makes it slow to hear that speech, so
    `forget` is called when something new begins.
    """

    WINDOW_SAMPLES = 256
    #: Of the window before, so much is heard again.
    _CONTEXT_SAMPLES = 32
    #: So far the spectrum's last frame reaches beyond the window, whose end is mirrored there.
    _MIRRORED_SAMPLES = 32

    def __init__(self) -> None:
        self._session = _silero_session()
        self._samples = np.zeros(self._CONTEXT_SAMPLES + self.WINDOW_SAMPLES + self._MIRRORED_SAMPLES, dtype=np.float32)
        sliding = np.lib.stride_tricks.sliding_window_view(self._samples, silero.FRAME_SAMPLES)
        self._overlapping = sliding[:: silero.FRAME_SAMPLES // 2]
        self._frames = np.zeros((silero.FRAMES, silero.FRAME_SAMPLES), dtype=np.float32)
        self._state = np.zeros((2, silero.STATE), dtype=np.float32)
        self._next_state = np.zeros_like(self._state)
        self._probability = np.zeros((1, 1), dtype=np.float32)
        # The same memory for every run: handing arrays in and out of each would cost a sixth as much as the run.
        self._bound = self._session.io_binding()
        for bind, name, values in (
            (self._bound.bind_input, "frames", self._frames),
            (self._bound.bind_input, "state", self._state),
            (self._bound.bind_output, "probability", self._probability),
            (self._bound.bind_output, "next_state", self._next_state),
        ):
            bind(name, "cpu", 0, np.float32, values.shape, values.ctypes.data)

    def forget(self) -> None:
        """Begin anew, as if nothing had been heard."""
        self._state[:] = 0.0
        self._samples[:] = 0.0

    def probability(self, window: Floats) -> float:
        """Return 0 to 1 for the next `WINDOW_SAMPLES` samples, scaled to -1 to 1."""
        samples, context, end = self._samples, self._CONTEXT_SAMPLES, self._CONTEXT_SAMPLES + self.WINDOW_SAMPLES
        samples[:context] = samples[end - context : end]
        samples[context:end] = window
        samples[end:] = samples[end - 2 : end - 2 - self._MIRRORED_SAMPLES : -1]
        self._frames[:] = self._overlapping
        self._session.run_with_iobinding(self._bound)
        self._state[:] = self._next_state
        return float(self._probability[0, 0])


class EndOfTurnModel:
    """smart-turn v3: does this sound like somebody who has finished? About 30 ms a question, so never inline.

    It hears how it was said (pitch, tempo, breath), not the words.
    """

    _RATE_HZ = 16000
    _SAMPLES = 8 * _RATE_HZ

    def __init__(self) -> None:
        self._session = _end_of_turn_session()

    def probability(self, pcm: g711.Pcm) -> float:
        """Return 0 to 1 for an utterance with the silence after it, int16 at 8 kHz; only its last 8 s count."""
        if not pcm.size:
            raise ValueError("an utterance has at least one sample")
        # Upsampled in one piece: a streaming resampler would hold back the very end, which matters most here.
        recent = pcm[-self._SAMPLES // 2 :].astype(np.float32) / 32768.0
        speech = cast("Floats", soxr.resample(recent, 8000, self._RATE_HZ, quality="HQ"))
        padded = np.zeros(self._SAMPLES, dtype=np.float32)
        padded[self._SAMPLES - speech.size :] = speech
        features = log_mel(padded)[np.newaxis]
        (probability,) = cast("Sequence[Floats]", self._session.run(None, {"input_features": features}))
        return float(probability.reshape(-1)[0])


_FFT_SAMPLES = 400
_HOP_SAMPLES = 160
_MEL_BANDS = 80


def log_mel(audio: Floats) -> Floats:
    """Return the (80, n // 160) features that Whisper-like models take, for `audio` at 16 kHz, -1 to 1.

    The waveform is scaled to unit variance, cut into Hann windows of 25 ms every 10 ms (the ends mirrored), its power
    gathered in Slaney's mel bands, and the logarithm held within 8 decades of the loudest (Radford et al. 2022, 2.2).
    """
    scaled = (audio - audio.mean()) / np.sqrt(audio.var() + 1e-7)
    mirrored = np.pad(scaled, _FFT_SAMPLES // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(mirrored, _FFT_SAMPLES)[:-1:_HOP_SAMPLES]
    # Most utterances are far shorter than what the model hears: the frames of the silence in front are all alike.
    alike = max(0, (int(np.argmax(audio != 0.0)) - _FFT_SAMPLES // 2) // _HOP_SAMPLES)
    spectrum = np.fft.rfft(frames[alike:] * _hann(), axis=-1)
    power = spectrum.real**2 + spectrum.imag**2
    bands = np.log10(np.maximum(power @ _mel_filters(), 1e-10)).T
    bands = np.concatenate([np.repeat(bands[:, :1], alike, axis=1), bands], axis=1)
    features: Floats = ((np.maximum(bands, bands.max() - 8.0) + 4.0) / 4.0).astype(np.float32)
    return features


@functools.cache
def _hann() -> npt.NDArray[np.float64]:
    return np.hanning(_FFT_SAMPLES + 1)[:-1]


@functools.cache
def _mel_filters() -> npt.NDArray[np.float64]:
    """Return (201, 80) triangles of equal area on Slaney's scale: linear below 1 kHz, logarithmic above."""
    step = np.log(6.4) / 27.0
    top = 15.0 + np.log(8000.0 / 1000.0) / step
    mels = np.linspace(0.0, top, _MEL_BANDS + 2)
    corners = np.where(mels < 15.0, mels * 200.0 / 3.0, 1000.0 * np.exp((mels - 15.0) * step))
    bins = np.linspace(0.0, 8000.0, _FFT_SAMPLES // 2 + 1)[:, np.newaxis]
    rising = (bins - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - bins) / (corners[2:] - corners[1:-1])
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    filters: npt.NDArray[np.float64] = triangles * (2.0 / (corners[2:] - corners[:-2]))
    return filters
