"""What is said where no turn holds it: are numbers silence in the recording, and is all else still there?

Each call is a turn that was written down, then speech where nobody listened: over a prompt, between turns, or in talk
with an agent that no engine wrote down. It is listened to as when a recording is finished.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from _corpora import banking, clinc
from _recogniser import RATE_HZ, Recogniser
from _redacted_audio import OPEN, Speaking
from _said_numbers import Case

from voicebot import g711
from voicebot.app.relistening import overheard
from voicebot.g711 import Pcm
from voicebot.records.overheard import Overheard
from voicebot.records.record import Speaker
from voicebot.records.unheard import Passage, Searched
from voicebot.records.vault.finishing import silence_stretches
from voicebot.records.vault.listening import Ear, listen
from voicebot.redaction import holds_digits
from voicebot.speech.asr import Final
from voicebot.speech.synthesis.flite import load_flite
from voicebot.wav import read_wav

_LEFT = 0.1
_BREAK_MS = 2000
_VOICES = ("slt", "rms", "awb", "kal16")
#: Of the line's noise below the speech, in dB; None for none.
NOISES = (None, 20, 10)
_FRAME = RATE_HZ // 50
#: Root mean square above which a frame counts as speech; what is softer nobody makes out.
_QUIET = 400


class EngineEar:
    """Hears with the engine that writes talk down, as its worker does."""

    def __init__(self, recogniser: Recogniser, engine: str) -> None:
        self._recogniser = recogniser
        self._engine = engine

    async def hear(self, pcm: Pcm) -> Overheard | None:
        # In a thread, since the recogniser has a loop of its own.
        heard = await asyncio.to_thread(self._recogniser.hear, pcm.astype(np.float32), OPEN, None)
        return overheard(Final(heard, self._engine, 0.0))


@dataclass(frozen=True, slots=True)
class Clip:
    """Speech at 8 kHz and, where it holds a number, the samples of the number's parts, from and until."""

    samples: Pcm
    numbers: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class Unheard:
    """Of calls: those whose number is `safe`, being silent, those all of which is audible, numbers' parts, seconds."""

    calls: int = 0
    safe: int = 0
    audible: int = 0
    parts: int = 0
    parts_gone: int = 0
    spoken_s: float = 0.0
    kept_s: float = 0.0
    turns_gone: int = 0


def numbers_alone(cases: Iterable[Case]) -> Iterator[Clip]:
    """Yield numbers as they are volunteered or asked for, word by word, so that the place of each is known."""
    speaking = Speaking("rms")
    for case in cases:
        turn = next(turn for turn in case.turns if turn.speaker == "caller" and any(turn.secret))
        spoken = speaking.say(turn, random.Random(case.number))  # noqa: S311  # gaps between words
        places = zip(spoken.places, turn.secret, strict=True)
        yield Clip(spoken.samples, tuple(place for place, secret in places if secret))


def numbers_in_talk(cases: Sequence[Case], talk: Sequence[str]) -> Iterator[Clip]:
    """Yield numbers in four voices, as one would say them, between two sentences of something else."""
    voices = Voices()
    for index, case in enumerate(cases):
        turn = next(turn for turn in case.turns if turn.speaker == "caller" and any(turn.secret))
        chance = random.Random(case.number)  # noqa: S311  # lengths of pauses
        first, last = turn.secret.index(True), len(turn.secret) - turn.secret[::-1].index(True)
        parts = [turn.words[:first], turn.words[first:last], turn.words[last:]]
        lead, number, rest = (
            voices.say(" ".join(" ".join(word) if word.isdigit() else word for word in part), index) for part in parts
        )
        before, after = (voices.say(talk[(2 * index + place) % len(talk)], index) for place in (0, 1))
        pauses = [_pause(chance, 0.15, 0.6) for _ in range(2)]
        samples = np.concatenate([before, pauses[0], lead, number, rest, pauses[1], after])
        start = before.size + pauses[0].size + lead.size
        yield Clip(samples, ((start, start + number.size),))


def digits_of_people(data: Path, count: int, seed: int) -> Iterator[Clip]:
    """Yield strings of digits that people said one by one, every other one between two orders of other people."""
    by_speaker: dict[str, dict[str, list[Path]]] = {}
    for path in sorted((data / "digits").glob("*.wav")):
        digit, speaker, _ = path.stem.split("_")
        by_speaker.setdefault(speaker, {}).setdefault(digit, []).append(path)
    orders = sorted((data / "commands").glob("*.wav"))
    chance = random.Random(seed)  # noqa: S311  # made-up numbers
    for index in range(count):
        takes = by_speaker[sorted(by_speaker)[index % len(by_speaker)]]
        pieces = []
        for digit in chance.choices("0123456789", k=chance.choice((3, 4, 6, 9, 16))):
            pieces += [_wave(chance.choice(takes[digit])), _pause(chance, 0.03, 0.25)]
        number = np.concatenate(pieces)
        if index % 2:
            yield Clip(number, ((0, number.size),))
            continue
        before, after = _wave(chance.choice(orders)), _wave(chance.choice(orders))
        louder = _loudness(before) / _loudness(number)
        number = np.clip(number * louder, -32000, 32000).astype(np.int16)
        gap = _pause(chance, 0.15, 0.6)
        start = before.size + gap.size
        yield Clip(np.concatenate([before, gap, number, gap, after]), ((start, start + number.size),))


