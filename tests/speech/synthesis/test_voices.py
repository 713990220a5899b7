from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from tests.fakes.piper_voice import RATE_HZ, SECONDS_A_PHONEME, make_piper_voice
from voicebot import g711
from voicebot.errors import EngineUnavailable
from voicebot.speech.synthesis import voices
from voicebot.speech.synthesis.piper import SUGGESTED_VOICE, PiperEngine, find_piper_voice, pull_piper_voice
from voicebot.speech.synthesis.sound import active_level_dbfs
from voicebot.speech.synthesis.voices import choose_voice, list_voices, load_speaker, second_voice
from voicebot.speech.tts import Voice


@pytest.fixture
def without_flite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "flite_library_present", lambda _: False)
    monkeypatch.setenv("PATH", "")


@pytest.fixture
def with_flite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "flite_library_present", lambda _: True)


@pytest.fixture
def without_gpl(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> ModuleSpec | None:
        return None if name in {"piper", "espeakng_loader"} else importlib.util.find_spec(name)

    monkeypatch.setattr(voices, "find_spec", find)
    monkeypatch.setattr(voices, "espeak_library_present", lambda: False)


@pytest.mark.usefixtures("with_flite")
def test_a_piper_voice_is_preferred_where_one_is(tmp_path: Path) -> None:
    make_piper_voice(tmp_path / "voices", "en_US-hum-low")
    choice = choose_voice(None, tmp_path)
    assert choice.voice == Voice("piper", "en_US-hum-low")


@pytest.mark.usefixtures("with_flite")
def test_flite_speaks_where_piper_has_no_voice_and_the_reason_says_so(tmp_path: Path) -> None:
    choice = choose_voice(None, tmp_path)
    assert choice.voice == Voice("flite", "rms")
    assert "not piper" in choice.why
    assert ".onnx" in choice.why


@pytest.mark.usefixtures("without_flite")
def test_espeak_is_the_last_choice_and_says_what_would_be_better() -> None:
    choice = choose_voice(None, None)
    assert choice.voice == Voice("espeak", "en-us+klatt5")
    assert "apt-get install flite" in choice.why


@pytest.mark.usefixtures("without_flite", "without_gpl")
def test_without_any_voice_every_remedy_is_named() -> None:
    with pytest.raises(EngineUnavailable) as raised:
        choose_voice(None, None)
    assert "gpl" in str(raised.value)
    assert "apt-get install flite" in str(raised.value)


@pytest.mark.parametrize(("engine", "name", "told"), [("blah", "", "blah"), ("piper", "nope", "piper:nope")])
def test_a_configured_voice_that_is_not_there_is_named_as_it_was_written(engine: str, name: str, told: str) -> None:
    with pytest.raises(EngineUnavailable, match=rf"`voice`: there is no voice {told}: .*'voicebot models' lists"):
        choose_voice(Voice(engine, name, 1.0), None)


@pytest.mark.usefixtures("with_flite")
def test_the_configured_voice_wins() -> None:
    configured = Voice("espeak", "en-us+f3", 0.9)
    choice = choose_voice(configured, None)
    assert (choice.voice, choice.why) == (configured, "configured")


@pytest.mark.usefixtures("without_flite")
@pytest.mark.parametrize(
    ("voice", "message"),
    [
        (Voice("flite", "rms"), "apt-get install flite"),
        (Voice("flite", "nobody"), "rms, slt"),
        (Voice("piper", "nobody"), r"nobody\.onnx"),
        (Voice("festival", "kal"), "piper, flite, espeak"),
        (Voice("wyoming", "voice.example"), "tcp://host:port"),
    ],
)
def test_a_configured_voice_that_is_missing_is_never_replaced(voice: Voice, message: str) -> None:
    with pytest.raises(EngineUnavailable, match=message):
        choose_voice(voice, None)


def test_a_wyoming_server_can_be_the_configured_voice() -> None:
    server = Voice("wyoming", "tcp://10.0.0.7:10200, tcp://10.0.0.8:10200")
    assert choose_voice(server, None).voice == server
    with pytest.raises(EngineUnavailable, match="speaks for itself"):
        load_speaker(server, None)


def test_the_list_names_every_engine_and_what_each_lacks(tmp_path: Path) -> None:
    reports = list_voices(tmp_path)
    assert [str(report.voice.engine) for report in reports] == ["piper", "flite", "flite", "espeak"]
    assert all(report.note for report in reports)
    assert not reports[0].present


def test_asking_which_voices_there_are_imports_nothing_gpl() -> None:
    asked = (
        "import sys; from voicebot.speech.synthesis.voices import list_voices; list_voices(None);"
        "print([name for name in ('piper', 'espeakng_loader') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True).stdout
    assert answer.strip() == "[]"


@pytest.mark.parametrize("voice", [Voice("festival", "kal"), Voice("piper", "nobody")])
def test_a_voice_that_is_not_there_cannot_be_loaded(voice: Voice) -> None:
    with pytest.raises(EngineUnavailable):
        load_speaker(voice, None)


def test_a_piper_voice_is_found_by_path_by_name_or_as_the_only_one(tmp_path: Path) -> None:
    model = make_piper_voice(tmp_path / "deep" / "down")
    assert find_piper_voice(str(model), None) == model
    assert find_piper_voice("en_US-hum-low", tmp_path) == model
    assert find_piper_voice(None, tmp_path) == model
    assert find_piper_voice("another", tmp_path) is None
    assert find_piper_voice(None, tmp_path / "absent") is None


def test_the_suggested_voice_goes_before_others(tmp_path: Path) -> None:
    make_piper_voice(tmp_path, "aa_AA-first-low")
    suggested = make_piper_voice(tmp_path, SUGGESTED_VOICE)
    assert find_piper_voice(None, tmp_path) == suggested


def test_an_onnx_file_without_its_settings_is_no_voice(tmp_path: Path) -> None:
    make_piper_voice(tmp_path, with_settings=False)
    assert find_piper_voice(None, tmp_path) is None


def test_piper_speaks_through_its_own_phonemes_and_graph(tmp_path: Path) -> None:
    engine = PiperEngine(make_piper_voice(tmp_path))
    assert engine.rate_hz == RATE_HZ
    spoken = np.concatenate(list(engine.synthesize("Hello there.", 1.0)))
    assert len(spoken) / RATE_HZ > 8 * SECONDS_A_PHONEME
    # normalize_audio would have brought the peak to full scale.
    assert np.abs(spoken.astype(np.int32)).max() < 2000


def test_piper_speaks_faster_when_asked(tmp_path: Path) -> None:
    engine = PiperEngine(make_piper_voice(tmp_path))
    usual, fast = (sum(len(chunk) for chunk in engine.synthesize("Hello there.", speed)) for speed in (1.0, 2.0))
    assert fast == pytest.approx(usual / 2, rel=0.01)


def test_piper_speaks_in_clauses_at_the_telephone_s_level(tmp_path: Path) -> None:
    make_piper_voice(tmp_path)
    speaker = load_speaker(Voice("piper", "en_US-hum-low"), tmp_path)
    clauses = list(
        speaker.speak("Your order has left the warehouse on Monday, and it will arrive tomorrow before noon.")
    )
    assert len(clauses) == 2
    assert active_level_dbfs(g711.decode(g711.encode(clauses[0]))) == pytest.approx(-20, abs=0.5)


@pytest.mark.parametrize("damage", ["settings", "model"])
def test_a_damaged_piper_voice_is_refused(tmp_path: Path, damage: str) -> None:
    model = make_piper_voice(tmp_path)
    (Path(f"{model}.json") if damage == "settings" else model).write_text("{}")
    with pytest.raises(EngineUnavailable, match="cannot be loaded"):
        PiperEngine(model)


def test_piper_uses_as_many_threads_as_it_is_given(tmp_path: Path) -> None:
    engine = PiperEngine(make_piper_voice(tmp_path), threads=2)
    assert engine._voice.session.get_session_options().intra_op_num_threads == 2


def test_without_piper_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_piper_voice(tmp_path)
    monkeypatch.setitem(sys.modules, "piper", None)
    with pytest.raises(EngineUnavailable, match="`gpl` extra"):
        PiperEngine(model)


def test_a_voice_is_fetched_by_its_name_to_where_it_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(repository: str, file: str, *, local_dir: Path) -> None:
        assert repository == "rhasspy/piper-voices"
        path = local_dir / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    fetched = pull_piper_voice(SUGGESTED_VOICE, tmp_path)
    assert fetched.read_text() == "en/en_US/ljspeech/medium/en_US-ljspeech-medium.onnx"
    assert find_piper_voice(SUGGESTED_VOICE, tmp_path) == fetched


def test_a_fetch_that_breaks_off_leaves_no_voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(_: str, file: str, *, local_dir: Path) -> None:
        if file.endswith(".json"):
            raise LocalEntryNotFoundError("the hub does not answer")
        path = local_dir / file
        path.parent.mkdir(parents=True)
        path.write_text(file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(EngineUnavailable, match="could not be fetched"):
        pull_piper_voice(SUGGESTED_VOICE, tmp_path)
    assert find_piper_voice(SUGGESTED_VOICE, tmp_path) is None


@pytest.mark.parametrize("name", ["ljspeech", "../../etc/passwd", "en_US-ljspeech-huge", ""])
def test_what_is_no_voice_s_name_is_not_fetched(tmp_path: Path, name: str) -> None:
    with pytest.raises(EngineUnavailable, match="one looks like en_US-ljspeech-medium"):
        pull_piper_voice(name, tmp_path)


@pytest.mark.usefixtures("with_flite")
def test_the_second_voice_is_the_best_of_another_engine(tmp_path: Path) -> None:
    make_piper_voice(tmp_path / "voices", "en_US-hum-low")
    assert second_voice(Voice("piper", "en_US-hum-low"), tmp_path) == Voice("flite", "rms")
    assert second_voice(Voice("flite", "rms"), tmp_path) == Voice("piper", "en_US-hum-low")


@pytest.mark.usefixtures("without_flite")
def test_there_is_no_second_voice_where_one_engine_is_alone() -> None:
    assert second_voice(Voice("espeak", "en-us+klatt5"), None) is None
