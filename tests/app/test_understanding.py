"""What the server makes of a bot's examples, and what it says when the sentence encoder is missing."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest
from structlog.testing import capture_logs

from tests.dialog.strategies import FLOWS
from tests.language.test_understanding import INTENTS
from voicebot.app.understanding import learn_articles, learn_requests
from voicebot.backends.articles import Passage
from voicebot.backends.knowledge import KnowledgeSystem
from voicebot.language.encoder import ENCODER_FILE, VOCABULARY_FILE, find_encoder
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


@pytest.mark.skipif(
    find_encoder() is None, reason="no sentence encoder is installed (scripts/sentence_encoder.py makes it)"
)
@pytest.mark.parametrize(
    ("question", "heading"),
    [
        ("is there parking", "Where is the branch?"),
        ("i can't remember my pin", "How do I change my PIN?"),
        ("how many days do i have to return a jacket", "How long can I return something?"),
        ("how much do you charge for delivery", "What does delivery cost?"),
        ("who won the world cup", None),
        ("i don't have it here", None),
        ("how do i bake bread", None),
    ],
)
def test_articles_are_found_by_meaning(tmp_path: Path, question: str, heading: str | None) -> None:
    system = KnowledgeSystem(FLOWS / "knowledge", lambda passages: learn_articles(passages, None, tmp_path))
    found = system.find(question)
    assert (found and found.article.partition(": ")[2]) == heading


def test_without_an_encoder_articles_are_found_by_their_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicebot.language.encoder.installed_folder", lambda: tmp_path / "nowhere")
    assert learn_articles((Passage("a", ("b",), "c"),), None, tmp_path) is None
    system = KnowledgeSystem(FLOWS / "knowledge", lambda passages: learn_articles(passages, None, tmp_path))
    found = system.find("what does delivery cost")
    assert found is not None
    assert found.article.endswith("What does delivery cost?")
