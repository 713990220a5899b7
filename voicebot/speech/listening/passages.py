"""Cuts one party's talk, to which nobody listens for an answer, into passages that can be written down one by one."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from voicebot import g711
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.speech.listening.events import SpeechPaused, SpeechStarted, TurnEnded
from voicebot.speech.listening.turn import TurnDetector
from voicebot.speech.listening.vad import FRAME_SAMPLES, SAMPLE_RATE_HZ, VoiceActivity, VoiceJudge

#: What an engine hears at once, with room to spare: a longer passage is cut at a pause, or where it is.
LONGEST_S = 20.0
#: A pause sooner than this is no place to cut at.
_SHORTEST_S = 8.0
_SAMPLE_BYTES = 2
#: Audio kept so that a passage can begin before its speech was noticed.
_HISTORY_FRAMES = 50
#: Of the silence that ends a passage so much stays with it.
_TAIL_SAMPLES = SAMPLE_RATE_HZ * 3 // 10
#: Nobody is too long for people; the cut at `LONGEST_S` is ours.
_TALK = Expectation("talk", (AnswerKind.OPEN,), too_long_s=float("inf"))


@dataclass(frozen=True, slots=True)
class Passage:
    """What somebody said without a longer silence: 16-bit PCM at 8 kHz whose first sample is of `began_s`.

    `spoken_ms` is how long they spoke. `began_s` is on the clock of the frames' arrival.
    """

    pcm: bytes
    began_s: float
    spoken_ms: int


class PassageFinder:
    """One party's passages, fed 20 ms of mu-law at a time; `judge` belongs to this party alone."""

    def __init__(self, judge: VoiceJudge | None) -> None:
        self._activity = VoiceActivity(judge)
        self._detector = TurnDetector()
        self._detector.begin(_TALK, prompt_playing=False)
        self._history: deque[bytes] = deque(maxlen=_HISTORY_FRAMES)
        self._began_s: float | None = None
        self._pcm = bytearray()
        #: Where in the passage the latest pause begins, in bytes.
        self._pause_at = 0

    def hear(self, mulaw: bytes, arrived_s: float) -> Passage | None:
        """Take the next frame, which had come whole at `arrived_s`; return a passage that is over with it."""
        pcm = g711.decode(mulaw).tobytes()
        self._history.append(pcm)
        if self._began_s is not None:
            self._pcm += pcm
        over: Passage | None = None
        for event in self._detector.feed(self._activity.feed(pcm)):
            match event:
                case SpeechStarted(start_sample=start):
                    self._begin(start, arrived_s)
                case SpeechPaused():
                    self._pause_at = len(self._pcm)
                case TurnEnded(last_speech_sample=last, end_sample=end):
                    over = self._end(silent_samples=end - last)
                case _:
                    pass  # nothing else happens where nothing is played and no key is told of
        if over is None and len(self._pcm) >= LONGEST_S * SAMPLE_RATE_HZ * _SAMPLE_BYTES:
            over = self._cut()
        return over

    def end(self) -> Passage | None:
        """End the passage that is going on, if one is: nothing more comes."""
        return self._end(silent_samples=0) if self._began_s is not None else None

    def _begin(self, start_sample: int, arrived_s: float) -> None:
        behind_samples = self._detector.position_samples - start_sample
        frames = min(len(self._history), behind_samples // FRAME_SAMPLES)
        self._began_s = arrived_s - frames * FRAME_SAMPLES / SAMPLE_RATE_HZ
        self._pcm = bytearray(b"".join(list(self._history)[len(self._history) - frames :]))
        self._pause_at = 0

    def _end(self, *, silent_samples: int) -> Passage | None:
        began_s, self._began_s = self._began_s, None
        pcm, self._pcm = self._pcm, bytearray()
        if began_s is None:
            return None
        spoken = max(0, len(pcm) // _SAMPLE_BYTES - silent_samples)
        kept = (spoken + _TAIL_SAMPLES) * _SAMPLE_BYTES
        return Passage(bytes(pcm[:kept]), began_s, _ms(spoken))

    def _cut(self) -> Passage:
        """End the passage at its latest pause, else here, and go on with the rest as another."""
        began_s = self._began_s or 0.0
        soonest = round(_SHORTEST_S * SAMPLE_RATE_HZ) * _SAMPLE_BYTES
        at = self._pause_at if self._pause_at >= soonest else len(self._pcm)
        pcm = bytes(self._pcm[:at])
        del self._pcm[:at]
        self._began_s = began_s + at / _SAMPLE_BYTES / SAMPLE_RATE_HZ
        self._pause_at = 0
        return Passage(pcm, began_s, _ms(at // _SAMPLE_BYTES))


def _ms(samples: int) -> int:
    return round(1000 * samples / SAMPLE_RATE_HZ)
