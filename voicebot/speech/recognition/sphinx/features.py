"""Telephone speech as the features of an acoustic model, computed here so that a model of wideband speech can use them.

The front end is that of the Sphinx trainer, with the parameters that every model carries in ``feat.params``: windows of
25 ms every 10 ms, a mel filter bank, logarithm, cosine transform. Two things are different. The model's filters above
4 kHz hear nothing on a telephone; here they say the same at every moment, and `telephone_transform` makes the model
expect just that, so that nothing has to be invented for the missing half of the spectrum. And the mean that is taken
off, which removes what the line does to the sound, is that of this utterance's speech, from its first
0.6 s on: a mean over the pauses too, or over other callers, costs one order in ten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voicebot.errors import EngineUnavailable

Floats = npt.NDArray[np.float64]

RATE_HZ = 8000
CEPSTRA = 13
_HOP = RATE_HZ // 100
_FFT = 256
_HIGHEST_HZ = RATE_HZ / 2
_PRE_EMPHASIS = 0.97
#: Energies below this are digital silence, in units of squared 16-bit samples.
_LEAST_ENERGY = 1.0
#: Cepstra wait for as much audio as this before the first are handed out with the mean of what there is.
_FIRST_FRAMES = 60
#: The mean is that of the last ten seconds.
_REMEMBERED_FRAMES = 1000
#: In natural logarithms of energy: 52 dB.
_FLOOR_BELOW_LOUDEST = 12.0
#: What is taken for noise, how much of it is subtracted, and the gain that is left where there is nothing else.
_NOISE_PERCENTILE = 30
_SUBTRACTED = 1.5
_LEAST_GAIN = 0.15
#: Frames this near to speech count as speech: soft beginnings and ends, and the short pauses within.
_AROUND_SPEECH_FRAMES = 12


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """How a model's features are made from 8 kHz audio.

    `filters` is (frequency bins, bands), on power spectra; `cosines` is (cepstra, bands), on log energies. The last
    `deaf_bands` lie above what a telephone carries. `rate_hz` is that of the speech the model was trained on.
    """

    rate_hz: int
    window: Floats
    remove_dc: bool
    filters: Floats
    cosines: Floats
    lifter: Floats
    deaf_bands: int

    @classmethod
    def of(cls, directory: Path) -> FrontEnd:
        """Read a model's ``feat.params``; `EngineUnavailable` if there are none, or they ask for something else."""
        parameters = read_parameters(directory)
        try:
            return cls._from(parameters)
        except ValueError as error:
            raise EngineUnavailable(f"{directory / 'feat.params'}: {error}") from error

    @classmethod
    def _from(cls, parameters: Mapping[str, str]) -> FrontEnd:
        if parameters.get("-transform", "legacy") != "dct":
            raise ValueError("only models with `-transform dct` can be used.")
        bands = int(parameters.get("-nfilt", "40"))
        upper_hz = float(parameters.get("-upperf", "6855.4976"))
        rate_hz = 16000 if upper_hz > _HIGHEST_HZ else RATE_HZ
        # The trainer rounds the filters' corners to the bins of its own transform, which has 512 or 256 of them.
        corners = _mel_corners(bands, float(parameters.get("-lowerf", "133.33334")), upper_hz)
        if parameters.get("-round_filters", "yes") == "yes":
            corners = np.rint(corners / _BIN_HZ) * _BIN_HZ
        heard = int(np.count_nonzero((corners[:-2] + corners[2:]) / 2 < _HIGHEST_HZ))
        return cls(
            rate_hz=rate_hz,
            window=np.hamming(round(float(parameters.get("-wlen", "0.025625")) * RATE_HZ)),
            remove_dc=parameters.get("-remove_dc", "no") == "yes",
            filters=_filters(corners) * _pre_emphasis(rate_hz),
            cosines=_cosines(bands),
            lifter=_lifter(int(parameters.get("-lifter", "0"))),
            deaf_bands=bands - heard,
        )

    @property
    def telephone_transform(self) -> Floats | None:
        """Return the matrix (cepstra, cepstra) that takes the model's means to telephone speech; None if they are it.

        A mean of cepstra is a smooth log spectrum. What it says of the bands that a telephone lacks is taken out, and
        the rest is made cepstra again. Differences over time follow the same rule, and the offset goes with the mean
        of the utterance.
        """
        if not self.deaf_bands:
            return None
        heard = np.ones(self.cosines.shape[1])
        heard[-self.deaf_bands :] = 0.0
        matrix: Floats = (self.lifter[:, None] * self.cosines * heard) @ (self.cosines.T / self.lifter)
        return matrix

    def log_energies(self, samples: npt.NDArray[np.float32]) -> Floats:
        """Return (frames, bands) of as many whole windows as `samples` have; the deaf bands are not set yet."""
        windows = np.lib.stride_tricks.sliding_window_view(samples, self.window.size)[::_HOP].astype(np.float64)
        if self.remove_dc:
            windows = windows - windows.mean(axis=1, keepdims=True)
        power = np.abs(np.fft.rfft(windows * self.window, _FFT, axis=1)) ** 2
        energies: Floats = np.log(np.maximum(power @ self.filters, _LEAST_ENERGY))
        return energies

    def cepstra(self, log_energies: Floats) -> Floats:
        """Return (frames, cepstra); what the deaf bands hold is the same everywhere and so goes with the mean."""
        heard = log_energies.copy()
        if self.deaf_bands:
            heard[:, -self.deaf_bands :] = 0.0
        return heard @ self.cosines.T * self.lifter


