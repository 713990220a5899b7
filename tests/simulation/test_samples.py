"""The recorded calls in audio/samples: whole, of the present form, and what the README beside them says."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import av
import jsonschema
import numpy as np
import pytest

from voicebot.records.schema import call_schema
from voicebot.simulation.conversations import DemoCall, demo_calls

SAMPLES = Path(__file__).parents[2] / "audio" / "samples"
CALLS = demo_calls(date(2026, 11, 21))
each_call = pytest.mark.parametrize("call", CALLS, ids=lambda call: call.script.name)


def record_of(call: DemoCall) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((SAMPLES / f"{call.script.name}.json").read_text(encoding="utf-8"))
    return record


@each_call
def test_each_record_has_the_form_that_the_server_gives_now(call: DemoCall) -> None:
    record = record_of(call)
    jsonschema.validate(record, call_schema())
    assert (record["goal"], record["goal_reached"]) == (call.goal, True)


@each_call
def test_each_recording_is_of_its_record_and_has_a_voice_on_either_side(call: DemoCall) -> None:
    with av.open(str(SAMPLES / f"{call.script.name}.opus")) as file:
        sound = np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)
        rate_hz = file.streams.audio[0].rate
    assert sound.shape[0] == 2
    record = record_of(call)
    took = datetime.fromisoformat(record["ended_at"]) - datetime.fromisoformat(record["started_at"])
    # The telephone's side begins when it is answered and ends when it has heard the bot hang up.
    assert abs(sound.shape[1] / rate_hz - took.total_seconds()) < 3
    assert np.abs(sound).max(axis=1).min() > 0.05


def test_no_record_holds_the_pin() -> None:
    secret = [turn for turn in record_of(CALLS[0])["turns"] if turn["secret"]]
    assert secret
    assert all(turn["text"] == "" for turn in secret)


def test_the_readme_beside_them_names_each() -> None:
    readme = (SAMPLES / "README.md").read_text(encoding="utf-8")
    files = {path.name for path in SAMPLES.iterdir()} - {"README.md"}
    assert files == {f"{call.script.name}.{ending}" for call in CALLS for ending in ("json", "opus")}
    assert all(f"({name})" in readme for name in files)
