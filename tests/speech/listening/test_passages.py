from __future__ import annotations

import pytest

from tests.fakes.buzz import buzz
from voicebot.speech.listening import passages
from voicebot.speech.listening.passages import Passage, PassageFinder
from voicebot.telephony.leg import SILENT_FRAME

FRAME_S = 0.02


def found(*frames: bytes, began_s: float = 100.0) -> list[Passage]:
    """Feed frames, of which the first ends 20 ms after `began_s`, and end what is going on then."""
    finder = PassageFinder(None)
    heard = [finder.hear(frame, began_s + (number + 1) * FRAME_S) for number, frame in enumerate(frames)]
    return [passage for passage in (*heard, finder.end()) if passage]


def silence(seconds: float) -> list[bytes]:
    return [SILENT_FRAME] * round(seconds / FRAME_S)


def test_talk_is_cut_at_silences_and_each_part_keeps_its_place_in_time() -> None:
    parts = found(*silence(1.0), *buzz(1.0), *silence(1.5), *buzz(2.0), *silence(1.5))
    assert [round(part.began_s - 100.0, 1) for part in parts] == pytest.approx([0.7, 3.2], abs=0.1)
    assert [part.spoken_ms for part in parts] == pytest.approx([1300, 2300], abs=150)


def test_a_passage_holds_the_audio_from_before_its_speech_was_noticed() -> None:
    (part,) = found(*silence(1.0), *buzz(1.0), *silence(1.5))
    assert len(part.pcm) / 16_000 == pytest.approx(1.6, abs=0.15), "pre-roll, speech and a little of the silence"


def test_a_short_pause_cuts_nothing() -> None:
    assert len(found(*silence(0.5), *buzz(1.0), *silence(0.4), *buzz(1.0), *silence(1.5))) == 1


def test_who_talks_for_long_is_written_down_in_parts_without_a_gap_between_them() -> None:
    parts = found(*silence(0.5), *buzz(12.0), *silence(0.4), *buzz(12.0), *silence(1.5))
    assert len(parts) == 2
    first, second = parts
    assert first.began_s + len(first.pcm) / 16_000 == pytest.approx(second.began_s)
    assert 8.0 <= first.spoken_ms / 1000 <= passages.LONGEST_S
    assert (first.spoken_ms + second.spoken_ms) / 1000 == pytest.approx(24.7, abs=0.3)


def test_who_makes_no_pause_is_cut_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passages, "_SHORTEST_S", passages.LONGEST_S)  # no pause is late enough
    first, *_ = found(*silence(0.5), *buzz(25.0), *silence(1.5))
    assert first.spoken_ms / 1000 == pytest.approx(passages.LONGEST_S, abs=0.1)


def test_what_is_going_on_at_the_end_is_a_passage_too() -> None:
    (part,) = found(*silence(0.5), *buzz(1.0))
    assert part.spoken_ms == pytest.approx(1300, abs=150)


def test_silence_is_no_passage() -> None:
    assert found(*silence(5.0)) == []
