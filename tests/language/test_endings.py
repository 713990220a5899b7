from __future__ import annotations

import pytest

from voicebot.language.endings import Endings

ENDINGS = Endings(
    (
        *("Where is my order?", "Is my order on the way?", "cancel my order", "change my order for tomorrow"),
        *("what's my balance", "tell me my balance", "open it", "open it for me", "nothing else thank you"),
    )
)


@pytest.mark.parametrize(
    ("text", "chance"),
    [
        ("where is my order", 1.0),
        ("i want to see my order", 0.5),
        ("give me my balance", 1.0),
        ("do you have my", 0.0),
        ("when are you open", None),
        ("can you open it", None),  # once of twice says nothing
        ("nothing else", 1.0),  # a courtesy behind it is no part of it
        ("way", None),
        ("give it order", None),  # a single word that ends some says nothing
    ],
)
def test_the_share_of_examples_that_end_so_is_told_where_enough_were_seen(text: str, chance: float | None) -> None:
    assert ENDINGS.chance(text.split()) == chance


def test_nothing_is_known_without_examples() -> None:
    assert Endings(()).chance(("yes",)) is None
