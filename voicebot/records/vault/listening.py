"""Listens once more to what no turn of a call holds, before its recording may be played."""

from __future__ import annotations

import asyncio
from typing import Protocol

from voicebot import g711
from voicebot.errors import VoicebotError
from voicebot.g711 import Pcm
from voicebot.records.overheard import FRAME_MS, Overheard, Stretch, cut, may_be_kept
from voicebot.records.tape import Lanes
from voicebot.records.unheard import Searched, Span, unheard, voiced

LANES = ("caller", "bot")
_SAMPLES_PER_MS = 8


class EarAwayError(VoicebotError):
    """Nothing can hear now; later it may."""


class Ear(Protocol):
    async def hear(self, pcm: Pcm) -> Overheard | None:
        """Return what is said in some seconds of samples at 8 kHz; None where nothing can hear it. `EarAwayError`."""
        ...


async def listen(lanes: Lanes, searched: Searched, ear: Ear | None) -> tuple[Stretch, ...]:
    """Return the speech that was not written down, in order, each stretch with what was heard in it now.

    Without an ear nothing of it is kept. `EarAwayError` as for an `Ear`.
    """
    samples, found = await asyncio.to_thread(_look_through, lanes, searched)
    stretches: list[Stretch] = []
    for lane, (name, spans) in enumerate(zip(LANES, found, strict=True)):
        for start_ms, end_ms in spans:
            if ear is None:
                stretches.append(Stretch(name, start_ms, end_ms))
            else:
                stretches += await _hear(samples[:, lane], name, (start_ms, end_ms), ear)
    return tuple(sorted(stretches, key=lambda stretch: stretch.start_ms))


def _look_through(lanes: Lanes, searched: Searched) -> tuple[Pcm, tuple[list[Span], list[Span]]]:
    """Return the samples, of shape (frames, 2), and the spans of each lane that were not written down; it blocks."""
    samples = g711.decode(lanes.tobytes()).reshape(-1, 2)
    return samples, unheard(samples, searched)


async def _hear(samples: Pcm, lane: str, span: Span, ear: Ear) -> list[Stretch]:
    first_ms, until_ms = span[0] // FRAME_MS * FRAME_MS, min(span[1], len(samples) // _SAMPLES_PER_MS)
    in_span = samples[first_ms * _SAMPLES_PER_MS : until_ms * _SAMPLES_PER_MS]
    speech = await asyncio.to_thread(voiced, in_span)
    stretches = []
    for start_ms, end_ms in cut(speech, 0, until_ms - first_ms):
        heard = await ear.hear(in_span[start_ms * _SAMPLES_PER_MS : end_ms * _SAMPLES_PER_MS])
        kept = heard is not None and may_be_kept(heard, speech[start_ms // FRAME_MS : end_ms // FRAME_MS])
        stretches.append(Stretch(lane, first_ms + start_ms, first_ms + end_ms, heard, kept))
    return stretches