class FeatureStream:
    """The features of one utterance: 8 kHz PCM in, cepstra in the decoder's form out."""

    def __init__(self, front_end: FrontEnd) -> None:
        self._front_end = front_end
        self._samples = np.zeros(0, dtype=np.float32)
        self._energies = np.zeros((0, front_end.cosines.shape[1]))
        self._new = 0
        self._held_back = True

    def feed(self, pcm: bytes) -> bytes:
        """Take 16-bit samples and return the cepstra that are ready, 32-bit floats in rows; often none."""
        self._samples = np.concatenate([self._samples, np.frombuffer(pcm, dtype=np.int16).astype(np.float32)])
        if len(self._samples) < self._front_end.window.size:
            return b""
        energies = self._front_end.log_energies(self._samples)
        self._samples = self._samples[len(energies) * _HOP :]
        self._energies = np.concatenate([self._energies, energies])
        self._new += len(energies)
        self._held_back = self._held_back and len(self._energies) < _FIRST_FRAMES
        return b"" if self._held_back else self._ready()

    def finish(self) -> bytes:
        """Return what `feed` still held back."""
        return self._ready()

    def _ready(self) -> bytes:
        if not self._new:
            return b""
        self._energies = self._energies[-max(_REMEMBERED_FRAMES, self._new) :]
        clean = without_noise(self._energies)
        cepstra = self._front_end.cepstra(over_floor(clean, self._front_end.deaf_bands))
        mean = cepstra[speech_frames(clean)].mean(axis=0)
        ready: npt.NDArray[np.float32] = (cepstra[-self._new :] - mean).astype(np.float32)
        self._new = 0
        return ready.tobytes()


def without_noise(energies: Floats) -> Floats:
    """Return log energies less what is always there, band by band (Boll 1979, over filters instead of bins).

    The noise of a band is what 30 % of its smoothed frames do not exceed. A little of it stays, or its rests would
    sound like speech of their own.
    """
    smooth = _smoothed(np.exp(energies))
    noise = np.percentile(smooth, _NOISE_PERCENTILE, axis=0)
    kept = np.clip(1.0 - _SUBTRACTED * noise / smooth, _LEAST_GAIN, 1.0)
    cleaned: Floats = np.maximum(energies + np.log(kept), np.log(_LEAST_ENERGY))
    return cleaned


def _smoothed(power: Floats) -> Floats:
    """Return each frame's mean with its two neighbours on either side, the outermost repeated."""
    padded = np.pad(power, ((2, 2), (0, 0)), mode="edge")
    sums = np.cumsum(np.vstack([np.zeros((1, power.shape[1])), padded]), axis=0)
    smooth: Floats = np.maximum((sums[5:] - sums[:-5]) / 5, _LEAST_ENERGY)
    return smooth


