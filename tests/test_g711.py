import numpy as np

from voicebot import g711


def test_known_codes_of_the_standard_decode_to_their_values() -> None:
    # ITU-T G.711 table 2a/2b: 0xFF is +0, 0x7F is -0, 0x80 and 0x00 are the extremes.
    assert g711.decode(bytes([0xFF, 0x7F, 0x80, 0x00])).tolist() == [0, 0, 32124, -32124]


def test_every_code_survives_a_round_trip() -> None:
    codes = bytes(code for code in range(256) if code != 0x7F)  # -0 encodes as +0
    assert g711.encode(g711.decode(codes)) == codes


def test_the_error_of_any_sample_stays_within_half_a_step() -> None:
    pcm = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)
    back = g711.decode(g711.encode(pcm)).astype(np.int32)
    clipped = np.clip(pcm.astype(np.int32), -32124, 32124)
    step = np.maximum(np.abs(clipped) / 16, 8)
    assert (np.abs(back - clipped) <= step).all()
