from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.speech.spoken import spoken
from voicebot.errors import EngineUnavailable
from voicebot.speech.recognition.sphinx.features import (
    CEPSTRA,
    FeatureStream,
    Floats,
    FrontEnd,
    over_floor,
    regression_text,
    speech_frames,
    without_noise,
)
from voicebot.speech.recognition.sphinx.lexicon import model_directory

NARROW = "-nfilt 20\n-lowerf 1\n-upperf 4000\n-wlen 0.025\n-transform dct\n-round_filters no\n-remove_dc yes\n"


@pytest.fixture(scope="module")
def wide() -> FrontEnd:
    return FrontEnd.of(model_directory() / "en-us")


def written(folder: Path, parameters: str) -> Path:
    (folder / "feat.params").write_text(parameters)
    return folder


def features(front_end: FrontEnd, pcm: bytes, piece_bytes: int) -> Floats:
    stream = FeatureStream(front_end)
    parts = [stream.feed(pcm[at : at + piece_bytes]) for at in range(0, len(pcm), piece_bytes)]
    return np.frombuffer(b"".join([*parts, stream.finish()]), np.float32).reshape(-1, CEPSTRA).astype(float)


def test_a_wideband_model_is_deaf_above_four_kilohertz(wide: FrontEnd) -> None:
    assert (wide.rate_hz, wide.deaf_bands, wide.cosines.shape) == (16000, 5, (13, 25))


def test_a_narrowband_model_is_taken_as_it_is(tmp_path: Path) -> None:
    narrow = FrontEnd.of(written(tmp_path, NARROW))
    assert (narrow.rate_hz, narrow.deaf_bands, narrow.telephone_transform) == (8000, 0, None)


def test_the_transform_takes_out_what_only_the_lost_bands_say(wide: FrontEnd) -> None:
    assert wide.telephone_transform is not None
    hiss = np.zeros(25)
    hiss[-5:] = 3.0
    vowel = np.zeros(25)
    vowel[3:9] = 3.0
    hissing, voiced = (wide.cosines @ shape * wide.lifter for shape in (hiss, vowel))
    assert np.linalg.norm(wide.telephone_transform @ hissing) < 0.25 * np.linalg.norm(hissing)
    assert np.linalg.norm(wide.telephone_transform @ voiced) > 0.9 * np.linalg.norm(voiced)


def test_the_loudness_of_a_call_changes_nothing(wide: FrontEnd) -> None:
    pcm = spoken("Where is my order?")
    quieter = (np.frombuffer(pcm, np.int16) // 4).astype(np.int16).tobytes()
    loud, quiet = (features(wide, each, 960) for each in (pcm, quieter))
    assert np.abs(loud - quiet).mean() < 0.1 * np.abs(loud).mean()


def test_pieces_of_any_size_give_the_same_frames(wide: FrontEnd) -> None:
    pcm = spoken("Where is my order?")
    whole, in_pieces = features(wide, pcm, len(pcm)), features(wide, pcm, 320)
    assert whole.shape == in_pieces.shape == (1 + (len(pcm) // 2 - wide.window.size) // 80, CEPSTRA)


def test_the_beginning_is_held_back_and_given_at_the_end(wide: FrontEnd) -> None:
    stream = FeatureStream(wide)
    assert stream.feed(bytes(8000)) == b""
    assert len(stream.finish()) == (1 + (4000 - wide.window.size) // 80) * CEPSTRA * 4
    assert stream.finish() == b""


def test_the_mean_is_that_of_speech_and_not_of_the_silence_around_it(wide: FrontEnd) -> None:
    pcm = spoken("Where is my order?")
    padded = bytes(48000) + pcm + bytes(48000)
    speech = features(wide, pcm, len(pcm))
    inside = features(wide, padded, len(padded))[300 : 300 + len(speech)]
    assert np.abs(speech - inside).mean() < 0.1 * np.abs(speech).mean()


def test_speech_frames_are_those_near_sound() -> None:
    energies = np.zeros((200, 25))
    energies[100:120] = 10.0
    assert list(np.flatnonzero(speech_frames(energies))) == list(range(88, 132))


def test_nothing_is_far_below_the_loudest(wide: FrontEnd) -> None:
    energies = np.full((100, 25), 20.0)
    energies[:50] = 0.0
    assert over_floor(energies, wide.deaf_bands).min() == pytest.approx(8.0, abs=0.01)


@pytest.mark.parametrize(
    ("parameters", "why"),
    [("-transform legacy\n", "transform dct"), ("-transform dct\n-nfilt many\n", "many"), (None, "no acoustic model")],
)
def test_a_model_that_cannot_be_used_is_named_with_the_reason(tmp_path: Path, parameters: str | None, why: str) -> None:
    folder = tmp_path / "odd" if parameters is None else written(tmp_path, parameters)
    with pytest.raises(EngineUnavailable, match=why) as raised:
        FrontEnd.of(folder)
    assert str(folder) in str(raised.value)


def test_a_regression_matrix_is_written_for_each_stream_of_features() -> None:
    lines = regression_text(np.eye(2)).splitlines()
    assert lines == ["1", "3", *(["2", "1 0", "0 1", "0 0", "1 1"] * 3)]


def test_a_hum_that_is_always_there_is_taken_out_and_speech_is_kept() -> None:
    energies = np.full((200, 25), 8.0)
    energies[:, 3] = 14.0
    energies[100:130, 10] = 18.0
    cleaned = without_noise(energies)
    assert cleaned[:90, 3].max() < 12.5
    assert cleaned[105:125, 10].min() > 17.9
