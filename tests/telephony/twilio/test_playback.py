from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.telephony.playback import Playback

SECOND = 8000


def test_between_marks_the_clock_says_what_was_heard() -> None:
    playback = Playback()
    playback.add(SECOND, 10.0)
    playback.set_mark()

    assert playback.heard(10.0) == 0
    assert playback.heard(10.5) == SECOND // 2


def test_without_its_mark_audio_is_never_wholly_past() -> None:
    playback = Playback()
    playback.add(1600, 0.0)
    first = playback.set_mark()
    playback.add(1600, 0.0)
    playback.set_mark()

    assert playback.heard(60.0) == 1600
    assert playback.mark_returned(first, 60.0) == 1600
    assert playback.heard(60.1) == 1600 + 800


def test_a_late_mark_sets_the_clock_right() -> None:
    playback = Playback()
    playback.add(3200, 0.0)
    mark = playback.set_mark()

    assert playback.mark_returned(mark, 0.9) == 3200
    playback.add(SECOND, 5.0)
    assert playback.heard(5.25) == 3200 + SECOND // 4


def test_marks_that_return_for_cleared_audio_are_not_heard() -> None:
    playback = Playback()
    playback.add(1600, 0.0)
    first = playback.set_mark()
    playback.add(1600, 0.0)
    second = playback.set_mark()
    playback.mark_returned(first, 0.2)

    assert playback.clear(0.25) == 1600 + 400
    assert playback.mark_returned(second, 0.3) is None
    playback.add(1600, 0.4)
    third = playback.set_mark()
    assert playback.heard(0.4) == 3200
    assert playback.mark_returned(third, 0.6) == 4800


def test_frames_that_were_never_written_still_count_as_sent() -> None:
    playback = Playback()
    playback.add(1600, 0.0)
    playback.clear(0.1, skipped=480)

    assert playback.sent == 2080
    playback.add(160, 0.2)
    assert playback.set_mark() == "2240"


@pytest.mark.parametrize("name", ["1600", "", "x", "٣", "-1", "9" * 5000])
def test_a_mark_that_was_never_set_is_not_known(name: str) -> None:
    with pytest.raises(LookupError):
        Playback().mark_returned(name, 0.0)


def test_a_mark_returns_once() -> None:
    playback = Playback()
    playback.add(160, 0.0)
    mark = playback.set_mark()
    playback.mark_returned(mark, 0.1)

    with pytest.raises(LookupError):
        playback.mark_returned(mark, 0.2)


@given(st.lists(st.sampled_from(["add", "mark", "return", "clear", "wait"]), max_size=60))
def test_the_heard_position_never_goes_back_nor_past_what_was_sent(steps: list[str]) -> None:
    playback = Playback()
    now_s = 0.0
    marks: list[str] = []
    before = 0
    for step in steps:
        match step:
            case "add":
                playback.add(160, now_s)
            case "mark" if playback.unmarked:
                marks.append(playback.set_mark())
            case "return" if marks:
                playback.mark_returned(marks.pop(0), now_s)
            case "clear":
                assert playback.clear(now_s) >= before
            case _:
                now_s += 0.07
        heard = playback.heard(now_s)
        assert before <= heard <= playback.sent
        before = heard
