"""What the shipped bot does with callers' turns as its own recognisers hear them: first text, n-best, more training."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from _recogniser import Recogniser
from _spoken import spoken
from _understanding import ROOT, Bench

from voicebot import g711
from voicebot.dialog.loader import load_bot
from voicebot.language.understanding import Understanding
from voicebot.simulation.sounds import Wave
from voicebot.speech.asr import Hypothesis
from voicebot.speech.recognition.known import words_of
from voicebot.speech.synthesis.voices import load_speaker
from voicebot.speech.tts import Voice

if TYPE_CHECKING:
    from tests.language.test_callers import Became, CallerTurn

#: The held-back turns are spoken by one voice, the examples that are trained on as heard by another.
CALLER, TEACHER = Voice("flite", "rms"), Voice("flite", "slt")


class _Ears:
    """The recogniser with the bot's domain, at the bot's first question."""

    def __init__(self, folder: Path, options: Mapping[str, object]) -> None:
        bot = load_bot(ROOT / "flows")
        domain = bot.domain()
        self._recogniser = Recogniser(options, folder)
        self._domain = self._recogniser.compile(domain.requests, domain.expectations)
        self._question = next(each for each in domain.expectations if each.name == "welcome.first")

    def hear(self, voice: Voice, sentences: Sequence[str]) -> list[tuple[Hypothesis, ...]]:
        speaker = load_speaker(voice, None)
        return self.hear_waves(
            np.frombuffer(g711.decode(speaker.speak_mulaw(each)), "<i2").astype(float) for each in sentences
        )

    def hear_waves(self, waves: Iterable[Wave]) -> list[tuple[Hypothesis, ...]]:
        quiet = np.zeros(2400)
        return [
            self._recogniser.hear(np.concatenate([quiet, wave, quiet]), self._question, self._domain) for wave in waves
        ]


def measure_heard(bench: Bench) -> None:
    """The requests of tests/language/callers.tsv held back, spoken by a synthetic voice."""
    sys.path.insert(0, str(ROOT))
    from tests.language.test_callers import Became, held_back  # noqa: PLC0415  # tests are no installed package

    intents = load_bot(ROOT / "flows").intents
    turns = held_back(in_scope=True)
    with tempfile.TemporaryDirectory(prefix="voicebot-bench-") as folder:
        ears = _Ears(Path(folder), {"engine": "sphinx"})
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
        counts = _outcomes(understanding, turns, [found[:most] for found in heard])
        for each in Became:
            bench.report.rate(f"held-back requests as heard, {name}", each.value, counts[each], len(turns))


def measure_heard_twice(bench: Bench) -> None:
    """All turns held back, in two synthetic voices, as both passes of recognition hear them."""
    sys.path.insert(0, str(ROOT))
    from tests.language.test_callers import Became, held_back  # noqa: PLC0415  # tests are no installed package

    understanding = Understanding(load_bot(ROOT / "flows").intents, bench.encoder)
    with tempfile.TemporaryDirectory(prefix="voicebot-bench-") as folder:
        # How often Whisper is late depends on what else runs.
        ears = _Ears(Path(folder), {"engine": "two-pass", "model": str(bench.whisper), "late_s": 60})
        for name, in_scope in (("requests", True), ("other talk", False)):
            turns = held_back(in_scope=in_scope)
            heard = [found for voice in (CALLER, TEACHER) for found in ears.hear(voice, [said for _, said in turns])]
            counts = _outcomes(understanding, 2 * turns, heard)
            for each in Became:
                bench.report.rate(f"held-back {name} as two passes hear them", each.value, counts[each], len(heard))


def measure_examples(bench: Bench) -> None:
    """Two examples of each of the shipped bot's intents, in all voices, as both passes hear them."""
    sys.path.insert(0, str(ROOT))
    from tests.language.test_callers import Became  # noqa: PLC0415  # tests are no installed package

    intents = load_bot(ROOT / "flows").intents
    understanding = Understanding(intents, bench.encoder)
    said = [(intent, each) for intent, examples in intents.items() for each in examples[:: len(examples) // 2][:2]]
    with tempfile.TemporaryDirectory(prefix="voicebot-bench-") as folder:
        ears = _Ears(Path(folder), {"engine": "two-pass", "model": str(bench.whisper), "late_s": 60})
        heard = ears.hear_waves(wave for _, wave in spoken([each for _, each in said]))
    section = "the bot's own examples, in every voice, as two passes hear them"
    turns = [((intent,), each) for intent, each in said] * (len(heard) // len(said))
    counts = _outcomes(understanding, turns, heard)
    for each in Became:
        bench.report.rate(section, each.value, counts[each], len(heard))
    right = sum(
        bool(found) and words_of(found[0].text) == words_of(sentence)
        for (_, sentence), found in zip(turns, heard, strict=True)
    )
    bench.report.rate(section, "first text right word for word", right, len(heard))


def _outcomes(
    understanding: Understanding, turns: Sequence[CallerTurn], heard: Sequence[tuple[Hypothesis, ...]]
) -> Counter[Became]:
    from tests.language.test_callers import Became, became  # noqa: PLC0415  # tests are no installed package

    counts: Counter[Became] = Counter()
    for (wanted, _), found in zip(turns, heard, strict=True):
        if not found:
            counts[Became.TURNED_AWAY] += 1
            continue
        first, *others = [(each.text, each.confidence) for each in found]
        counts[became(understanding, wanted, first[0], *others, sure=first[1])] += 1
    return counts
