"""Numbers spoken where no turn holds them: are they silence in the recording, and is all else still there?

Each call is a turn that was written down, then the same made-up words once more where nobody listened: over a prompt,
between turns, or in talk with an agent that no engine wrote down.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from _recogniser import RATE_HZ
from _redacted_audio import Speaking, Spoken
from _said_numbers import Case, Said

from voicebot import g711
from voicebot.g711 import Pcm
from voicebot.records.record import Speaker
from voicebot.records.unheard import Passage, Searched
from voicebot.records.vault.finishing import silence_unheard

_LEFT = 0.1
_BREAK_MS = 2000
#: Of the line's noise below the speech, in dB; None for none.
NOISES = (None, 20, 10)


@dataclass(slots=True)
class Unheard:
    """Words of numbers and others that no turn holds, and words of the turn before them, and how many are silent."""

    calls: int = 0
    calls_safe: int = 0
    numbers: int = 0
    numbers_gone: int = 0
    beside: int = 0
    beside_gone: int = 0
    held: int = 0
    held_gone: int = 0


def hide(cases: list[Case], speaking: Speaking, noise_db: int | None, *, agent: bool) -> Unheard:
    """Finish recordings of the callers' turns; `agent` speaks them in the other lane instead."""
    out, rng = Unheard(), np.random.default_rng(1)
    for case in cases:
        turn = next(turn for turn in case.turns if turn.speaker == "caller" and any(turn.secret))
        spoken = speaking.say(turn, random.Random(case.number))  # noqa: S311  # gaps between words
        _judge(out, turn, spoken, _noise(spoken.samples, noise_db, rng), agent=agent)
    return out


def _noise(samples: Pcm, noise_db: int | None, rng: np.random.Generator) -> Pcm:
    gap = np.zeros(_BREAK_MS * RATE_HZ // 1000, np.int16)
    whole = np.concatenate([gap, samples, gap, samples, gap]).astype(np.float64)
    if noise_db is not None:
        loud = np.sqrt((samples.astype(np.float64) ** 2).mean())
        whole += rng.normal(0, loud / 10 ** (noise_db / 20), whole.size)
    made: Pcm = np.clip(whole, -32768, 32767).astype(np.int16)
    return made


def _judge(out: Unheard, turn: Said, spoken: Spoken, whole: Pcm, *, agent: bool) -> None:
    lane = int(agent)
    both = np.zeros((whole.size, 2), np.int16)
    both[:, lane] = whole
    lanes = np.frombuffer(g711.encode(both.reshape(-1)), np.uint8).reshape(-1, 2).copy()
    held = Passage(
        Speaker.AGENT if agent else Speaker.CALLER, _BREAK_MS, spoken.samples.size * 1000 // RATE_HZ, has_text=True
    )
    silence_unheard(lanes, Searched((held,), 0 if agent else None))
    left = g711.decode(lanes[:, lane].tobytes()).astype(float) ** 2
    before = whole.astype(float) ** 2
    first = _BREAK_MS * RATE_HZ // 1000
    again = 2 * first + spoken.samples.size
    safe = True
    for (start, end), secret in zip(spoken.places, turn.secret, strict=True):
        gone = [
            left[offset + start : offset + end].sum() <= _LEFT * before[offset + start : offset + end].sum()
            for offset in (first, again)
        ]
        out.held += 1
        out.held_gone += gone[0]
        if secret:
            out.numbers += 1
            out.numbers_gone += gone[1]
            safe = safe and gone[1]
        else:
            out.beside += 1
            out.beside_gone += gone[1]
    out.calls += 1
    out.calls_safe += safe
