"""Made-up calls spoken, recognised and silenced: is what must not be kept really gone from the audio?

Each word is spoken by itself and put behind the one before, so that its place is known without any recogniser.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from _recogniser import RATE_HZ, Recogniser
from _said_numbers import Case, Said

from voicebot import g711
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.g711 import Pcm
from voicebot.records.record import HeardWord, Speaker, TurnRecord
from voicebot.records.redacting import TurnRedactor
from voicebot.records.vault.finishing import silence
from voicebot.records.vault.index import SilentSpan
from voicebot.speech.synthesis.flite import load_flite

OPEN = Expectation("open", (AnswerKind.OPEN,))
ASKED = Expectation("asked", (AnswerKind.DIGITS,), lengths=(3, 4, 6, 8, 9, 10, 12, 15, 16))
_LEAD_S = 0.3
#: A word is gone when no more than this share of its energy is left.
_LEFT = 0.1


@dataclass(frozen=True, slots=True)
class Spoken:
    """One caller's turn: samples at 8 kHz, and where each word lies in them."""

    samples: Pcm
    places: tuple[tuple[int, int], ...]


class Speaking:
    def __init__(self, voice: str) -> None:
        self._engine = load_flite(voice)
        self._words: dict[str, Pcm] = {}

    def say(self, turn: Said, rng: random.Random) -> Spoken:
        pieces, places, at = [np.zeros(round(_LEAD_S * RATE_HZ), np.int16)], [], round(_LEAD_S * RATE_HZ)
        for word in turn.words:
            sound = self._word(word)
            gap = np.zeros(round(rng.uniform(0.03, 0.15) * RATE_HZ), np.int16)
            places.append((at, at + sound.size))
            pieces += [sound, gap]
            at += sound.size + gap.size
        pieces.append(np.zeros(round(_LEAD_S * RATE_HZ), np.int16))
        return Spoken(np.concatenate(pieces), tuple(places))

    def _word(self, word: str) -> Pcm:
        if word not in self._words:
            whole = np.concatenate(list(self._engine.synthesize(" ".join(word) if word.isdigit() else word, 1.0)))
            narrow = soxr.resample(whole.astype(np.float32), self._engine.rate_hz, RATE_HZ)
            loud = np.flatnonzero(np.abs(narrow) > 0.03 * np.abs(narrow).max())
            cut: Pcm = np.clip(narrow[loud[0] : loud[-1] + 1], -32768, 32767).astype(np.int16)
            self._words[word] = cut
        return self._words[word]


@dataclass(slots=True)
class Heard:
    """What came of the clips."""

    clips: int = 0
    safe: int = 0
    words: int = 0
    gone: int = 0
    harmless: int = 0
    harmless_gone: int = 0


def hear(cases: list[Case], speaking: Speaking, recogniser: Recogniser, domain: Path) -> Heard:
    """Speak the caller's turns, silence what redaction finds in what was recognised, and look at what is left."""
    out = Heard()
    for case in cases:
        redactor, written, clips = TurnRedactor(), {}, {}
        for number, turn in enumerate(case.turns):
            if turn.speaker != "caller":
                record = TurnRecord(Speaker.BOT, turn.text, prompt=turn.prompt)
            else:
                spoken = speaking.say(turn, random.Random(case.number))  # noqa: S311  # gaps between words
                asked = any(before.prompt and "ask" in before.prompt for before in case.turns[:number])
                best = recogniser.hear(spoken.samples.astype(np.float32), ASKED if asked else OPEN, domain)[:1]
                words = tuple(
                    HeardWord(word.text, round(word.start_s * 1000), round(word.end_s * 1000), 1.0)
                    for hypothesis in best
                    for word in hypothesis.words
                )
                record = TurnRecord(
                    Speaker.CALLER,
                    best[0].text if best else "",
                    heard_ms=round(spoken.samples.size / RATE_HZ * 1000),
                    words=words,
                )
                clips[number] = (turn, spoken)
            written |= {each.number: each.turn for each in redactor.add(record)}
        written |= {each.number: each.turn for each in redactor.end()}
        _judge(out, clips, written)
    return out


def _judge(out: Heard, clips: dict[int, tuple[Said, Spoken]], written: dict[int, TurnRecord]) -> None:
    safe = True
    for number, (turn, spoken) in clips.items():
        coded = np.frombuffer(g711.encode(spoken.samples), np.uint8)
        lanes = np.stack([coded, coded], axis=1)
        spans = [SilentSpan(each.start_ms, each.end_ms, bot_too=False) for each in written[number].redactions]
        silence(lanes, spans)
        left = g711.decode(lanes[:, 0].tobytes()).astype(float) ** 2
        before = spoken.samples.astype(float) ** 2
        for (start, end), secret in zip(spoken.places, turn.secret, strict=True):
            is_gone = left[start:end].sum() <= _LEFT * before[start:end].sum()
            if secret:
                out.words += 1
                out.gone += is_gone
                safe = safe and is_gone
            else:
                out.harmless += 1
                out.harmless_gone += is_gone
    out.clips += 1
    out.safe += safe
