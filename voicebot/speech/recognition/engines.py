"""Which engine a recognition worker runs: its options, parsed once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from voicebot.errors import EngineUnavailable
from voicebot.speech.recognition.engine import Engine
from voicebot.speech.recognition.sphinx.decoder import acoustics_in, wheel_acoustics
from voicebot.speech.recognition.sphinx.engine import SphinxEngine


def build(options: Mapping[str, object]) -> Engine:
    """Build the engine that ``options["engine"]`` names.

    For ``"sphinx"``: ``acoustic_model`` (a directory; the wheel's English model without it) and ``max_sessions``.
    `EngineUnavailable` for an unknown name.
    """
    match options.get("engine", "sphinx"):
        case "sphinx":
            directory = options.get("acoustic_model")
            acoustics = wheel_acoustics() if directory is None else acoustics_in(Path(str(directory)))
            return SphinxEngine(acoustics, max_sessions=int(str(options.get("max_sessions", 12))))
        case unknown:
            raise EngineUnavailable(f"There is no speech recognition engine named {unknown!r}.")
