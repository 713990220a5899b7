"""Models and voices by their names on the public hub: the hub's own client against one on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.hub import hub
from tests.fakes.piper_voice import make_piper_voice
from tests.fakes.whisper_model import write_whisper_model
from voicebot.errors import EngineUnavailable
from voicebot.speech.models import find_whisper_model
from voicebot.speech.recognition.whisper.hub import pull_whisper_model, repository_of
from voicebot.speech.recognition.whisper.model import CONTEXT_S, Model
from voicebot.speech.synthesis.piper import PiperEngine, find_piper_voice


def pull(name: str, models: Path, address: str) -> subprocess.CompletedProcess[str]:
    """Run ``voicebot models pull`` with the hub at `address`; its client reads that once, when it is imported."""
    environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(models.parent / "home")}
    command = [sys.executable, "-m", "voicebot", "models", "pull", name, "--models", str(models)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_a_whisper_model_is_fetched_by_its_size_and_is_then_the_default(tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "Systran" / "faster-whisper-base.en"
    write_whisper_model(repository, says="hello")
    (repository / "README.md").write_text("not wanted")
    with hub(tmp_path / "hub") as address:
        done = pull("base.en", tmp_path / "models", address)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "models" / "whisper-base.en"
    assert f"VOICEBOT_WHISPER_MODEL={folder}" in done.stdout
    assert find_whisper_model(None, tmp_path / "models") == folder
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        file.name: file.read_bytes() for file in repository.iterdir() if file.name != "README.md"
    }
    loaded = Model(str(folder), threads=1, compute_type="int8", context_s=CONTEXT_S, local_only=True)
    assert loaded.name == "whisper-base.en"
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["whisper-base.en"]


def test_a_voice_is_fetched_by_its_name_and_speaks(tmp_path: Path) -> None:
    made = make_piper_voice(
        tmp_path / "hub" / "rhasspy" / "piper-voices" / "en" / "en_US" / "hum" / "low", "en_US-hum-low"
    )
    with hub(tmp_path / "hub") as address:
        done = pull("en_US-hum-low", tmp_path / "models", address)
    assert done.returncode == 0, done.stderr
    found = find_piper_voice("en_US-hum-low", tmp_path / "models")
    assert found is not None
    assert found.read_bytes() == made.read_bytes()
    assert f"VOICEBOT_VOICE=piper:{found}" in done.stdout
    assert sum(len(chunk) for chunk in PiperEngine(found).synthesize("Hello there.", 1.0))


@pytest.mark.parametrize("name", ["base.en", "somebody/elses-model"])
def test_what_the_hub_lacks_is_named_and_nothing_is_left(tmp_path: Path, name: str) -> None:
    with hub(tmp_path / "hub") as address:
        done = pull(name, tmp_path / "models", address)
    assert done.returncode != 0
    assert f"the Whisper model {name} could not be fetched" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "models").iterdir()) == []


def test_a_repository_of_something_else_is_refused(tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "somebody" / "elses-model"
    repository.mkdir(parents=True)
    (repository / "config.json").write_text("{}")
    with hub(tmp_path / "hub") as address:
        done = pull("somebody/elses-model", tmp_path / "models", address)
    assert "model.bin, tokenizer.json missing" in done.stderr
    assert list((tmp_path / "models").iterdir()) == []


def test_a_hub_that_does_not_answer_is_a_clear_error(tmp_path: Path, unused_tcp_port: int) -> None:
    done = pull("base.en", tmp_path / "models", f"http://127.0.0.1:{unused_tcp_port}")
    assert "the Whisper model base.en could not be fetched" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["base.en", "en_US-lessac-medium"])
def test_a_connection_that_breaks_off_is_a_clear_error_and_leaves_no_model(tmp_path: Path, name: str) -> None:
    (tmp_path / "hub" / "Systran" / "faster-whisper-base.en").mkdir(parents=True)
    (tmp_path / "hub" / "Systran" / "faster-whisper-base.en" / "config.json").write_text("{}")
    with hub(tmp_path / "hub", breaks_off=True) as address:
        done = pull(name, tmp_path / "models", address)
    assert f"{name} could not be fetched" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [file for file in (tmp_path / "models").rglob("*") if file.suffix in {".bin", ".onnx"}]


def test_a_name_that_the_hub_does_not_take_is_a_clear_error(tmp_path: Path, unused_tcp_port: int) -> None:
    done = pull("some--body/a-model", tmp_path / "models", f"http://127.0.0.1:{unused_tcp_port}")
    assert (
        "the Whisper model some--body/a-model could not be fetched (HFValidationError). Is its name right"
        in done.stderr
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("base.en", "Systran/faster-whisper-base.en"),
        ("whisper-small", "Systran/faster-whisper-small"),
        ("large-v3", "Systran/faster-whisper-large-v3"),
        ("somebody/a-model.of_ours", "somebody/a-model.of_ours"),
        ("enormous", None),
        ("../../etc", None),
        ("a/b/c", None),
        ("", None),
    ],
)
def test_a_models_name_says_where_the_hub_has_it(name: str, repository: str | None, tmp_path: Path) -> None:
    assert repository_of(name) == repository
    if repository is None:
        with pytest.raises(EngineUnavailable, match="one looks like"):
            pull_whisper_model(name, tmp_path)
