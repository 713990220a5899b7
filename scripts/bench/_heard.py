"""What the shipped bot does with callers' turns as its own recogniser hears them: first text, n-best, more training."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from _recogniser import Recogniser
from _understanding import ROOT, Bench

from voicebot import g711
from voicebot.dialog.loader import load_bot
from voicebot.language.understanding import Understanding
from voicebot.speech.asr import Hypothesis
from voicebot.speech.synthesis.voices import load_speaker
from voicebot.speech.tts import Voice

#: The held-back turns are spoken by one voice, the examples that are trained on as heard by another.
CALLER, TEACHER = Voice("flite", "rms"), Voice("flite", "slt")


class _Ears:
    """The recogniser with the bot's domain, at the bot's first question."""

    def __init__(self, folder: Path) -> None:
        bot = load_bot(ROOT / "flows")
        domain = bot.domain()
        self._recogniser = Recogniser({"engine": "sphinx"}, folder)
        self._domain = self._recogniser.compile(domain.requests, domain.expectations)
        self._question = next(each for each in domain.expectations if each.name == "welcome.first")

    def hear(self, voice: Voice, sentences: Sequence[str]) -> list[tuple[Hypothesis, ...]]:
        speaker = load_speaker(voice, None)
        quiet = np.zeros(2400)
        waves = (np.frombuffer(g711.decode(speaker.speak_mulaw(each)), "<i2").astype(float) for each in sentences)
        return [
            self._recogniser.hear(np.concatenate([quiet, wave, quiet]), self._question, self._domain) for wave in waves
        ]


def measure_heard(bench: Bench) -> None:
    """The requests of tests/language/callers.tsv held back, spoken by a synthetic voice."""
    sys.path.insert(0, str(ROOT))
    from tests.language.test_callers import Became, became, held_back  # noqa: PLC0415  # tests are no installed package

    intents = load_bot(ROOT / "flows").intents
    turns = held_back(in_scope=True)
    with tempfile.TemporaryDirectory(prefix="voicebot-bench-") as folder:
        ears = _Ears(Path(folder))
        heard = ears.hear(CALLER, [said for _, said in turns])
        misheard = {
            intent: tuple(best[0].text for best in ears.hear(TEACHER, examples) if best)
            for intent, examples in intents.items()
        }
    plain = Understanding(intents, bench.encoder)
    taught = Understanding({intent: (*intents[intent], *misheard[intent]) for intent in intents}, bench.encoder)
    for name, understanding, most in (
        ("first text", plain, 1),
        ("n-best", plain, 5),
        ("first text, trained on what was heard of the examples too", taught, 1),
        ("n-best, trained so too", taught, 5),
    ):
        counts: Counter[Became] = Counter()
        for (wanted, _), found in zip(turns, heard, strict=True):
            if not found:
                counts[Became.TURNED_AWAY] += 1
                continue
            first, *others = [(each.text, each.confidence) for each in found[:most]]
            counts[became(understanding, wanted, first[0], *others, sure=first[1])] += 1
        for each in Became:
            bench.report.rate(f"held-back requests as heard, {name}", each.value, counts[each], len(turns))
