"""Whether speech that no turn holds, and that was heard once more afterwards, may stay in the recording. Pure.

Nobody asked for what is said there and nothing took it, so every number counts, whatever its length and name. What the
engine is not sure of may be a number as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

import numpy as np
import numpy.typing as npt

from voicebot.records.record import HeardWord
from voicebot.redaction import holds_digits, names_number

FRAME_MS = 20
#: As much as engines hear well at once: of more, Whisper leaves sentences out.
LONGEST_MS = 8_000
#: Sooner than this a pause is no place to cut at.
_SHORTEST_MS = 3_000
#: The engine's confidence below which nothing is believed, and where the words name what must not be kept.
_SURE = 0.35
_SURER = 0.5
#: So many words in a row must be so sure, on average: a short number that was misheard is told by that alone.
_IN_A_ROW = 3
_SURE_IN_A_ROW = 0.42
#: No word takes longer to say than this, and so much for each of its letters: what it covers besides was left out.
_WORD_MS, _LETTER_MS = 400, 80
#: Speech before the first and after the last word that may lack words.
_EDGE_MS = 500

Voiced = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Overheard:
    """What an engine made of a passage: `texts`, the likeliest first, with the first one's words and confidence.

    Times of words are milliseconds from the beginning of the passage.
    """

    engine: str
    texts: tuple[str, ...]
    confidence: float = 0.0
    words: tuple[HeardWord, ...] = ()


@dataclass(frozen=True, slots=True)
class Stretch:
    """Speech of one lane (``"caller"`` or ``"bot"``) that no turn holds, in milliseconds of the recording.

    `heard` is None where nothing could be made out. Unless it is `kept`, it must be silence.
    """

    lane: str
    start_ms: int
    end_ms: int
    heard: Overheard | None = None
    kept: bool = False


def may_be_kept(heard: Overheard, voiced: Voiced) -> bool:
    """Tell whether a passage surely holds no number, `voiced` being its frames of 20 ms in which somebody speaks."""
    if not heard.texts or not heard.words or any(map(holds_digits, heard.texts)):
        return False
    least = _SURER if any(map(names_number, heard.texts)) else _SURE
    return heard.confidence >= least and _is_sure(heard.words) and _is_covered(heard.words, voiced)


def cut(voiced: Voiced, start_ms: int, end_ms: int) -> list[tuple[int, int]]:
    """Cut a stretch into passages that are not too long, at the longest pause that there is in time."""
    passages = []
    while end_ms - start_ms > LONGEST_MS:
        soonest, latest = (start_ms + _SHORTEST_MS) // FRAME_MS, (start_ms + LONGEST_MS) // FRAME_MS
        pauses = _pauses(voiced[soonest:latest])
        low, high = max(pauses, key=lambda pause: pause[1] - pause[0], default=(latest - soonest, latest - soonest))
        at_ms = (soonest + (low + high) // 2) * FRAME_MS
        passages.append((start_ms, at_ms))
        start_ms = at_ms
    return [*passages, (start_ms, end_ms)]


def _pauses(voiced: Voiced) -> list[tuple[int, int]]:
    """Return runs of frames without voice, from and until."""
    edges = np.flatnonzero(np.diff(np.concatenate(([True], voiced, [True])).astype(np.int8)))
    return [(int(low), int(high)) for low, high in edges.reshape(-1, 2)]


def _is_sure(words: Sequence[HeardWord]) -> bool:
    sure = [word.confidence for word in words if any(map(str.isalpha, word.text))]
    count = min(_IN_A_ROW, len(sure))
    rows = [sure[at : at + count] for at in range(len(sure) - count + 1)]
    return bool(sure) and min(map(fmean, rows)) >= _SURE_IN_A_ROW


def _is_covered(words: Sequence[HeardWord], voiced: Voiced) -> bool:
    """Tell whether all that is voiced has its words: an engine may leave out what it cannot make sense of."""
    spans = [(0, words[0].start_ms - _EDGE_MS), (words[-1].end_ms + _EDGE_MS, len(voiced) * FRAME_MS)]
    if any(_voiced_ms(voiced, start, end) for start, end in spans):
        return False
    gaps = [(before.end_ms, after.start_ms) for before, after in pairwise(words)]
    if any(_voiced_ms(voiced, start, end) > _WORD_MS for start, end in gaps):
        return False
    return all(_voiced_ms(voiced, each.start_ms, each.end_ms) <= _longest_ms(each.text) for each in words)


def _longest_ms(word: str) -> int:
    return _WORD_MS + _LETTER_MS * len(re.sub(r"[^a-z]", "", word.lower()))


def _voiced_ms(voiced: Voiced, start_ms: int, end_ms: int) -> int:
    return int(voiced[max(0, start_ms) // FRAME_MS : max(0, end_ms) // FRAME_MS].sum()) * FRAME_MS
