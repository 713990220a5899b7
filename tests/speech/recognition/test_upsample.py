from __future__ import annotations

import numpy as np
import pytest

from voicebot.speech.recognition.upsample import Upsampler, to_int16

RATE_HZ = 8000


def tone(frequency_hz: float, rate_hz: int, samples: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return 8000 * np.sin(2 * np.pi * frequency_hz * np.arange(samples) / rate_hz)


@pytest.mark.parametrize("frequency_hz", [200, 1000, 3000])
def test_a_tone_stays_the_tone_it_was(frequency_hz: float) -> None:
    doubled = Upsampler().double(tone(frequency_hz, RATE_HZ, 800).astype(np.int16))
    expected = tone(frequency_hz, 2 * RATE_HZ, 1600)
    # Late by 12 input samples; the first and last few know only half of their neighbours.
    assert np.abs(doubled[124:] - expected[100:-24]).max() < 80


def test_pieces_join_without_a_seam() -> None:
    pcm = tone(700, RATE_HZ, 805).astype(np.int16)
    whole = Upsampler().double(pcm)
    streaming = Upsampler()
    pieces = [streaming.double(pcm[at : at + 7]) for at in range(0, len(pcm), 7)]
    assert np.allclose(np.concatenate(pieces), whole)


def test_nothing_in_gives_nothing_out_and_keeps_the_stream() -> None:
    pcm = tone(700, RATE_HZ, 100).astype(np.int16)
    streaming = Upsampler()
    first = streaming.double(pcm[:50])
    assert len(streaming.double(pcm[:0])) == 0
    assert np.allclose(np.concatenate([first, streaming.double(pcm[50:])]), Upsampler().double(pcm))


def test_loud_samples_are_clipped_not_wrapped() -> None:
    assert list(to_int16(np.array([40000.0, -40000.0, 1.6], dtype=np.float32))) == [32767, -32768, 2]
