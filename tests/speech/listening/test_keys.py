"""Keys collected into entries, with times given."""

from __future__ import annotations

import pytest

from voicebot.dialog.expectation import KeyEntry
from voicebot.speech.listening.keys import IncompleteReason, KeyCollector, KeysCompleted, KeysEvent, KeysIncomplete

PIN = KeyEntry(min_keys=4, max_keys=6, gap_s=3.0)


def press_all(collector: KeyCollector, keys: str, *, apart_s: float = 0.3) -> list[KeysEvent | None]:
    return [collector.press(key, number * apart_s) for number, key in enumerate(keys)]


def test_an_entry_is_complete_at_its_most_keys() -> None:
    assert press_all(KeyCollector(PIN), "123456") == [None] * 5 + [KeysCompleted("123456")]


def test_the_terminator_completes_an_entry_and_is_no_part_of_it() -> None:
    assert press_all(KeyCollector(PIN), "1234#")[-1] == KeysCompleted("1234")


def test_a_terminator_that_comes_too_early_gives_an_incomplete_entry() -> None:
    assert press_all(KeyCollector(PIN), "12#")[-1] == KeysIncomplete("12", IncompleteReason.TERMINATED_EARLY)


def test_the_terminator_alone_is_an_incomplete_entry() -> None:
    assert press_all(KeyCollector(PIN), "#") == [KeysIncomplete("", IncompleteReason.TERMINATED_EARLY)]


def test_an_entry_without_further_keys_is_complete_if_it_has_the_fewest() -> None:
    collector = KeyCollector(PIN)
    press_all(collector, "1234")
    assert collector.deadline_s == pytest.approx(0.9 + 3.0)
    assert collector.expire(3.8) is None
    assert collector.expire(3.9) == KeysCompleted("1234")


def test_too_few_keys_time_out_as_incomplete() -> None:
    collector = KeyCollector(PIN)
    press_all(collector, "12")
    assert collector.expire(10.0) == KeysIncomplete("12", IncompleteReason.TIMED_OUT)


def test_nothing_keyed_never_expires() -> None:
    collector = KeyCollector(PIN)
    assert collector.deadline_s is None
    assert collector.expire(1e9) is None


def test_a_key_reported_twice_counts_once() -> None:
    collector = KeyCollector(PIN)
    collector.press("7", 1.0)
    collector.press("7", 1.05)
    collector.press("7", 1.4)
    assert collector.expire(5.0) == KeysIncomplete("77", IncompleteReason.TIMED_OUT)


def test_a_second_entry_begins_empty() -> None:
    collector = KeyCollector(PIN)
    press_all(collector, "1234#")
    assert not collector.collecting
    assert [collector.press(key, 10.0 + at) for at, key in enumerate("9876#")][-1] == KeysCompleted("9876")


def test_an_entry_without_terminator_takes_every_key() -> None:
    collector = KeyCollector(KeyEntry(min_keys=1, max_keys=2, terminator=""))
    assert press_all(collector, "*#")[-1] == KeysCompleted("*#")


@pytest.mark.parametrize("key", ["", "12", "E", "a", "٣"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="a key is one of"):
        KeyCollector(PIN).press(key, 0.0)
