from __future__ import annotations

from tests.fakes.voice import hum
from voicebot.simulation.playout import Playout
from voicebot.telephony.leg import FRAME_BYTES, SILENT_FRAME

LOUD = hum("one")[:FRAME_BYTES]


def test_an_empty_line_plays_silence_and_returns_marks_at_once() -> None:
    playout = Playout()
    assert playout.tick(0.0).frame == SILENT_FRAME
    assert playout.mark("m") == ("m",)


def test_audio_is_played_in_frames_whatever_the_size_it_came_in() -> None:
    playout = Playout()
    playout.receive(b"\x01" * 100, 0.0)
    playout.receive(b"\x02" * 100, 0.0)
    assert playout.tick(0.0).frame == b"\x01" * 100 + b"\x02" * 60
    assert playout.tick(0.02).frame == b"\x02" * 40 + SILENT_FRAME[40:]


def test_a_mark_comes_back_when_the_audio_before_it_was_played_and_not_earlier() -> None:
    playout = Playout()
    playout.receive(LOUD * 2, 0.0)
    assert playout.mark("middle") == ()
    playout.receive(LOUD, 0.0)
    assert playout.mark("end") == ()
    assert [playout.tick(tick * 0.02).marks for tick in range(4)] == [(), ("middle",), ("end",), ()]


def test_clear_drops_the_queue_and_returns_its_marks_in_order() -> None:
    playout = Playout()
    playout.receive(LOUD, 0.0)
    playout.mark("a")
    playout.receive(LOUD, 0.0)
    playout.mark("b")
    assert playout.clear() == ("a", "b")
    assert playout.queued_ms == 0
    assert playout.tick(0.0).frame == SILENT_FRAME


def test_the_depth_of_the_queue_is_measured_at_its_deepest() -> None:
    playout = Playout()
    for _ in range(15):
        playout.receive(LOUD, 0.0)
    for tick in range(10):
        playout.tick(tick * 0.02)
    assert playout.deepest_bytes == 15 * FRAME_BYTES
    assert playout.queued_ms == 100


def test_a_frame_that_leaves_the_line_dry_in_mid_word_is_late_by_as_long() -> None:
    playout = Playout()
    playout.receive(LOUD, 0.0)
    playout.tick(0.0)
    playout.receive(LOUD, 0.055)
    assert playout.arrivals[-1].late_s == 0.055 - 0.02
    assert round(playout.arrivals[-1].over_pace_s, 6) == 0.035


def test_a_late_frame_is_not_heard_while_the_queue_lasts_but_is_over_pace() -> None:
    playout = Playout()
    playout.receive(LOUD * 5, 0.0)
    for tick in range(3):
        playout.tick(tick * 0.02)
    playout.receive(LOUD, 0.2)
    assert playout.arrivals[-1].late_s == 0
    assert round(playout.arrivals[-1].over_pace_s, 6) == 0.1


def test_a_pause_after_a_quiet_end_begins_a_new_utterance_and_is_not_late() -> None:
    playout = Playout()
    playout.receive(LOUD + SILENT_FRAME * 3, 0.0)
    for tick in range(4):
        playout.tick(tick * 0.02)
    playout.receive(LOUD, 0.5)
    assert (playout.arrivals[-1].late_s, playout.arrivals[-1].over_pace_s) == (0, 0)


def test_a_stall_in_mid_word_is_late_however_long_it_lasts() -> None:
    playout = Playout()
    playout.receive(LOUD, 0.0)
    playout.tick(0.0)
    playout.receive(LOUD, 1.0)
    assert playout.arrivals[-1].late_s == 0.98


def test_what_follows_a_clear_is_a_new_utterance() -> None:
    playout = Playout()
    playout.receive(LOUD * 10, 0.0)
    playout.tick(0.0)
    playout.clear()
    playout.receive(LOUD, 0.4)
    assert playout.arrivals[-1].late_s == 0


def test_audio_cut_in_two_for_a_mark_has_the_pace_of_the_whole() -> None:
    playout = Playout()
    playout.receive(LOUD * 3, 0.0)
    assert playout.mark("m") == ()
    playout.receive(LOUD * 2, 0.0005)
    for tick in range(5):
        playout.tick(tick * 0.02)
    playout.receive(LOUD * 5, 0.1)
    assert playout.arrivals[-1].over_pace_s < 0.001
    playout.receive(LOUD * 5, 0.23)
    assert round(playout.arrivals[-1].over_pace_s, 6) == 0.03
