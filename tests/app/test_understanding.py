"""What the server makes of a bot's examples, and what it says when the sentence encoder is missing."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest
from structlog.testing import capture_logs

from tests.language.test_understanding import INTENTS
from voicebot.app.understanding import learn_requests
from voicebot.language.encoder import ENCODER_FILE, VOCABULARY_FILE
from voicebot.language.validation import validate


def damaged(models: Path) -> Path:
    folder = models / "sentence-encoder"
    folder.mkdir(parents=True)
    (folder / ENCODER_FILE).write_bytes(b"no graph")
    (folder / VOCABULARY_FILE).write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n", encoding="utf-8")
    return models


def test_a_server_that_starts_again_takes_up_the_training_in_its_data_folder(tmp_path: Path) -> None:
    with patch("voicebot.language.intents.validate", wraps=validate) as validated:
        learn_requests(INTENTS, None, tmp_path)
        learn_requests(INTENTS, None, tmp_path)
        learn_requests(INTENTS, None, tmp_path / "another server")
    assert validated.call_count == 2


@pytest.mark.parametrize("is_damaged", [False, True], ids=["missing", "damaged"])
def test_without_an_encoder_words_alone_serve_and_the_log_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_damaged: bool
) -> None:
    monkeypatch.setattr("voicebot.language.encoder.installed_folder", lambda: tmp_path / "nowhere")
    models = damaged(tmp_path / "models") if is_damaged else tmp_path / "models"
    with capture_logs() as logs:
        understanding = learn_requests(INTENTS, models, tmp_path)
    (warning,) = [entry for entry in logs if entry["log_level"] == "warning"]
    assert warning["event"] == "no sentence encoder: requests are understood by their words alone"
    assert "scripts/" in (warning["problem"] if is_damaged else warning["fix"])
    assert not understanding.has_encoder
    assert understanding.threshold.in_scope_right > 0.7
