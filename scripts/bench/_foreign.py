"""Speech that a coffee bar's bot should turn away: requests to a bank, in every voice of this machine."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from _spoken import spoken

from voicebot.simulation.sounds import Wave, silence


def strangers(data: Path, texts: int, chance: np.random.Generator) -> list[Wave]:
    """Return `texts` requests of BANKING77 in each voice, those of six to fourteen words."""
    with (data / "intents" / "banking77_test.csv").open(encoding="utf-8", newline="") as file:
        fitting = [row["text"] for row in csv.DictReader(file) if 6 <= len(row["text"].split()) <= 14]
    chosen = [fitting[int(index)] for index in chance.choice(len(fitting), texts, replace=False)]
    return [np.concatenate([silence(300), wave, silence(500)]) for _, wave in spoken(chosen)]
