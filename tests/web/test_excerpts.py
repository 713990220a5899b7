from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from voicebot.records.record import Speaker
from voicebot.web.excerpts import Excerpt, excerpt

TURNS: list[Mapping[str, Any]] = [
    {"speaker": "bot", "text": "Is it about an order?"},
    {"speaker": "caller", "text": "I want my money back, my ORDER never came"},
    {"speaker": "caller", "text": ""},
]


def test_the_words_searched_for_are_shown_where_they_were_said() -> None:
    assert excerpt(TURNS, "order", Speaker.CALLER) == Excerpt(
        1, "caller", "I want my money back, my ", "ORDER", " never came"
    )
    assert excerpt(TURNS, "order") == Excerpt(0, "bot", "Is it about an ", "order", "?")


@pytest.mark.parametrize(
    ("words", "found"),
    [('"back my"', "back, my"), ("mon*", "money"), ("mon", None), ("never absent", "never"), ("!?", None), ('"', None)],
)
def test_phrases_and_open_ends_are_found_as_the_search_finds_them(words: str, found: str | None) -> None:
    shown = excerpt(TURNS, words, Speaker.CALLER)

    assert (shown and shown.found) == found


def test_a_long_turn_is_cut_at_words() -> None:
    long = {"speaker": "bot", "text": "one two three " * 20 + "needle " + "four five six " * 20}
    shown = excerpt([long], "needle")

    assert shown is not None
    assert shown.before.startswith("…")
    assert shown.after.endswith("…")
    assert len(shown.before) < 70 > len(shown.after)
