"""Which engine a recognition worker runs: its options, parsed once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from voicebot.errors import EngineUnavailable
from voicebot.speech.recognition.engine import Engine

if TYPE_CHECKING:
    from voicebot.speech.recognition.sphinx.engine import SphinxEngine
    from voicebot.speech.recognition.whisper.engine import WhisperEngine


def build(options: Mapping[str, object]) -> Engine:
    """Build the engine that ``options["engine"]`` names; `EngineUnavailable` for one that there is not.

    For ``"sphinx"``: ``acoustic_model`` (a directory; without it the wheel's English model) and ``max_sessions``.
    For ``"whisper"``: ``model`` (a directory or a hub name), ``compute_type``, ``context_s``, ``threads`` of each
    decoding, how many decodings run ``at_once``, ``max_sessions``, and ``download``, without which a hub name must
    already be in the local cache.
    For ``"two-pass"``, pocketsphinx and Whisper together: the options of both, and ``late_s``, how long a final
    waits for Whisper.
    For ``"vosk"``: ``model`` (a directory) and ``max_sessions``.
    """
    match options.get("engine", "sphinx"):
        case "sphinx":
            return _sphinx(options)
        case "whisper":
            return _whisper(options)
        case "two-pass":
            return _two_pass(options)
        case "vosk":
            return _vosk(options)
        case unknown:
            raise EngineUnavailable(f"There is no speech recognition engine named {unknown!r}.")


def _number(options: Mapping[str, object], name: str, default: float) -> float:
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise EngineUnavailable(f"The speech engine option {name} must be a number.")
    return value


# Each engine is imported where it is built: a worker runs one, and loading the other's libraries takes 100 MB.


def _sphinx(options: Mapping[str, object]) -> SphinxEngine:
    from voicebot.speech.recognition.sphinx.decoder import acoustics_in, wheel_acoustics  # noqa: PLC0415
    from voicebot.speech.recognition.sphinx.engine import SphinxEngine  # noqa: PLC0415

    directory = options.get("acoustic_model")
    acoustics = wheel_acoustics() if directory is None else acoustics_in(Path(str(directory)))
    return SphinxEngine(acoustics, max_sessions=int(_number(options, "max_sessions", 12)))


def _whisper(options: Mapping[str, object]) -> WhisperEngine:
    from voicebot.speech.recognition.whisper.engine import WhisperEngine  # noqa: PLC0415
    from voicebot.speech.recognition.whisper.model import CONTEXT_S, Model  # noqa: PLC0415

    model = Model(
        str(options.get("model", "base.en")),
        threads=int(_number(options, "threads", 1)),
        compute_type=str(options.get("compute_type", "int8")),
        context_s=_number(options, "context_s", CONTEXT_S),
        local_only=not options.get("download", False),
        at_once=int(_number(options, "at_once", 1)),
    )
    return WhisperEngine(model, max_sessions=int(_number(options, "max_sessions", 12)))


def _two_pass(options: Mapping[str, object]) -> Engine:
    from voicebot.speech.recognition.sphinx.apart import SphinxApart  # noqa: PLC0415
    from voicebot.speech.recognition.two_pass.engine import LATE_S, TwoPassEngine  # noqa: PLC0415

    # Callers finish in bursts; the second decoding costs no memory for the model, only a core while both run.
    second = _whisper({"at_once": 2, **options})
    acoustics = {name: options[name] for name in ("acoustic_model",) if name in options}
    first = SphinxApart(acoustics, max_sessions=int(_number(options, "max_sessions", 12)))
    return TwoPassEngine(first, second, late_s=_number(options, "late_s", LATE_S))


def _vosk(options: Mapping[str, object]) -> Engine:
    try:
        from voicebot.speech.recognition.vosk.engine import MOST_SPEAKERS, VoskEngine  # noqa: PLC0415
        from voicebot.speech.recognition.vosk.model import Model  # noqa: PLC0415
    except ImportError as error:
        raise EngineUnavailable("Vosk is not installed. Install the extra vosk.") from error
    model = Model.load(Path(str(options.get("model", ""))))
    return VoskEngine(model, max_sessions=int(_number(options, "max_sessions", MOST_SPEAKERS)))
