"""A bridge's delay over an hour, on a clock of the test's own."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np
import pytest

from voicebot import g711
from voicebot.media.drift import Elastic
from voicebot.telephony.leg import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENT_FRAME
from voicebot.telephony.playback import Playback
from voicebot.telephony.playout import Playout

SPEECH = g711.encode((8000 * np.sin(np.arange(FRAME_SAMPLES) / 5)).astype(np.int16))
FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ
HOUR_S = 3600


@dataclass
class Pacing:
    """A leg that plays a frame at each deadline of its own, as RTP and AudioSocket do."""

    rate: float
    due_s: float
    playout: Playout = field(default_factory=Playout)
    gaps: int = 0

    def advance(self, now_s: float) -> list[float]:
        """Return when the frames that left by now left."""
        left = []
        while self.due_s <= now_s:
            if self.playout.next() is None:
                self.gaps += 1
            else:
                left.append(self.due_s)
            self.due_s += FRAME_S / self.rate
        return left

    def queued(self, now_s: float) -> int:
        return self.playout.queued_samples - self.playout.left_samples + round((self.due_s - now_s) * SAMPLE_RATE_HZ)


def forward(
    *, ppm: float, seconds: int = HOUR_S, jitter_s: float = 0.004, waiting: int = 0, talks: float = 0.8
) -> tuple[Elastic, Pacing, list[float]]:
    """Bridge a speaker whose clock runs `ppm` fast to a leg in which so many frames wait.

    Return how long each frame was under way, in milliseconds; ``inf`` for none.
    """
    chance = np.random.default_rng(7)
    leg = Pacing(1.0, 0.005)
    for _ in range(waiting):
        leg.playout.queue(SILENT_FRAME)
    elastic = Elastic(leg.queued(0.0), measured=True)
    under_way = [0.0] * waiting
    delays: list[float] = []
    for index in range(round(seconds / FRAME_S)):
        now_s = (index + 1) * FRAME_S / (1 + ppm / 1e6) + float(chance.random()) * jitter_s
        delays += [(left_s - under_way.pop(0)) * 1000 for left_s in leg.advance(now_s)]
        frame = SPEECH if index % 250 < 250 * talks else SILENT_FRAME
        for _ in range(elastic.copies(frame, leg.queued(now_s))):
            leg.playout.queue(frame)
            under_way.append(now_s)
    return elastic, leg, delays[waiting:]


@pytest.mark.parametrize("talks", [0.8, 1.0])
@pytest.mark.parametrize("ppm", [500, -500, 0])
def test_a_leg_that_paces_itself_adds_under_40_ms_and_stays_under_60_for_an_hour_at_500_ppm(
    ppm: float, talks: float
) -> None:
    elastic, leg, delays = forward(ppm=ppm, talks=talks)
    assert float(np.median(delays)) < 40
    assert max(delays) < 60
    # 500 ppm are 1.8 s an hour, 90 frames: no more than that is touched or missing.
    assert elastic.dropped + elastic.doubled + leg.gaps < 100


def test_an_even_line_is_left_alone() -> None:
    elastic, leg, delays = forward(ppm=0, seconds=600)
    assert elastic.dropped + elastic.doubled + leg.gaps <= 3
    assert float(np.percentile(delays, 95)) < 30


@pytest.mark.parametrize("talks", [0.8, 1.0])
def test_audio_that_waited_in_a_leg_when_it_was_bridged_does_not_delay_the_parties(talks: float) -> None:
    elastic, _, delays = forward(ppm=0, seconds=20, waiting=10, talks=talks)
    assert max(delays[50:]) < 40
    assert elastic.dropped in {8, 9, 10}


def test_a_bad_network_costs_its_jitter_and_no_more() -> None:
    _, _, delays = forward(ppm=0, seconds=600, jitter_s=0.06)
    assert float(np.median(delays)) < 60
    assert max(delays) < 90


def test_what_collects_while_the_server_is_held_up_is_gone_a_few_seconds_later() -> None:
    leg, delays = Pacing(1.0, 0.005), []
    elastic = Elastic(leg.queued(0.0), measured=True)
    under_way: list[float] = []
    for index in range(500):
        # For 200 ms nothing is carried, then all of it.
        now_s = max((index + 1) * FRAME_S, 2.2 if 2.0 < (index + 1) * FRAME_S < 2.2 else 0.0)
        delays += [(left_s, left_s - under_way.pop(0)) for left_s in leg.advance(now_s)]
        for _ in range(elastic.copies(SPEECH, leg.queued(now_s))):
            leg.playout.queue(SPEECH)
            under_way.append(now_s)
    assert max(delay_s for at_s, delay_s in delays if 2.0 < at_s < 3.0) > 0.15
    assert max(delay_s for at_s, delay_s in delays if at_s > 5.0) < 0.04


def reported(
    *, ppm: float, latency_s: float, seconds: int, longer_after_s: float = HOUR_S
) -> tuple[Elastic, list[float]]:
    """Bridge to a carrier that plays in real time and returns marks `latency_s` later; return each frame's wait."""
    chance = np.random.default_rng(7)
    playback, marks = Playback(), list[tuple[float, str]]()
    elastic = Elastic(0, measured=False)
    sent, played_to_s = 0, 0.0
    waits: list[float] = []
    for index in range(round(seconds / FRAME_S)):
        now_s = (index + 1) * FRAME_S / (1 + ppm / 1e6) + float(chance.random()) * 0.004
        while marks and marks[0][0] <= now_s:
            at_s, name = heapq.heappop(marks)
            if playback.mark_returned(name, at_s) is not None:
                elastic.reported()
        frame = SPEECH if index % 250 < 200 else SILENT_FRAME
        for _ in range(elastic.copies(frame, sent - playback.heard(now_s))):
            waits.append(max(0.0, played_to_s - now_s) * 1000)
            played_to_s = max(played_to_s, now_s) + FRAME_S
            playback.add(FRAME_SAMPLES, now_s)
            sent += FRAME_SAMPLES
            if playback.unmarked >= 10 * FRAME_SAMPLES:
                later_s = latency_s + (0.2 if now_s > longer_after_s else 0.0)
                heapq.heappush(marks, (played_to_s + later_s, playback.set_mark()))
    return elastic, waits


@pytest.mark.parametrize("latency_s", [0.0, 0.08])
@pytest.mark.parametrize("ppm", [500, -500, 0])
def test_a_carrier_that_reports_adds_under_40_ms_and_stays_under_60_for_an_hour_at_500_ppm(
    ppm: float, latency_s: float
) -> None:
    elastic, waits = reported(ppm=ppm, latency_s=latency_s, seconds=HOUR_S)
    assert float(np.median(waits)) < 40
    assert max(waits) < 60
    assert elastic.dropped + elastic.doubled < 110


def test_a_longer_way_to_the_carrier_is_not_taken_for_a_wait_for_ever() -> None:
    elastic, _ = reported(ppm=0, latency_s=0.05, seconds=120, longer_after_s=20.0)
    assert elastic.dropped < 30


def test_without_reports_nothing_is_changed_for_long() -> None:
    elastic = Elastic(0, measured=False)
    for _ in range(500):
        elastic.copies(SILENT_FRAME, 0)
    assert elastic.dropped + elastic.doubled <= 11
