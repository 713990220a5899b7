"""One lane's alignment: jitter, loss, bursts and drift, in samples."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicebot import g711
from voicebot.g711 import Pcm
from voicebot.records.lane import RATE_HZ, SILENCE, Lane

FRAME = 160
#: Frames in which the test hides a pulse, one every half second.
EVERY = 25
_40_MS = RATE_HZ * 40 // 1000


def _frame(number: int) -> bytes:
    """Silence with one loud sample in the middle of every 25th frame."""
    samples = np.zeros(FRAME, dtype=np.int16)
    if number % EVERY == 0:
        samples[FRAME // 2] = 30000
    return g711.encode(samples)


def _record(arrivals: Iterable[tuple[int, int]], write_every: int = RATE_HZ // 2) -> tuple[Pcm, Lane]:
    """Play (frame number, arrival position) into a lane that is written out as a recorder does."""
    lane = Lane()
    tape = bytearray()
    due = write_every
    arrived = 0
    for number, arrived in arrivals:
        lane.place(_frame(number), arrived)
        if arrived >= due:
            _write(lane, tape, arrived)
            due = arrived + write_every
    _write(lane, tape, max(arrived, due) + RATE_HZ)
    return g711.decode(bytes(tape)), lane


def _write(lane: Lane, tape: bytearray, now: int) -> None:
    lane.settle(now)
    start = lane.changed_from
    tape[start:] = lane.take(start, now)
    assert len(tape) == now
    lane.taken(now)
    lane.forget(now)


def _pulses(audio: Pcm) -> list[int]:
    return [int(at) for at in np.flatnonzero(audio > 20000)]


def _steady(frames: int, *, ppm: float = 0.0) -> Iterator[tuple[int, float]]:
    """Frame numbers with the true time, in samples, at which their last sample was spoken."""
    for number in range(frames):
        yield number, (number + 1) * FRAME * (1 + ppm / 1e6)


def test_frames_on_time_are_recorded_bit_for_bit() -> None:
    noise = np.random.default_rng(1).integers(-3000, 3000, 50 * FRAME).astype(np.int16)
    coded = g711.encode(noise)
    lane = Lane()
    for number in range(50):
        lane.place(coded[number * FRAME : (number + 1) * FRAME], (number + 1) * FRAME)
    assert lane.take(0, 50 * FRAME) == coded


@given(seed=st.integers(0, 2**32), jitter=st.integers(0, 320))
@settings(max_examples=25)
def test_jitter_neither_cuts_nor_inserts(seed: int, jitter: int) -> None:
    chance = random.Random(seed)
    arrived = 0
    arrivals = []
    for number, spoken in _steady(500):
        arrived = max(arrived, round(spoken) + chance.randint(0, jitter))  # a network keeps the order
        arrivals.append((number, arrived))
    audio, lane = _record(arrivals)
    pulses = _pulses(audio)
    assert len(pulses) == 500 // EVERY
    distances = np.diff(pulses)
    # A sample now and then is the drift follower's; a cut or a piece of silence would be many.
    assert np.abs(distances - EVERY * FRAME).max() <= 30
    assert lane.dropped == 0


@given(seed=st.integers(0, 2**32), jitter=st.integers(0, 320), loss=st.floats(0, 0.02), ppm=st.floats(-500, 500))
@settings(max_examples=12)
def test_ten_minutes_of_jitter_loss_and_drift_stay_within_40_ms(
    seed: int, jitter: int, loss: float, ppm: float
) -> None:
    chance = random.Random(seed)
    arrived = 0
    arrivals = []
    expected = []
    for number, spoken in _steady(30_000, ppm=ppm):
        if chance.random() < loss:
            continue
        arrived = max(arrived, round(spoken) + chance.randint(0, jitter))
        arrivals.append((number, arrived))
        if number % EVERY == 0:
            expected.append(spoken - FRAME / 2)
    audio, _ = _record(arrivals)
    pulses = _pulses(audio)
    assert len(pulses) == len(expected)
    assert np.abs(np.array(pulses) - np.array(expected)).max() <= _40_MS


@pytest.mark.parametrize("ppm", [-500.0, 500.0])
def test_drift_alone_is_followed_within_5_ms(ppm: float) -> None:
    audio, _ = _record([(number, round(spoken)) for number, spoken in _steady(30_000, ppm=ppm)])
    expected = [spoken - FRAME / 2 for number, spoken in _steady(30_000, ppm=ppm) if number % EVERY == 0]
    assert np.abs(np.array(_pulses(audio)) - np.array(expected)).max() <= RATE_HZ * 5 // 1000


@pytest.mark.parametrize("lost", [1, 2, 10, 100, 1000])
def test_what_was_lost_becomes_silence_of_the_same_length(lost: int) -> None:
    arrivals = [(number, (number + 1) * FRAME) for number in range(1200) if not 51 <= number < 51 + lost]
    audio, _ = _record(arrivals)
    expected = [number * FRAME + FRAME // 2 for number, _ in arrivals if number % EVERY == 0]
    assert _pulses(audio) == expected


@pytest.mark.parametrize("stalled", [5, 20, 60, 95])
def test_a_stall_followed_by_a_burst_loses_and_moves_nothing(stalled: int) -> None:
    arrivals = [(number, (number + 1) * FRAME) for number in range(200)]
    end = (101 + stalled) * FRAME
    arrivals = [(number, end if 101 <= number < 101 + stalled else at) for number, at in arrivals]
    audio, lane = _record(arrivals)
    assert _pulses(audio) == [number * FRAME + FRAME // 2 for number in range(0, 200, EVERY)]
    assert lane.dropped == 0


def test_a_party_that_starts_late_is_recorded_late() -> None:
    audio, _ = _record([(number, 5 * RATE_HZ + (number + 1) * FRAME) for number in range(100)])
    assert _pulses(audio) == [5 * RATE_HZ + number * FRAME + FRAME // 2 for number in range(0, 100, EVERY)]


def test_a_single_chunk_after_a_pause_stays_where_it_was_heard() -> None:
    lane = Lane()
    lane.place(b"\x10" * 800, 800)
    lane.place(b"\x20" * 800, 12_000)
    lane.settle(17_000)
    audio = lane.take(0, 17_000)
    assert audio == b"\x10" * 800 + SILENCE * 10_400 + b"\x20" * 800 + SILENCE * 5000


def test_a_flood_faster_than_real_time_is_dropped_not_hoarded() -> None:
    lane = Lane()
    for _ in range(5000):  # 100 seconds of audio within one
        lane.place(b"\x10" * FRAME, RATE_HZ)
    assert len(lane.take(0, 100 * RATE_HZ).rstrip(SILENCE)) < 2 * RATE_HZ
    assert lane.dropped > 95 * RATE_HZ


def test_memory_holds_a_few_seconds_however_long_the_call() -> None:
    lane = Lane()
    for number in range(50 * 120):
        lane.place(b"\x10" * FRAME, (number + 1) * FRAME)
        if number % 25 == 24:
            lane.taken((number + 1) * FRAME)
            lane.forget((number + 1) * FRAME)
    assert len(lane._audio) <= 11 * RATE_HZ


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(-400, 3000), st.integers(1, 400)), max_size=40),
    st.integers(1, 40),
)
def test_chunks_placed_together_lie_where_they_would_one_by_one(runs: list[tuple[int, int, int]], group: int) -> None:
    chunks, arrived = [], 0
    for count, wander, size in runs:
        arrived = max(0, arrived + wander)
        for number in range(count):
            arrived += size
            chunks.append((bytes([number]) * size, arrived))
    one_by_one, together = Lane(), Lane()
    for chunk, at in chunks:
        one_by_one.place(chunk, at)
    for start in range(0, len(chunks), group):
        together.place_all(chunks[start : start + group])
    end = arrived + 2 * RATE_HZ
    assert together.changed_from == one_by_one.changed_from
    assert together.take(0, end) == one_by_one.take(0, end)
    assert together.dropped == one_by_one.dropped


def test_a_lane_long_silent_takes_a_chunk_older_than_its_memory_in_part() -> None:
    lane = Lane()
    lane.place(b"\x10" * FRAME, FRAME)
    for second in range(1, 30):
        lane.taken(second * RATE_HZ)
        lane.forget(second * RATE_HZ)
    lane.place(b"\x20" * 25 * RATE_HZ, 30 * RATE_HZ)  # a carrier that reports after 25 seconds
    lane.settle(31 * RATE_HZ)
    start = lane.changed_from
    audio = lane.take(start, 31 * RATE_HZ)
    assert start + len(audio.rstrip(SILENCE)) == pytest.approx(30 * RATE_HZ, abs=FRAME)


@given(st.lists(st.tuples(st.integers(1, 2000), st.integers(0, 30_000)), max_size=120))
def test_whatever_arrives_when_a_lane_keeps_its_books(steps: list[tuple[int, int]]) -> None:
    lane = Lane()
    tape = bytearray()
    now = 0
    for size, wait in steps:
        now += wait
        lane.place(b"\x10" * size, now)
        if wait % 3 == 0:
            _write(lane, tape, now)
    _write(lane, tape, now + RATE_HZ)
