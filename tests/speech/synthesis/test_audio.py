"""The committed sounds: made by the script, fit for the telephone, without a seam."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from voicebot import g711
from voicebot.speech.synthesis.sound import active_level_dbfs
from voicebot.wav import read_mulaw_wav

ROOT = Path(__file__).resolve().parents[3]
AUDIO = ROOT / "audio"
LEVELS = {"hold-music": -20, "ring-back": -22, "busy": -22, "beep": -20, "thinking": -30}
LOOPS = ("hold-music", "ring-back", "busy", "thinking")


def samples(name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return g711.decode(read_mulaw_wav(AUDIO / f"{name}.wav")).astype(np.float64)


def share_of_energy(name: str, low_hz: float, high_hz: float) -> float:
    sound = samples(name)
    power = np.abs(np.fft.rfft(sound)) ** 2
    frequency = np.fft.rfftfreq(len(sound), 1 / 8000)
    return float(power[(frequency >= low_hz) & (frequency <= high_hz)].sum() / power.sum())


def test_the_script_makes_exactly_the_committed_files(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "scripts" / "make-audio"), "--out", str(tmp_path)], check=True)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in AUDIO.glob("*.wav")}
    assert {Path(name).stem for name in made} == set(LEVELS)


@pytest.mark.parametrize(("name", "level_dbfs"), LEVELS.items())
def test_each_sound_has_its_level_and_is_not_clipped(name: str, level_dbfs: float) -> None:
    assert active_level_dbfs(samples(name)) == pytest.approx(level_dbfs, abs=0.5)
    assert np.abs(samples(name)).max() < 30_000


@pytest.mark.parametrize("name", LEVELS)
def test_each_sound_stays_within_the_telephone_band(name: str) -> None:
    assert share_of_energy(name, 300, 3400) > 0.99


def test_the_hold_music_lasts_about_half_a_minute_and_never_falls_silent() -> None:
    music = samples("hold-music")
    assert len(music) == 30 * 8000
    assert np.sqrt(np.mean(music.reshape(-1, 4000) ** 2, axis=1)).min() > 300


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_has_no_click_where_it_begins_again(name: str) -> None:
    sound = samples(name)
    steps = np.abs(np.diff(sound))
    assert abs(sound[0] - sound[-1]) <= np.quantile(steps[steps > 0], 0.99)


@pytest.mark.parametrize(
    ("name", "low_hz", "high_hz"), [("ring-back", 435, 485), ("busy", 475, 625), ("beep", 980, 1020)]
)
def test_tones_have_their_frequencies(name: str, low_hz: float, high_hz: float) -> None:
    assert share_of_energy(name, low_hz, high_hz) > 0.95


def test_every_sound_is_listed_in_the_readme() -> None:
    readme = (AUDIO / "README.md").read_text()
    assert all(f"`{name}.wav`" in readme for name in LEVELS)