def over_floor(energies: Floats, deaf_bands: int) -> Floats:
    """Return log energies with a noise added that is as far below the loudest sounds as a model is used to.

    Quantisation by mu-law and the silence that codecs insert make valleys that no recording room has; a logarithm
    makes much of them.
    """
    heard = energies[:, : energies.shape[1] - deaf_bands]
    floored: Floats = np.logaddexp(energies, np.percentile(heard, 99) - _FLOOR_BELOW_LOUDEST)
    return floored


def speech_frames(energies: Floats) -> npt.NDArray[np.bool_]:
    """Say of each frame whether it is speech or next to it, by its loudness among the others."""
    loudness = energies[:, 2:18].mean(axis=1)
    quietest, loudest = np.percentile(loudness, (5, 97))
    loud = loudness > max(quietest + 0.3 * (loudest - quietest), loudest - 6.0)
    near = np.convolve(loud, np.ones(2 * _AROUND_SPEECH_FRAMES + 1), "same")[: len(loud)] > 0
    return near if near.any() else np.ones(len(loud), dtype=np.bool_)


def read_parameters(directory: Path) -> Mapping[str, str]:
    """Return a model's ``feat.params``; `EngineUnavailable` if it has none."""
    try:
        lines = (directory / "feat.params").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EngineUnavailable(f"{directory} holds no acoustic model: feat.params cannot be read.") from error
    return dict(line.split()[:2] for line in lines if len(line.split()) > 1)


def parameters_for_ready_features(parameters: Mapping[str, str]) -> str:
    """Return ``feat.params`` for a decoder that is given cepstra whose mean was taken off."""
    return "".join(f"{name} {value}\n" for name, value in {**parameters, "-cmn": "none"}.items())


def regression_text(matrix: Floats, streams: int = 3) -> str:
    """Return `matrix` in the text form that Sphinx reads regression matrices in, the same for every feature stream."""
    zeros, ones = " ".join(["0"] * len(matrix)), " ".join(["1"] * len(matrix))
    rows = [" ".join(f"{value:.7g}" for value in row) for row in matrix]
    return "\n".join(["1", str(streams), *([str(len(matrix)), *rows, zeros, ones] * streams), ""])


_BIN_HZ = RATE_HZ / _FFT


def _mel_corners(bands: int, lower_hz: float, upper_hz: float) -> Floats:
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (lower_hz, upper_hz))
    corners: Floats = 700 * (10 ** (np.linspace(low, high, bands + 2) / 2595) - 1)
    return corners


def _filters(corners: Floats) -> Floats:
    """Return triangles of unit area between the corners."""
    bins = np.arange(_FFT // 2 + 1)[:, None] * _BIN_HZ
    left, middle, right = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (bins - left) / (middle - left), (right - bins) / (right - middle)
    triangles: Floats = np.maximum(0.0, np.minimum(rising, falling)) * 2 / (right - left)
    return triangles


def _pre_emphasis(rate_hz: int) -> Floats:
    """Return the pre-emphasis of the model's own rate, as a gain of power for each bin."""
    turns = np.arange(_FFT // 2 + 1)[:, None] * _BIN_HZ / rate_hz
    gain: Floats = np.abs(1 - _PRE_EMPHASIS * np.exp(-2j * np.pi * turns)) ** 2
    return gain


def _cosines(bands: int) -> Floats:
    order = np.arange(CEPSTRA)[:, None]
    cosines: Floats = np.cos(np.pi * order * (np.arange(bands) + 0.5) / bands) * np.sqrt(2 / bands)
    cosines[0] *= np.sqrt(0.5)
    return cosines


def _lifter(length: int) -> Floats:
    if not length:
        return np.ones(CEPSTRA)
    weights: Floats = 1 + length / 2 * np.sin(np.arange(CEPSTRA) * np.pi / length)
    return weights
