"""What a grammar heard against what a language model heard."""

from __future__ import annotations

import pytest

from voicebot.speech.recognition.sphinx.weighing import holds_a_phrase


@pytest.mark.parametrize(
    ("free", "holds"),
    [
        ("well i want a person now", True),
        ("i want", False),  # too little to overrule a grammar
        ("five i want two", False),
    ],
)
def test_only_a_phrase_word_for_word_overrules_a_grammar(free: str, holds: bool) -> None:
    assert holds_a_phrase(free, ("i want a person", "i want")) is holds
