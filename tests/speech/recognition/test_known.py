from __future__ import annotations

import pytest

from voicebot.speech.recognition.known import all_known


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("Are you open?", True),
        ("Are you open at 10?", False),
        ("Are you open on Saturday?", True),
        ("Are you open tomorrow?", True),
        ("You open 12", True),
        ("Are you often open?", False),
        ("?", False),
    ],
)
def test_numbers_and_days_may_come_in_any_request(text: str, known: bool) -> None:
    assert all_known(text, {"are", "you", "open", "on", "twelve"}) == known
