from __future__ import annotations

from voicebot.web import record_view


def test_times_are_shown_as_people_read_them() -> None:
    assert record_view.clock_time(0) == "0:00"
    assert record_view.clock_time(67_900) == "1:07"
    assert record_view.moment("2026-03-05T14:05:09Z") == "5 Mar 2026, 14:05 UTC"
    assert record_view.duration("2026-03-05T14:05:00Z", "2026-03-05T14:07:03.5Z") == "2:03"
    assert record_view.duration("2026-03-05T14:05:00Z", None) == "in progress"


def test_stages_lie_one_after_the_other_whatever_their_order() -> None:
    stages = record_view.stages({"first_audio_sent": 500.0, "end_of_turn": 250.0, "final": 250.0, "decode": 90.4})

    assert [(stage.name, stage.took_ms, stage.until_ms) for stage in stages] == [
        ("end of turn", 250, 250),
        ("final", 0, 250),
        ("first audio sent", 250, 500),
    ]
    assert [(stage.x, stage.width) for stage in stages] == [(0, 80), (80, 0), (80, 80)]


def test_a_slow_reply_stays_on_its_bar() -> None:
    slow = record_view.stages({"final": 900.0, "first_audio_sent": 4000.0})[-1]

    assert slow.x + slow.width == record_view.BAR_WIDTH
    assert slow.took_ms == 3100


def test_a_share_that_is_not_known_is_not_shown() -> None:
    assert record_view.percent(None) == ""
    assert record_view.percent(0.934) == "93 %"
    assert record_view.percent(0.9986) == "99 %"
    assert record_view.percent(1.0) == "100 %"


def test_what_is_no_stage_is_told_apart() -> None:
    assert record_view.durations({"final": 250.0, "decode": 90.4}) == [("decode", 90)]


def test_the_rules_of_a_turn_are_told_one_by_one() -> None:
    assert record_view.steps("welcome.first: intent; hours.done: flow_done") == [
        "welcome.first: intent",
        "hours.done: flow_done",
    ]
    assert record_view.steps("") == []