def talk_without_numbers(talk: Sequence[str], count: int) -> Iterator[Clip]:
    """Yield one sentence, or three with pauses between, in four voices."""
    voices, chance, at = Voices(), random.Random(count), 0  # noqa: S311  # lengths of pauses
    for index in range(count):
        pieces = []
        for _ in range(1 if index % 2 else 3):
            pieces += [voices.say(talk[at % len(talk)], index), _pause(chance, 0.15, 0.6)]
            at += 1
        yield Clip(np.concatenate(pieces))


def orders_of_people(data: Path, count: int) -> Iterator[Clip]:
    """Yield people's orders, those alone that hold no size in ounces."""
    labels = json.loads((data / "commands" / "label.json").read_text(encoding="utf-8"))
    without = [name for name in sorted(labels) if not holds_digits(" ".join(labels[name]["slots"].values()))]
    for name in without[-count:]:
        yield Clip(_wave(data / "commands" / name))


def sentences(data: Path) -> list[str]:
    """Return what people ask for in two collections, without what holds a number, in an order of no meaning."""
    inside, outside = clinc(data)
    texts = [text for text, _ in (*inside.test, *banking(data).test)] + outside["test"]
    fitting = [text for text in texts if not holds_digits(text) and 4 <= len(text.split()) <= 16]
    random.Random(1).shuffle(fitting)  # noqa: S311
    return fitting


class Voices:
    def __init__(self) -> None:
        self._engines = [load_flite(name) for name in _VOICES]

    def say(self, text: str, voice: int) -> Pcm:
        if not text:
            return np.zeros(0, np.int16)
        engine = self._engines[voice % len(self._engines)]
        whole = np.concatenate(list(engine.synthesize(text, 1.0)))
        narrow = soxr.resample(whole.astype(np.float32), engine.rate_hz, RATE_HZ)
        said: Pcm = np.clip(narrow, -32768, 32767).astype(np.int16)
        return said


def hide(clips: Iterable[Clip], noise_db: int | None, ear: Ear, *, agent: bool = False) -> Unheard:
    """Finish recordings in which a caller says each clip twice, first in a turn; `agent` is in the other lane."""
    out, rng = Unheard(), np.random.default_rng(1)
    for clip in clips:
        asyncio.run(_judge(out, clip, _noise(clip.samples, noise_db, rng), ear, lane=int(agent)))
    return out


def _noise(samples: Pcm, noise_db: int | None, rng: np.random.Generator) -> Pcm:
    gap = np.zeros(_BREAK_MS * RATE_HZ // 1000, np.int16)
    whole = np.concatenate([gap, samples, gap, samples, gap]).astype(np.float64)
    if noise_db is not None:
        whole += rng.normal(0, _loudness(samples) / 10 ** (noise_db / 20), whole.size)
    made: Pcm = np.clip(whole, -32768, 32767).astype(np.int16)
    return made


async def _judge(out: Unheard, clip: Clip, whole: Pcm, ear: Ear, *, lane: int) -> None:
    both = np.zeros((whole.size, 2), np.int16)
    both[:, lane] = whole
    lanes = np.frombuffer(g711.encode(both.reshape(-1)), np.uint8).reshape(-1, 2).copy()
    held = Passage(
        Speaker.AGENT if lane else Speaker.CALLER, _BREAK_MS, clip.samples.size * 1000 // RATE_HZ, has_text=True
    )
    silence_stretches(lanes, await listen(lanes, Searched((held,), 0 if lane else None), ear))
    left = g711.decode(lanes[:, lane].tobytes()).astype(float) ** 2
    before = whole.astype(float) ** 2
    first = _BREAK_MS * RATE_HZ // 1000
    again = 2 * first + clip.samples.size

    def is_gone(start: int, end: int) -> bool:
        return bool(left[start:end].sum() <= _LEFT * before[start:end].sum())

    gone = [is_gone(again + start, again + end) for start, end in clip.numbers]
    frames = [(at, at + _FRAME) for at in range(again, again + clip.samples.size, _FRAME)]
    spoken = [frame for frame in frames if before[slice(*frame)].mean() > _QUIET**2]
    kept = sum(not is_gone(*frame) for frame in spoken)
    out.parts += len(gone)
    out.parts_gone += sum(gone)
    out.calls += 1
    out.safe += all(gone)
    out.audible += kept == len(spoken)
    out.spoken_s += len(spoken) * _FRAME / RATE_HZ
    out.kept_s += kept * _FRAME / RATE_HZ
    out.turns_gone += is_gone(first, first + clip.samples.size)


def _pause(chance: random.Random, shortest_s: float, longest_s: float) -> Pcm:
    return np.zeros(round(chance.uniform(shortest_s, longest_s) * RATE_HZ), np.int16)


def _loudness(samples: Pcm) -> float:
    return float(np.sqrt((samples.astype(np.float64) ** 2).mean()))


def _wave(path: Path) -> Pcm:
    return read_wav(path.read_bytes()).mono()
