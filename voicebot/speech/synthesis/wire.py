"""What client and worker agree on beyond the plain Wyoming protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from wyoming.tts import Synthesize

from voicebot.errors import RemoteProtocolError
from voicebot.speech.synthesis.sound import TELEPHONE_RATE_HZ
from voicebot.speech.tts import Voice


class Format(TypedDict):
    rate: int
    width: int
    channels: int


FORMAT = Format(rate=TELEPHONE_RATE_HZ, width=2, channels=1)


def worker_options(voice: Voice, models_dir: Path | None, *, threads: int = 1) -> Mapping[str, object]:
    """Return the options of a tts `WorkerSpec` that speaks with `voice`."""
    return {
        "engine": str(voice.engine),
        "name": voice.name,
        "speed": float(voice.speed),
        "models_dir": None if models_dir is None else str(models_dir.resolve()),
        "threads": threads,
    }


def speak_request(text: str, speed: float) -> Synthesize:
    return Synthesize(text=text, context={"speed": speed})


def speed_of(request: Synthesize) -> float:
    """Return the speed a request asks for, 1.0 when it asks for none."""
    speed = (request.context or {}).get("speed", 1.0)
    if not isinstance(speed, int | float):
        raise RemoteProtocolError("bad_speed", "A synthesize event's speed is no number.")
    return float(speed)
