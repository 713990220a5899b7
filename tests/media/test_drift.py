"""A bridge's delay over an hour, on a clock of the test's own."""

from __future__ import annotations

import heapq

import numpy as np
import pytest

from voicebot import g711
from voicebot.media.drift import Elastic
from voicebot.telephony.leg import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENT_FRAME

SPEECH = g711.encode((8000 * np.sin(np.arange(FRAME_SAMPLES) / 5)).astype(np.int16))
FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ


class PlayingEnd:
    """Plays what it is sent on a clock of its own, and reports every 200 ms with some latency."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self.sent = 0
        self._position = 0.0
        self._at_s = 0.0

    def advance(self, now_s: float) -> None:
        played = self._position + (now_s - self._at_s) * SAMPLE_RATE_HZ * self._rate
        self._position, self._at_s = min(played, float(self.sent)), now_s

    @property
    def position(self) -> int:
        return int(self._position)

    @property
    def waiting_ms(self) -> float:
        return (self.sent - self._position) * 1000 / SAMPLE_RATE_HZ


def carry(
    *, speaker_ppm: float, player_ppm: float, seconds: int, latency_s: float, jitter_s: float = 0.004
) -> tuple[Elastic, list[float]]:
    """Return the elastic and, for every frame, how long it waits before it is played."""
    chance = np.random.default_rng(7)
    elastic, end = Elastic(0, 0.0), PlayingEnd(1 + player_ppm / 1e6)
    waits = []
    reports: list[tuple[float, int]] = []
    next_report_s = 0.2
    for index in range(round(seconds / FRAME_S)):
        now_s = (index + 1) * FRAME_S / (1 + speaker_ppm / 1e6) + float(chance.random()) * jitter_s
        while next_report_s < now_s:
            end.advance(next_report_s)
            heapq.heappush(reports, (next_report_s + latency_s, end.position))
            next_report_s += 0.2
        while reports and reports[0][0] <= now_s:
            at_s, position = heapq.heappop(reports)
            elastic.played(position, at_s)
        end.advance(now_s)
        frame = SPEECH if index % 250 < 200 else SILENT_FRAME
        waits.append(end.waiting_ms)
        end.sent += FRAME_SAMPLES * elastic.copies(frame, end.sent, now_s)
    return elastic, waits


@pytest.mark.parametrize("latency_s", [0.0, 0.08])
@pytest.mark.parametrize(("speaker_ppm", "player_ppm"), [(500, 0), (-500, 0), (250, -250), (0, 500)])
def test_clocks_500_ppm_apart_stay_under_60_ms_for_an_hour(
    speaker_ppm: float, player_ppm: float, latency_s: float
) -> None:
    elastic, waits = carry(speaker_ppm=speaker_ppm, player_ppm=player_ppm, seconds=3600, latency_s=latency_s)
    assert max(waits) < 60
    assert float(np.mean(waits)) < 30
    # 500 ppm are 1.8 s an hour, 90 frames: no more than that is touched, but for the start.
    assert elastic.dropped + elastic.doubled < 110


def test_equal_clocks_are_left_alone() -> None:
    elastic, waits = carry(speaker_ppm=0, player_ppm=0, seconds=600, latency_s=0.0)
    assert elastic.dropped + elastic.doubled <= 2
    assert max(waits) < 60


def test_without_reports_the_far_end_is_taken_to_play_in_real_time() -> None:
    elastic = Elastic(0, 0.0)
    sent = 0
    for index in range(500):
        sent += FRAME_SAMPLES * elastic.copies(SILENT_FRAME, sent, index * FRAME_S)
    assert elastic.dropped + elastic.doubled <= 2


def test_a_longer_way_to_the_far_end_is_not_taken_for_backlog_for_ever() -> None:
    elastic = Elastic(0, 0.0)
    sent = 0
    for index in range(5000):
        now_s = index * FRAME_S
        latency_s = 0.0 if index < 1000 else 0.2
        if index % 10 == 0:
            elastic.played(max(0, sent - round(latency_s * SAMPLE_RATE_HZ)), now_s)
        sent += FRAME_SAMPLES * elastic.copies(SILENT_FRAME, sent, now_s)
    assert elastic.dropped < 10
