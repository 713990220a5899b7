"""Speech in a recording that no transcript covers: nobody may hear it before it was searched.

A number takes half a second to say at least. What is shorter (a cough, "mm-hm") stays, and so does every turn whose
words were written down: those were searched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import webrtcvad

from voicebot.g711 import Pcm
from voicebot.records.record import Speaker

_RATE_HZ = 8000
_FRAME_MS = 20
_FRAME = _RATE_HZ * _FRAME_MS // 1000
#: Of webrtcvad, 0 to 3: the second strictest, as music and noise that it lets through cost nobody anything.
_STRICTNESS = 2
#: Root mean square below which nobody could make out a word: 45 dB below full scale.
_QUIET = 184.0
#: Digits read one by one belong together, also where somebody looks for the next.
_PAUSE_MS = 2500
_LEAST_MS = 600
_LEAST_SPEECH_MS = 300
#: A turn is taken to begin a little before it was noticed, and to end a little later; words likewise.
_MARGIN_MS = 300
#: Beyond what was found, but not into what was searched.
_PADDING_MS = 200

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Passage:
    """What somebody said, as far as it is written down: `words` are the times of those that are, in milliseconds.

    `spotted` is one of which single phrases were made out, and what lies between them was not.
    """

    speaker: Speaker
    at_ms: int
    heard_ms: int
    has_text: bool
    words: tuple[Span, ...] = ()
    spotted: bool = False


@dataclass(frozen=True, slots=True)
class Searched:
    """What of a call was written down. `talk_from_ms` is when an agent came, who is heard in the bot's lane."""

    passages: tuple[Passage, ...] = ()
    talk_from_ms: int | None = None


def unheard(lanes: Pcm, searched: Searched) -> tuple[list[Span], list[Span]]:
    """Return the stretches that were not written down, in milliseconds, of the caller's and of the bot's lane.

    `lanes` are int16 samples at 8 kHz of shape (frames, 2).
    """
    caller = _in_lane(lanes[:, 0], _covered(searched.passages, {Speaker.CALLER}), 0)
    if searched.talk_from_ms is None:
        return caller, []
    others = _covered(searched.passages, {Speaker.AGENT, Speaker.BOT})
    return caller, _in_lane(lanes[:, 1], others, searched.talk_from_ms)


def voiced(samples: Pcm) -> npt.NDArray[np.bool_]:
    """Return for each frame of 20 ms whether somebody speaks in it."""
    return _speech(samples, np.ones(len(samples) // _FRAME, dtype=bool))


def _in_lane(samples: Pcm, covered: Sequence[Span], from_ms: int) -> list[Span]:
    found: list[tuple[int, int, int]] = []
    looked_at = np.ones(len(samples) // _FRAME, dtype=bool)
    for start, end in [(0, from_ms), *covered]:
        looked_at[max(0, start) // _FRAME_MS : -(-max(0, end) // _FRAME_MS)] = False
    for frame in np.flatnonzero(_speech(samples, looked_at)):
        start, end = int(frame) * _FRAME_MS, (int(frame) + 1) * _FRAME_MS
        if found and start - found[-1][1] <= _PAUSE_MS and not _any_between(covered, found[-1][1], start):
            found[-1] = (found[-1][0], end, found[-1][2] + end - start)
        else:
            found.append((start, end, end - start))
    long = [(start, end) for start, end, said in found if end - start >= _LEAST_MS and said >= _LEAST_SPEECH_MS]
    return _merged(_padded(long, covered))


def _speech(samples: Pcm, looked_at: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return for each frame of 20 ms whether somebody speaks in it, False for those that are not looked at."""
    count = len(samples) // _FRAME
    frames = np.ascontiguousarray(samples[: count * _FRAME]).reshape(count, _FRAME)
    audible: npt.NDArray[np.bool_] = np.sqrt((frames.astype(np.float32) ** 2).mean(axis=1)) > _QUIET
    audible &= looked_at
    detector = webrtcvad.Vad(_STRICTNESS)
    for index in np.flatnonzero(audible):
        audible[index] = detector.is_speech(frames[index].tobytes(), _RATE_HZ)
    return audible


def _covered(passages: Iterable[Passage], speakers: set[Speaker]) -> list[Span]:
    found: list[Span] = []
    for passage in passages:
        if passage.speaker not in speakers or not passage.has_text:
            continue
        spans = passage.words if passage.spotted else ((passage.at_ms, passage.at_ms + passage.heard_ms),)
        found += [(start - _MARGIN_MS, end + _MARGIN_MS) for start, end in spans]
    return _merged(found)


def _merged(spans: Iterable[Span]) -> list[Span]:
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _any_between(covered: Sequence[Span], start: int, end: int) -> bool:
    return any(low < end and high > start for low, high in covered)


def _padded(spans: Iterable[Span], covered: Sequence[Span]) -> list[Span]:
    edges = [(0, 0), *covered, (2**31, 2**31)]
    gaps = [(before[1], after[0]) for before, after in pairwise(edges)]
    found = []
    for start, end in spans:
        low, high = next((gap for gap in gaps if gap[0] <= start and end <= gap[1]), (start, end))
        found.append((max(low, start - _PADDING_MS), min(high, end + _PADDING_MS)))
    return found
