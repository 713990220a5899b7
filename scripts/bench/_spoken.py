"""Recorded speech to measure turn taking with, labelled by construction, and voices made on this machine.

Where a recording's speech begins and ends is measured off line on the clean recording, by its energy, looking both
ways; a recording where the speech model, off line too, sees another end by over a quarter of a second is left out and
counted, since then nobody knows the truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voicebot import g711
from voicebot.errors import EngineUnavailable
from voicebot.simulation.sounds import Wave, wave_of
from voicebot.speech.listening.models import SpeechModel
from voicebot.speech.synthesis.speaker import Speaker
from voicebot.speech.synthesis.voices import load_speaker
from voicebot.speech.tts import Voice
from voicebot.wav import read_mulaw_wav

RATE_HZ = 8000
_HOP = 80
_LABELS_DIFFER_MS = 250
VOICES = (
    Voice("flite", "rms"),
    Voice("flite", "slt"),
    Voice("flite", "awb"),
    Voice("espeak", "en-us"),
    Voice("espeak", "en-us+f2"),
    Voice("espeak", "en-us+m3"),
    Voice("espeak", "en-us+klatt5"),
)


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording with the samples where its speech begins and ends."""

    name: str
    wave: Wave
    start: int
    end: int

    @property
    def speech(self) -> Wave:
        return self.wave[self.start : self.end]

    def background(self, length: int, rng: np.random.Generator) -> Wave:
        """Return `length` samples of what the line sounds like around the speech."""
        quiet = np.concatenate([self.wave[400 : max(400, self.start - 800)], self.wave[self.end + 2400 : -400]])
        if quiet.size < 1600:
            return np.zeros(length)
        offset = int(rng.integers(quiet.size))
        return np.tile(quiet, length // quiet.size + 2)[offset : offset + length]


def recordings(folder: Path, *, first: int = 0, share: int = 1) -> tuple[list[Recording], int]:
    """Return the labelled recordings of a folder, sorted by name, and how many were left out.

    Only every `share`-th is looked at, beginning with the one numbered `first`.
    """
    labelled: list[Recording] = []
    left_out = 0
    for path in sorted(folder.glob("*.wav"))[first::share]:
        wave = wave_of(g711.decode(read_mulaw_wav(path)))
        spans = speech_spans(wave)
        seen = _seen_by_model(wave)
        if not spans or seen is None or not _agree((spans[0][0], spans[-1][1]), seen):
            left_out += 1
        else:
            labelled.append(Recording(path.name, wave, spans[0][0], spans[-1][1]))
    return labelled, left_out


def speech_spans(wave: Wave) -> list[tuple[int, int]]:
    """Return the stretches of sound, in samples: over the noise by 10 dB and no more than 32 dB under the loudest."""
    power = (wave[: wave.size // _HOP * _HOP].reshape(-1, _HOP) ** 2).mean(axis=1)
    level_db = 10 * np.log10(np.convolve(power, np.ones(3) / 3, "same") / 32768.0**2 + 1e-10)
    least_db = max(np.percentile(level_db, 10) + 10, np.percentile(level_db, 97) - 32)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], level_db > least_db, [False]]).astype(int)))
    spans = edges.reshape(-1, 2) * _HOP
    return [(int(start), int(end)) for start, end in spans if end - start >= 4 * _HOP]


def _seen_by_model(wave: Wave) -> tuple[int, int] | None:
    model = SpeechModel()
    size = SpeechModel.WINDOW_SAMPLES
    windows = (wave[: wave.size // size * size].reshape(-1, size) / 32768.0).astype(np.float32)
    speech = np.flatnonzero([model.probability(window) > 0.5 for window in windows])
    return (int(speech[0]) * size, int(speech[-1] + 1) * size) if speech.size else None


def _agree(ours: tuple[int, int], theirs: tuple[int, int]) -> bool:
    furthest = max(abs(mine - other) for mine, other in zip(ours, theirs, strict=True))
    return furthest * 1000 / RATE_HZ <= _LABELS_DIFFER_MS


def with_pause(recording: Recording, pause_ms: float, rng: np.random.Generator) -> Recording:
    """Return the recording with a pause put in where it is softest, in the middle half of its speech."""
    length = recording.end - recording.start
    first, last = recording.start + length // 4, recording.start + 3 * length // 4
    power = np.convolve(recording.wave**2, np.ones(480) / 480, "same")
    cut = first + int(np.argmin(power[first:last]))
    pause = recording.background(round(pause_ms * RATE_HZ / 1000), rng)
    wave = np.concatenate([recording.wave[:cut], pause, recording.wave[cut:]])
    return Recording(recording.name, wave, recording.start, recording.end + pause.size)


def joined(digits: Sequence[Wave], gaps_ms: Sequence[float], rng: np.random.Generator) -> Recording:
    """Return digits spoken one after another, each followed by its gap (the last one's is ignored), on a quiet line."""
    parts = [rng.standard_normal(RATE_HZ) * 6]
    for digit, gap_ms in zip(digits, gaps_ms, strict=True):
        parts += [digit, rng.standard_normal(round(gap_ms * RATE_HZ / 1000)) * 6]
    parts[-1] = rng.standard_normal(3 * RATE_HZ) * 6
    wave = np.concatenate(parts)
    return Recording("digits", wave, RATE_HZ, wave.size - 3 * RATE_HZ)


def spoken(texts: Sequence[str], *, longest_ms: float = math.inf) -> Iterator[tuple[str, Wave]]:
    """Yield each text in each voice of this machine, named, without the silence around it.

    What takes longer than `longest_ms` is spoken faster, as fast as that voice can if need be.
    """
    for voice in VOICES:
        try:
            speaker = load_speaker(voice, None)
        except EngineUnavailable:
            continue
        for text in texts:
            wave = _cut_out(speaker, text, 1.0)
            if wave.size > longest_ms * RATE_HZ / 1000:
                wave = _cut_out(speaker, text, wave.size / (longest_ms * RATE_HZ / 1000))
            yield f"{text} ({voice.engine} {voice.name})", wave


def _cut_out(speaker: Speaker, text: str, speed: float) -> Wave:
    wave = wave_of(g711.decode(speaker.speak_mulaw(text, speed)))
    loud = np.flatnonzero(np.abs(wave) > 0.03 * np.abs(wave).max())
    return wave[loud[0] : loud[-1] + 1]
