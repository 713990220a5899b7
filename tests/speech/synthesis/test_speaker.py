from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from voicebot import g711
from voicebot.g711 import Pcm
from voicebot.speech.synthesis.clauses import pause_after, split_clauses
from voicebot.speech.synthesis.engine import FASTEST_SPEED, SLOWEST_SPEED
from voicebot.speech.synthesis.sound import TARGET_LEVEL_DBFS, active_level_dbfs, to_telephone, trim_silence
from voicebot.speech.synthesis.speaker import Speaker


def _tone(duration_s: float, rate_hz: int, *, level: float = 8000, hz: float = 700.0) -> Pcm:
    at = np.arange(round(duration_s * rate_hz)) / rate_hz
    wave: Pcm = (level * np.sin(2 * np.pi * hz * at)).astype(np.int16)
    return wave


class ToneEngine:
    """Says every text as a tone of 0.1 s a word between silences, in two chunks, and remembers what it was asked."""

    rate_hz = 22_050

    def __init__(self) -> None:
        self.asked: list[tuple[str, float]] = []

    def synthesize(self, text: str, speed: float) -> Iterator[Pcm]:
        self.asked.append((text, speed))
        still = np.zeros(self.rate_hz // 2, np.int16)
        tone = _tone(0.1 * len(text.split()) / speed, self.rate_hz)
        yield np.concatenate([still, tone[:100]])
        yield np.concatenate([tone[100:], still])


def test_sentences_become_clauses_and_their_ends_pauses() -> None:
    clauses = split_clauses("One moment. Is that right? Yes, it is", 200)
    assert [clause.text for clause in clauses] == ["One moment.", "Is that right?", "Yes, it is"]
    assert clauses[0].pause_s == clauses[1].pause_s > 0
    assert clauses[2].pause_s == 0


def test_a_slow_engine_gets_shorter_clauses() -> None:
    text = "Your order left the warehouse on Monday, it is with the carrier now, and it will arrive tomorrow."
    assert len(split_clauses(text, 200)) == 1
    assert [clause.text for clause in split_clauses(text, 50)] == [
        "Your order left the warehouse on Monday,",
        "it is with the carrier now,",
        "and it will arrive tomorrow.",
    ]


def test_nothing_is_lost_by_cutting() -> None:
    text = " ".join(f"word{number}" for number in range(400))
    assert " ".join(clause.text for clause in split_clauses(text, 60)) == text


@pytest.mark.parametrize("text", ["", "  ", "...", " - ?! "])
def test_a_text_without_a_word_has_no_clause(text: str) -> None:
    assert split_clauses(text, 60) == ()


def test_a_sentence_pauses_longer_than_a_colon_and_that_longer_than_a_comma() -> None:
    assert pause_after("Done.") > pause_after("This:") > pause_after("first,") > pause_after("word") == 0


def test_silence_around_speech_goes_but_no_audible_sample_does() -> None:
    still = np.zeros(4000, np.int16)
    fading = (_tone(0.5, 8000).astype(np.float64) * np.linspace(1, 0, 4000) ** 2).astype(np.int16)
    trimmed = trim_silence(np.concatenate([still, fading, still]), 8000)
    assert len(trimmed) < len(fading) + 800
    lost = np.sum(fading.astype(np.float64) ** 2) - np.sum(trimmed.astype(np.float64) ** 2)
    assert lost < 1e-6 * np.sum(fading.astype(np.float64) ** 2)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 24_000])
def test_resampling_keeps_the_last_sound_of_a_clause(rate_hz: int) -> None:
    click = np.concatenate([_tone(0.4, rate_hz, level=2000), _tone(0.03, rate_hz, level=9000, hz=1500)])
    made = to_telephone(click, rate_hz)
    assert len(made) == pytest.approx(0.43 * 8000, abs=2)
    end = made[-240:-16].astype(np.float64)
    assert np.sqrt(np.mean(end**2)) > 3 * np.sqrt(np.mean(made[:2400].astype(np.float64) ** 2))


@pytest.mark.parametrize("level", [60, 700, 8000, 32000])
def test_every_level_comes_out_the_same(level: float) -> None:
    assert active_level_dbfs(to_telephone(_tone(1.0, 16_000, level=level), 16_000)) == pytest.approx(-20, abs=0.3)
    assert TARGET_LEVEL_DBFS == -20


def test_a_pause_inside_does_not_count_towards_the_level() -> None:
    broken = np.concatenate([_tone(0.5, 8000), np.zeros(8000, np.int16), _tone(0.5, 8000)])
    assert active_level_dbfs(broken) == pytest.approx(active_level_dbfs(_tone(1.0, 8000)), abs=0.1)


def test_a_peak_is_never_clipped() -> None:
    spiky = np.zeros(16000, np.int16)
    spiky[::400] = 20000
    made = to_telephone(spiky, 8000)
    assert np.abs(made.astype(np.int32)).max() <= 30_000


@pytest.mark.parametrize("samples", [np.zeros(0, np.int16), np.zeros(8000, np.int16)])
def test_an_engine_that_makes_silence_or_nothing_makes_nothing(samples: Pcm) -> None:
    assert len(to_telephone(samples, 16_000)) == 0


def test_a_speaker_speaks_clause_by_clause_with_pauses_between() -> None:
    engine = ToneEngine()
    clauses = list(Speaker(engine, longest_chars=200).speak("One two three. Four."))
    assert engine.asked == [("One two three.", 1.0), ("Four.", 1.0)]
    assert [len(clause) / 8000 for clause in clauses] == [pytest.approx(0.6, abs=0.05), pytest.approx(0.4, abs=0.05)]


def test_a_clause_is_made_only_when_it_is_taken() -> None:
    engine = ToneEngine()
    next(Speaker(engine, longest_chars=200).speak("One. Two. Three."))
    assert len(engine.asked) == 1


@pytest.mark.parametrize(("asked", "given"), [(9.0, FASTEST_SPEED), (0.01, SLOWEST_SPEED), (1.2, 1.2)])
def test_speed_stays_intelligible(asked: float, given: float) -> None:
    engine = ToneEngine()
    list(Speaker(engine, longest_chars=200).speak("Hello.", asked))
    assert engine.asked == [("Hello.", given)]


def test_mulaw_is_the_same_speech() -> None:
    speaker = Speaker(ToneEngine(), longest_chars=200)
    whole = np.concatenate(list(speaker.speak("One two. Three.")))
    assert speaker.speak_mulaw("One two. Three.") == g711.encode(whole)
