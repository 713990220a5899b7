from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.whisper_model import write_whisper_model
from voicebot.errors import EngineUnavailable
from voicebot.speech.models import (
    Recogniser,
    RecogniserWish,
    choose_recogniser,
    choose_recognisers,
    describe_models,
    find_whisper_model,
    list_recognisers,
)


@pytest.fixture(autouse=True)
def _no_hub_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_whisper_model(folder / "faster-whisper-tiny.en", says="hello")
    (folder / "empty").mkdir()
    return folder


def test_without_a_model_pocketsphinx_runs_and_says_why_not_whisper() -> None:
    choice = choose_recogniser(RecogniserWish())
    assert choice.engine is Recogniser.POCKETSPHINX
    assert choice.options == {"engine": "sphinx"}
    assert "VOICEBOT_MODELS" in choice.why


def test_a_whisper_model_in_the_folder_is_preferred(models_dir: Path) -> None:
    choice = choose_recogniser(RecogniserWish(models_dir=models_dir))
    assert choice.engine is Recogniser.TWO_PASS
    assert choice.options == {"engine": "two-pass", "model": str(models_dir / "faster-whisper-tiny.en")}
    alone = choose_recogniser(RecogniserWish(engine=Recogniser.WHISPER, models_dir=models_dir))
    assert alone.options == {"engine": "whisper", "model": str(models_dir / "faster-whisper-tiny.en")}


def test_pocketsphinx_stands_by_for_a_better_engine_unless_one_was_configured(models_dir: Path) -> None:
    engines = [choice.engine for choice in choose_recognisers(RecogniserWish(models_dir=models_dir))]
    assert engines == [Recogniser.TWO_PASS, Recogniser.POCKETSPHINX]
    configured = RecogniserWish(engine=Recogniser.WHISPER, models_dir=models_dir)
    assert [choice.engine for choice in choose_recognisers(configured)] == [Recogniser.WHISPER]
    assert [choice.engine for choice in choose_recognisers(RecogniserWish())] == [Recogniser.POCKETSPHINX]


def test_named_servers_come_first(models_dir: Path) -> None:
    choice = choose_recogniser(RecogniserWish(models_dir=models_dir, servers=("tcp://10.0.0.7:10300",)))
    assert (choice.engine, choice.servers) == (Recogniser.WYOMING, ("tcp://10.0.0.7:10300",))


def test_a_configured_engine_wins_over_a_better_one(models_dir: Path) -> None:
    choice = choose_recogniser(RecogniserWish(engine=Recogniser.POCKETSPHINX, models_dir=models_dir))
    assert (choice.engine, choice.why) == (Recogniser.POCKETSPHINX, "configured")


def test_a_configured_engine_that_is_missing_is_never_replaced() -> None:
    with pytest.raises(EngineUnavailable, match="whisper"):
        choose_recogniser(RecogniserWish(engine=Recogniser.WHISPER))


@pytest.mark.parametrize("name", ["tiny.en", "faster-whisper-tiny.en", None])
def test_a_model_is_found_by_its_short_name_and_its_folder(models_dir: Path, name: str | None) -> None:
    assert find_whisper_model(name, models_dir) == models_dir / "faster-whisper-tiny.en"


def test_a_model_is_found_by_its_path_and_in_the_hub_cache(models_dir: Path, tmp_path: Path) -> None:
    path = models_dir / "faster-whisper-tiny.en"
    assert find_whisper_model(str(path), None) == path
    assert find_whisper_model(str(models_dir / "empty"), None) is None
    snapshot = tmp_path / "hub" / "models--Systran--faster-whisper-base.en" / "snapshots" / "0123abc"
    write_whisper_model(snapshot, says="hello")
    assert find_whisper_model("base.en", None) == snapshot
    assert find_whisper_model("small.en", None) is None
    by_owner = tmp_path / "hub" / "models--somebody--a-model" / "snapshots" / "0123abc"
    write_whisper_model(by_owner, says="hello")
    assert find_whisper_model("somebody/a-model", None) == by_owner


