"""How loud each lane of a recording is over its length: what a page draws, without fetching the audio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from voicebot.g711 import Pcm

#: Points over the whole recording: more than a screen is wide.
POINTS = 4000


@dataclass(frozen=True, slots=True)
class Waveform:
    """The greatest level of each of many equally long stretches, for each lane by name.

    0 is silence and 100 full scale; in between by its square root, since what a telephone carries is quiet.
    """

    duration_ms: int
    lanes: Mapping[str, tuple[int, ...]]


_WAVEFORM = TypeAdapter(Waveform)


def waveform_of(samples: Pcm, *, rate_hz: int = 8000, names: tuple[str, ...] = ("caller", "bot")) -> Waveform:
    """Measure `samples`, int16 of shape (frames, lanes)."""
    duration_ms = round(len(samples) * 1000 / rate_hz)
    if not len(samples):
        return Waveform(0, dict.fromkeys(names, ()))
    points = min(POINTS, len(samples))
    bounds = np.linspace(0, len(samples), points, endpoint=False).astype(int)
    levels = np.sqrt(np.maximum.reduceat(np.abs(samples.astype(np.int32)), bounds, axis=0) / 32768)
    peaks: npt.NDArray[np.int_] = np.ceil(levels * 100).astype(int)
    return Waveform(duration_ms, {name: tuple(peaks[:, lane].tolist()) for lane, name in enumerate(names)})


def to_json(waveform: Waveform) -> bytes:
    return _WAVEFORM.dump_json(waveform)
