"""Voice activity on spoken and other sounds, as a telephone carries them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.speech.listening.sounds import activities, frame_at, frames, line, samples, voice
from voicebot.simulation.sounds import Wave, at_level, cough, hiss, music, ringback, silence
from voicebot.speech.listening.vad import FRAME_SAMPLES, SILENCE_DBFS, NoiseFloor, VoiceActivity

WORDS = "I would like to know the balance of my account"


def share_of_speech(verdicts: list[bool]) -> float:
    return sum(verdicts) / len(verdicts)


@pytest.mark.parametrize("level_dbfs", [-15.0, -25.0, -35.0, -45.0])
def test_loud_and_quiet_callers_are_heard_where_they_speak(level_dbfs: float) -> None:
    words = voice(WORDS, level_dbfs)
    verdicts = [each.speech for each in activities(line(np.concatenate([silence(1000), words, silence(1000)]), -75.0))]
    first, last = verdicts.index(True), len(verdicts) - verdicts[::-1].index(True)
    before, after = frame_at(1000), (samples(1000) + words.size) // FRAME_SAMPLES
    assert abs(first - before) <= 6
    assert abs(last - after) <= 8
    assert share_of_speech(verdicts[before:after]) > 0.75


@pytest.mark.parametrize("noise_dbfs", [-45.0, -38.0])
def test_a_voice_is_heard_over_steady_noise_that_is_not_speech_itself(noise_dbfs: float) -> None:
    words = voice(WORDS, -22.0)
    verdicts = [
        each.speech for each in activities(line(np.concatenate([silence(3000), words, silence(1500)]), noise_dbfs))
    ]
    before, after = frame_at(3000), (samples(3000) + words.size) // FRAME_SAMPLES
    assert share_of_speech(verdicts[before:after]) > 0.6
    assert not any(verdicts[:before])
    assert not any(verdicts[after + 10 :])


@pytest.mark.parametrize("seed", range(5))
def test_a_cough_is_no_voice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sound = np.concatenate([silence(1000), cough(rng), silence(300), cough(rng), silence(1000)])
    assert sum(each.speech for each in activities(line(sound))) <= 2


@pytest.mark.parametrize("sound", [music(6000), ringback(4000)], ids=["music", "ringback"])
def test_music_and_tones_are_no_voice(sound: Wave) -> None:
    assert share_of_speech([each.speech for each in activities(line(sound))]) < 0.02


def test_a_voice_is_heard_soon_after_music() -> None:
    verdicts = [each.speech for each in activities(line(np.concatenate([music(4000), voice(WORDS)])))]
    assert share_of_speech(verdicts[frame_at(4200) :]) > 0.6


def test_probability_is_zero_where_nothing_sounds() -> None:
    assert {each.probability for each in activities(line(silence(1000)))[10:]} == {0.0}


class _Listener:
    """A judge that knows no voice and keeps what it was given."""

    WINDOW_SAMPLES = 256

    def __init__(self) -> None:
        self.heard: list[np.ndarray] = []

    def probability(self, window: np.ndarray) -> float:
        self.heard.append(window.copy())
        return 0.0

    def forget(self) -> None:
        self.heard.clear()


def test_the_judge_hears_a_sound_without_a_gap_and_what_came_before_it() -> None:
    pcm = line(np.concatenate([silence(1000), voice(WORDS)]))
    judge = _Listener()
    activity = VoiceActivity(judge)
    sounds = [activity.feed(frame).sound for frame in frames(pcm)[: frame_at(1400)]]
    before = sounds.index(True) - VoiceActivity._LEAD_FRAMES
    assert before > 0
    heard = np.concatenate(judge.heard)
    expected = pcm[before * FRAME_SAMPLES :][: heard.size] / 32768.0
    np.testing.assert_array_equal(heard, expected.astype(np.float32))
    assert heard.size > (len(sounds) - before) * FRAME_SAMPLES - judge.WINDOW_SAMPLES


def test_a_frame_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="320 bytes"):
        VoiceActivity(None).feed(bytes(160))


def test_without_a_judge_speech_is_still_heard() -> None:
    activity = VoiceActivity(None)
    words = voice(WORDS)
    verdicts = [activity.feed(frame).speech for frame in frames(line(np.concatenate([silence(1000), words])))]
    assert not any(verdicts[: frame_at(950)])
    assert share_of_speech(verdicts[frame_at(1000) :]) > 0.7


def test_the_level_is_measured_against_full_scale() -> None:
    tone = at_level(np.sin(np.arange(FRAME_SAMPLES) * 2 * np.pi / 16), -20.0).astype("<i2").tobytes()
    activity = VoiceActivity(None)
    assert activity.feed(tone).level_dbfs == pytest.approx(-20.0, abs=0.1)
    assert activity.feed(bytes(320)).level_dbfs == SILENCE_DBFS


class TestNoiseFloor:
    def test_it_follows_a_new_steady_noise_within_three_seconds(self) -> None:
        floor = NoiseFloor()
        for frame in frames(line(hiss(3000, -40.0, np.random.default_rng(1)), -80.0)):
            level = 20 * np.log10(np.sqrt(np.mean(np.frombuffer(frame, "<i2").astype(float) ** 2)) / 32768)
            floor.feed(level)
        assert floor.dbfs == pytest.approx(-40.0, abs=2.0)

    def test_it_falls_at_once_when_the_noise_stops(self) -> None:
        floor = NoiseFloor()
        for _ in range(200):
            floor.feed(-40.0)
        for _ in range(10):
            floor.feed(-65.0)
        assert floor.dbfs < -60.0

    def test_it_stays_far_below_speech_that_goes_on(self) -> None:
        heard = activities(line(np.concatenate([silence(3000), voice(WORDS), voice(WORDS)]), -60.0))
        assert heard[-1].noise_floor_dbfs < -22.0 - 25.0

    def test_lost_frames_do_not_lower_it(self) -> None:
        floor = NoiseFloor()
        for _ in range(200):
            floor.feed(-40.0)
        for _ in range(100):
            floor.feed(SILENCE_DBFS)
        assert floor.dbfs == pytest.approx(-38.0, abs=1.0)