def test_the_operators_own_models_come_before_the_installed_one_and_the_default_before_others(
    models_dir: Path, tmp_path: Path
) -> None:
    own, installed = tmp_path / "own", models_dir
    assert find_whisper_model(None, own, installed) == installed / "faster-whisper-tiny.en"
    assert find_whisper_model("tiny.en", own, installed) == installed / "faster-whisper-tiny.en"
    write_whisper_model(own / "a-model-of-ours", says="hello")
    assert find_whisper_model(None, own, installed) == own / "a-model-of-ours"
    write_whisper_model(own / "whisper-base.en", says="hello")
    assert find_whisper_model(None, own, installed) == own / "whisper-base.en"


def test_a_model_that_set_up_installed_hears_unless_pocketsphinx_alone_is_asked_for(models_dir: Path) -> None:
    unasked = choose_recogniser(RecogniserWish(installed_dir=models_dir))
    assert unasked.engine is Recogniser.TWO_PASS
    alone = choose_recogniser(RecogniserWish(engine=Recogniser.POCKETSPHINX, installed_dir=models_dir))
    assert alone.engine is Recogniser.POCKETSPHINX


@pytest.mark.parametrize("engine", [Recogniser.WHISPER, Recogniser.TWO_PASS])
def test_how_much_audio_whisper_hears_at_least_is_passed_on(models_dir: Path, engine: Recogniser) -> None:
    wish = RecogniserWish(engine=engine, models_dir=models_dir, whisper_context_s=10)
    assert choose_recogniser(wish).options["context_s"] == 10


def test_an_acoustic_model_of_ones_own_is_checked_and_passed_on(tmp_path: Path) -> None:
    wish = RecogniserWish(acoustic_model=tmp_path)
    assert [report.present for report in list_recognisers(wish)] == [False] * 5
    with pytest.raises(EngineUnavailable, match="No recogniser"):
        choose_recogniser(wish)
    (tmp_path / "feat.params").write_text("-upperf 4000\n")
    (tmp_path / "mdef").write_text("")
    assert choose_recogniser(wish).options == {"engine": "sphinx", "acoustic_model": str(tmp_path)}


def test_the_listing_shows_what_is_there_what_runs_and_why(models_dir: Path) -> None:
    listing = describe_models(RecogniserWish(models_dir=models_dir), None)
    assert "+ whisper/faster-whisper-tiny.en" in listing
    assert "runs: two-pass/faster-whisper-tiny.en, en-us (best present, pocketsphinx while the caller speaks" in listing
    assert "then: pocketsphinx/en-us (takes over when two-pass fails)" in listing
    assert "voices" in listing
    missing = describe_models(RecogniserWish(engine=Recogniser.WHISPER), None)
    assert "- whisper/base.en" in missing
    assert "runs: nothing (settings: `recognizer`: whisper cannot run" in missing


def test_a_vosk_model_is_found_by_its_files_and_comes_after_whisper(tmp_path: Path) -> None:
    pytest.importorskip("vosk")
    (tmp_path / "vosk-small" / "am").mkdir(parents=True)
    assert choose_recogniser(RecogniserWish(models_dir=tmp_path)).engine is Recogniser.POCKETSPHINX
    (tmp_path / "vosk-small" / "am" / "final.mdl").touch()
    engines = choose_recognisers(RecogniserWish(models_dir=tmp_path))
    assert [choice.engine for choice in engines] == [Recogniser.VOSK, Recogniser.POCKETSPHINX]
    assert engines[0].options == {"engine": "vosk", "model": str(tmp_path / "vosk-small")}
    assert "vosk/vosk-small" in describe_models(RecogniserWish(models_dir=tmp_path), None)
    named = RecogniserWish(engine=Recogniser.VOSK, vosk_model="another", models_dir=tmp_path)
    with pytest.raises(EngineUnavailable, match="no model another"):
        choose_recogniser(named)
