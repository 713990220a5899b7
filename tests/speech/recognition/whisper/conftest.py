from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.whisper_model import write_whisper_model
from tests.speech.recognition.whisper.tiny import TEXT


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whisper_model(tmp_path_factory.mktemp("models") / "tiny-test", says=TEXT)
