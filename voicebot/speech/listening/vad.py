"""Voice activity: whether the caller's voice is in these 20 ms.

Three judges, cheapest first. The level against an adaptive noise floor and webrtcvad decide whether there is anything
worth asking about; only then Silero is asked, which knows voices from coughs, bangs, music and hiss.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import webrtcvad

if TYPE_CHECKING:
    # The runtime behind the models takes a while to load, which whoever only looks at frames should not pay.
    from voicebot.speech.listening.models import Floats

SAMPLE_RATE_HZ = 8000
FRAME_MS = 20
FRAME_SAMPLES = SAMPLE_RATE_HZ * FRAME_MS // 1000
#: What digital silence reads as: below the smallest step of 16 bits.
SILENCE_DBFS = -96.0

#: Over recorded orders nine in ten begin with this much three frames after their first sound.
_HINT_PROBABILITY = 0.15
#: Samples are scaled to -1 to 1: a power of two, so that nothing is rounded.
_SCALE = np.float32(1.0 / 32768.0)
_SILENCE_POWER = 10 ** (SILENCE_DBFS / 10)


@dataclass(frozen=True, slots=True)
class Activity:
    """One frame judged. `speech` is about this frame alone: who needs hangover counts frames since the last one.

    `probability` is 0 to 1 and 0.0 where nothing worth asking about was heard. `sound` says that there is more than the
    line's noise, whatever it is: a voice is sound for a while before it is known as one. `echo` says that the voice is
    our own prompt's (see `echo.EchoGuard`), so that `speech` is not set.
    """

    speech: bool
    probability: float
    level_dbfs: float
    noise_floor_dbfs: float
    sound: bool = False
    echo: bool = False

    @property
    def hint(self) -> bool:
        """Whether this may be the beginning of a voice: most are soft, and known as voices only 60 ms later."""
        return self.sound and not self.echo and self.probability >= _HINT_PROBABILITY


class VoiceJudge(Protocol):
    """What tells voices from other sounds; `models.SpeechModel` is one.

    A window is at least as long as a frame, and the judge's to look at only until it answers.
    """

    WINDOW_SAMPLES: int

    def probability(self, window: Floats) -> float: ...

    def forget(self) -> None: ...


class NoiseFloor:
    """The line's level when nobody speaks: the quietest moment of the last two seconds, which speech always has.

    It follows a new steady noise within two seconds and a fall at once. Frames of digital silence are no noise (a
    carrier sends them in place of lost or suppressed audio), so they are not counted.
    """

    _LOWEST_DBFS = -75.0
    #: What is believed of a line before it was heard, and at most while a caller may be speaking from the first frame.
    _FIRST_GUESS_DBFS = -70.0
    _HIGHEST_AT_FIRST_DBFS = -50.0
    _BLOCK_FRAMES = 25
    _BLOCKS = 4
    #: The minimum of a smoothed noise lies below its mean by about this much.
    _BIAS_DB = 2.0

    def __init__(self) -> None:
        self._smoothed_dbfs: float | None = None
        self._block_dbfs = 0.0
        self._frames = 0
        self._blocks: deque[float] = deque(maxlen=self._BLOCKS)
        self.dbfs = self._FIRST_GUESS_DBFS

    def feed(self, level_dbfs: float) -> float:
        """Take the level of the next frame and return the floor, both in dBFS."""
        if level_dbfs <= SILENCE_DBFS + 6.0:
            return self.dbfs
        previous_dbfs = level_dbfs if self._smoothed_dbfs is None else self._smoothed_dbfs
        self._smoothed_dbfs = previous_dbfs + 0.4 * (level_dbfs - previous_dbfs)
        self._block_dbfs = min(self._block_dbfs, self._smoothed_dbfs)
        self._frames += 1
        quietest_dbfs = min(self._block_dbfs, *self._blocks) if self._blocks else self._block_dbfs
        highest_dbfs = 0.0 if len(self._blocks) == self._BLOCKS else self._HIGHEST_AT_FIRST_DBFS
        self.dbfs = max(self._LOWEST_DBFS, min(quietest_dbfs + self._BIAS_DB, highest_dbfs))
        if self._frames == self._BLOCK_FRAMES:
            self._blocks.append(self._block_dbfs)
            self._block_dbfs = self._smoothed_dbfs
            self._frames = 0
        return self.dbfs


class VoiceActivity:
    """One caller's voice activity, fed 20 ms at a time; `judge` belongs to this call alone.

    Without a judge webrtcvad decides: it works, but hears coughs, keys and music as voices.
    """

    #: Sound below the floor by this margin is not worth asking about. Speech at 10 dB above noise still dips to it.
    _MARGIN_DB = 4.0
    #: Nobody on a telephone is this quiet; whatever it is, a recogniser could not use it.
    _INAUDIBLE_DBFS = -62.0
    _ENTER = 0.4
    _STAY = 0.3
    #: The judge goes on listening for so long after the last sound, since it needs the run of speech.
    _HOLD_FRAMES = 25
    #: And hears so much of what came before: a soft beginning is below the gate, and without it the judge is slow.
    _LEAD_FRAMES = 20

    def __init__(self, judge: VoiceJudge | None) -> None:
        self._judge = judge
        # Mode 1 as a gate lets every voice through; mode 3 as the only judge lets the fewest other sounds through.
        self._gate = webrtcvad.Vad(3 if judge is None else 1)
        self._floor = NoiseFloor()
        self._recent: deque[Floats] = deque(maxlen=self._LEAD_FRAMES)
        #: What is heard of the judge's next window, which is longer than a frame.
        self._waiting = np.zeros(0 if judge is None else judge.WINDOW_SAMPLES + FRAME_SAMPLES, dtype=np.float32)
        self._waiting_samples = 0
        self._hold = 0
        self._probability = 0.0
        self._speech = False

    def feed(self, pcm: bytes) -> Activity:
        """Judge the next 20 ms: 160 samples, signed 16-bit little-endian. Lost frames are fed as zeros."""
        if len(pcm) != 2 * FRAME_SAMPLES:
            raise ValueError(f"a frame is {2 * FRAME_SAMPLES} bytes, not {len(pcm)}")
        samples = np.frombuffer(pcm, dtype="<i2") * _SCALE
        level_dbfs = 10.0 * math.log10(max(float(samples @ samples) / FRAME_SAMPLES, _SILENCE_POWER))
        floor_dbfs = self._floor.feed(level_dbfs)
        loud = level_dbfs > max(floor_dbfs + self._MARGIN_DB, self._INAUDIBLE_DBFS)
        sounds = loud and bool(self._gate.is_speech(pcm, SAMPLE_RATE_HZ))
        if self._judge is None:
            self._probability = 1.0 if sounds else 0.0
        else:
            self._ask(self._judge, samples, sounds=sounds)
        self._speech = loud and self._probability >= (self._STAY if self._speech else self._ENTER)
        return Activity(self._speech, self._probability, level_dbfs, floor_dbfs, sound=sounds)

    def _ask(self, judge: VoiceJudge, samples: Floats, *, sounds: bool) -> None:
        if self._hold == 0:
            if not sounds:
                self._recent.append(samples)
                self._probability = 0.0
                return
            judge.forget()
            self._waiting_samples = 0
            for lead in self._recent:
                self._hear(judge, lead)
            self._recent.clear()
            self._hold = self._HOLD_FRAMES
        else:
            self._hold = self._HOLD_FRAMES if sounds or self._probability >= self._STAY else self._hold - 1
        self._hear(judge, samples)

    def _hear(self, judge: VoiceJudge, samples: Floats) -> None:
        """Ask about a window once it is full; what is over waits for the next."""
        waiting, window = self._waiting, judge.WINDOW_SAMPLES
        waiting[self._waiting_samples : self._waiting_samples + FRAME_SAMPLES] = samples
        self._waiting_samples += FRAME_SAMPLES
        if self._waiting_samples >= window:
            self._probability = judge.probability(waiting[:window])
            self._waiting_samples -= window
            waiting[: self._waiting_samples] = waiting[window : window + self._waiting_samples]
