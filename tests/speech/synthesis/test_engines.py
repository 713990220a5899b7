from __future__ import annotations

import ctypes
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from voicebot.errors import EngineUnavailable
from voicebot.speech.synthesis.engine import SpeechEngine
from voicebot.speech.synthesis.espeak import EspeakEngine
from voicebot.speech.synthesis.flite import FliteCommand, FliteLibrary, load_flite

SENTENCE = "Your order left the warehouse on Monday."


def _flite_installed() -> bool:
    try:
        ctypes.CDLL("libflite_cmu_us_rms.so.1")
    except OSError:
        return False
    return True


needs_flite = pytest.mark.skipif(not _flite_installed(), reason="flite is not installed")
needs_flite_command = pytest.mark.skipif(shutil.which("flite") is None, reason="the flite command is not installed")


def _engines() -> Iterator[object]:
    yield pytest.param(lambda: EspeakEngine("en-us+klatt5"), id="espeak-klatt5")
    yield pytest.param(lambda: EspeakEngine("en-us+f3"), id="espeak-f3")
    yield pytest.param(lambda: FliteLibrary("rms"), id="flite-rms", marks=needs_flite)
    yield pytest.param(lambda: FliteLibrary("slt"), id="flite-slt", marks=needs_flite)
    yield pytest.param(
        lambda: FliteCommand(Path(shutil.which("flite") or ""), "rms"), id="flite-command", marks=needs_flite_command
    )


@pytest.fixture(params=_engines())
def engine(request: pytest.FixtureRequest) -> SpeechEngine:
    made: SpeechEngine = request.param()
    return made


def _seconds(engine: SpeechEngine, text: str, speed: float = 1.0) -> float:
    return sum(len(chunk) for chunk in engine.synthesize(text, speed)) / engine.rate_hz


def test_a_sentence_takes_about_as_long_as_a_person_would(engine: SpeechEngine) -> None:
    assert 1.5 < _seconds(engine, SENTENCE) < 4.0


def test_speed_shortens_and_lengthens_speech(engine: SpeechEngine) -> None:
    usual = _seconds(engine, SENTENCE)
    assert _seconds(engine, SENTENCE, 1.5) < 0.8 * usual
    assert _seconds(engine, SENTENCE, 0.7) > 1.25 * usual


def test_an_engine_makes_sound_every_time_it_is_asked(engine: SpeechEngine) -> None:
    for _ in range(3):
        loudest = max(int(np.abs(chunk.astype(np.int32)).max(initial=0)) for chunk in engine.synthesize("Hello.", 1.0))
        assert loudest > 1000


def test_characters_the_engine_may_not_know_do_no_harm(engine: SpeechEngine) -> None:
    assert _seconds(engine, "Café Müller — 東京, naïve 🙂 done.") > 0.5


@needs_flite
def test_flite_says_a_sentence_the_same_way_each_time() -> None:
    engine = FliteLibrary("rms")
    first = np.concatenate(list(engine.synthesize(SENTENCE, 1.0)))
    list(engine.synthesize("Something else in between.", 1.0))
    assert np.array_equal(first, np.concatenate(list(engine.synthesize(SENTENCE, 1.0))))


@needs_flite
def test_flite_reads_letters_with_accents_as_those_without() -> None:
    voice = FliteLibrary("rms")
    assert _seconds(voice, "The caf\u00e9 is open.") == _seconds(voice, "The cafe is open.")
    assert _seconds(voice, "") < 0.5


def test_voices_of_one_engine_differ() -> None:
    low, high = EspeakEngine("en-us+klatt5"), EspeakEngine("en-us+f3")

    def said(voice: EspeakEngine) -> bytes:
        return b"".join(chunk.tobytes() for chunk in voice.synthesize("Hello.", 1.0))

    assert said(low) != said(high)


def test_two_espeak_voices_in_one_process_do_not_mix_up() -> None:
    low, high = EspeakEngine("en-us+m3"), EspeakEngine("en-us+f3")
    before, other, after = (_seconds(voice, "Hello.") for voice in (low, high, low))
    # The engine flutters its pitch at random, so that lengths differ by a millisecond or so from time to time.
    assert after == pytest.approx(before, abs=0.01)
    assert other != pytest.approx(before, abs=0.04)


@pytest.mark.parametrize("name", ["en-us+nobody", "xx-yy", "xx-yy+f3", "en-us+../../phondata", ""])
def test_an_unknown_espeak_voice_is_refused_with_a_suggestion(name: str) -> None:
    with pytest.raises(EngineUnavailable, match=r"no voice .*; try"):
        EspeakEngine(name)


def test_an_unknown_flite_voice_is_refused_with_the_list() -> None:
    with pytest.raises(EngineUnavailable, match="rms, slt"):
        load_flite("nobody")


@needs_flite_command
def test_the_flite_command_serves_where_the_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ctypes.CDLL

    def absent(name: str, mode: int = 0) -> ctypes.CDLL:
        if name.startswith("libflite"):
            raise OSError(f"{name}: cannot open shared object file")
        return real(name, mode)

    monkeypatch.setattr(ctypes, "CDLL", absent)
    assert isinstance(load_flite("rms"), FliteCommand)


def test_a_flite_command_that_fails_makes_the_engine_unavailable() -> None:
    with pytest.raises(EngineUnavailable, match="flite command failed"):
        list(FliteCommand(Path("/bin/false"), "rms").synthesize("Hello.", 1.0))


def test_without_library_or_command_the_error_says_how_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, mode: int = 0) -> ctypes.CDLL:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", absent)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EngineUnavailable, match="apt-get install flite"):
        load_flite("rms")
