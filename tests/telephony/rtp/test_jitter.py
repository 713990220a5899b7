from __future__ import annotations

import numpy as np
import pytest

from tests.telephony.rtp.network import FRAME_S, VOICE, as_it_is, talk
from voicebot import g711
from voicebot.telephony.leg import FRAME_SAMPLES, SILENT_FRAME
from voicebot.telephony.rtp.jitter import Audio, JitterBuffer


def test_a_clean_line_is_played_whole_and_soon() -> None:
    played = talk(20)
    assert played.concealed == 0
    assert played.buffer.counts.late == 0
    assert float(np.median(played.delays_ms)) < 40


@pytest.mark.parametrize("packet_ms", [10, 20, 30, 40, 60])
def test_every_packet_time_comes_out_in_whole_frames(packet_ms: int) -> None:
    played = talk(20, packet_ms=packet_ms)
    assert played.concealed == 0
    assert played.frames > 980


def test_five_percent_loss_and_60_ms_jitter_conceal_little_more_than_what_was_lost() -> None:
    played = talk(120, loss=0.05, jitter_s=0.06)
    assert 0.03 < played.concealed / played.frames < 0.07
    assert float(np.percentile(played.delays_ms, 95)) < 130


@pytest.mark.parametrize("drift_ppm", [500, -500])
def test_a_clock_500_ppm_off_neither_collects_nor_starves(drift_ppm: float) -> None:
    played = talk(1800, drift_ppm=drift_ppm, jitter_s=0.005)
    assert max(played.delays_ms) < 90
    assert played.concealed / played.frames < 0.001
    counts = played.buffer.counts
    assert 30 < counts.dropped + counts.repeated < 70  # 900 ms in 30 minutes are 45 frames


def test_drift_is_taken_up_in_speech_without_a_pause_too() -> None:
    played = talk(1200, drift_ppm=500, speech_share=1.0)
    assert max(played.delays_ms) < 150


def test_timestamps_wrap_around_unheard() -> None:
    played = talk(20, start_timestamp=(1 << 32) - 3 * FRAME_SAMPLES)
    assert played.concealed == 0


def feed(buffer: JitterBuffer, indexes: list[int], now_s: float, *, base: int = 0, frame: bytes = VOICE) -> None:
    for index in indexes:
        buffer.put(Audio(base + index * FRAME_SAMPLES, FRAME_SAMPLES, frame, as_it_is), now_s)


def test_packets_out_of_order_come_out_in_order() -> None:
    buffer = JitterBuffer()
    for index, order in enumerate([0, 2, 1, 3, 5, 4]):
        buffer.put(Audio(order * FRAME_SAMPLES, FRAME_SAMPLES, bytes([order]) * FRAME_SAMPLES, as_it_is), index * 0.001)
    out = [pulled[0][0] for tick in range(2, 8) if (pulled := buffer.pull(tick * FRAME_S))]
    assert out == [0, 1, 2, 3, 4, 5]


def test_duplicates_are_played_once() -> None:
    buffer = JitterBuffer()
    for tick in range(20):
        feed(buffer, [tick, tick], tick * FRAME_S)
        buffer.pull(tick * FRAME_S)
    assert len(buffer._packets) < 5


def test_a_jump_of_timestamps_is_followed_once_it_is_sure() -> None:
    buffer = JitterBuffer()
    concealed = 0
    for tick in range(400):
        now_s = tick * FRAME_S
        feed(buffer, [tick], now_s, base=0 if tick < 200 else 10_000_000)
        pulled = buffer.pull(now_s)
        concealed += bool(pulled and pulled[1])
    assert buffer.counts.restarts == 1
    assert concealed < 8


def test_one_stray_timestamp_changes_nothing() -> None:
    buffer = JitterBuffer()
    for tick in range(100):
        feed(buffer, [tick], tick * FRAME_S, base=99_999_999 if tick == 50 else 0)
        buffer.pull(tick * FRAME_S)
    assert buffer.counts.restarts == 0
    assert buffer.counts.concealed <= 1


def test_a_gap_fades_from_the_voice_to_silence() -> None:
    buffer = JitterBuffer()
    for tick in range(10):
        feed(buffer, [tick], tick * FRAME_S)
        buffer.pull(tick * FRAME_S)
    levels = []
    for tick in range(10, 18):
        pulled = buffer.pull(tick * FRAME_S)
        assert pulled is not None
        levels.append(float(np.abs(g711.decode(pulled[0]).astype(int)).mean()))
    assert levels[2] > 1000
    assert levels[-1] == 0


def test_a_pause_on_purpose_is_silence_and_no_loss() -> None:
    buffer = JitterBuffer()
    for tick in range(10):
        feed(buffer, [tick], tick * FRAME_S)
        buffer.pull(tick * FRAME_S)
    buffer.pause()
    rest = [buffer.pull(tick * FRAME_S) for tick in range(10, 20)]
    assert rest[-1] == (SILENT_FRAME, False)
    assert buffer.counts.concealed == 0


def test_a_flood_of_packets_takes_bounded_memory() -> None:
    buffer = JitterBuffer()
    for index in range(5000):
        feed(buffer, [index % 25], 0.0, base=index)
    assert len(buffer._packets) <= 128


def test_a_stall_of_300_ms_loses_nothing_and_its_delay_is_worked_off() -> None:
    buffer = JitterBuffer()
    delays = []
    played = 0
    for tick in range(1500):
        now_s = tick * FRAME_S
        if not 500 <= tick < 515:
            late = list(range(500, 515)) if tick == 515 else []
            feed(buffer, [*late, tick], now_s, frame=SILENT_FRAME if tick % 50 > 40 else VOICE)
        pulled = buffer.pull(now_s)
        played += bool(pulled and pulled[0] != SILENT_FRAME and not pulled[1])
        delays.append(buffer.delay_ms(now_s))
    assert max(delays[520:540]) > 200
    assert delays[-1] < 60
