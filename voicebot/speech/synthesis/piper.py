"""Piper voices: a neural model a voice, an ONNX file with its JSON beside it.

piper-tts is GPL: it is imported only when an engine is made, which happens in speech workers alone.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime

from voicebot.errors import EngineUnavailable
from voicebot.g711 import Pcm
from voicebot.speech.hub import fetching

# Public domain recordings; a good first choice.
SUGGESTED_VOICE = "en_US-ljspeech-medium"
_HUB_REPOSITORY = "rhasspy/piper-voices"
_HUB_NAME = re.compile(r"(?P<family>[a-z]{2,3})_(?P<region>[A-Z]{2})-(?P<voice>\w+)-(?P<quality>x_low|low|medium|high)")
_INSTALL = "install the `gpl` extra (pip install piper-tts)"


class PiperEngine:
    """One voice with its own ONNX session of `threads` threads."""

    def __init__(self, model: Path, *, threads: int = 1) -> None:
        try:
            piper = importlib.import_module("piper")
        except ImportError as error:
            raise EngineUnavailable(f"piper-tts is not installed ({error}); {_INSTALL}") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        try:
            settings = json.loads(Path(f"{model}.json").read_text(encoding="utf-8"))
            self._config = piper.PiperConfig.from_dict(settings)
            # PiperVoice.load makes its session with as many threads as the machine has cores.
            session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            # Whatever is wrong with a file somebody downloaded (json, keys, and onnxruntime's own classes, which
            # share no base but Exception) means one thing here: this voice cannot be used.
            raise EngineUnavailable(f"the Piper voice {model.name} cannot be loaded: {type(error).__name__}") from error
        self._voice = piper.PiperVoice(session=session, config=self._config)
        self._synthesis_config = piper.SynthesisConfig

    @property
    def rate_hz(self) -> int:
        return int(self._config.sample_rate)

    def synthesize(self, text: str, speed: float) -> Iterator[Pcm]:
        # normalize_audio would bring every chunk to full scale; the level is set once, per clause, by sound.py.
        settings = self._synthesis_config(length_scale=self._config.length_scale / speed, normalize_audio=False)
        try:
            for chunk in self._voice.synthesize(text, settings):
                yield np.asarray(chunk.audio_int16_array, dtype=np.int16).reshape(-1)
        except Exception as error:
            # onnxruntime's classes share no base but Exception, and a damaged model shows only here.
            raise EngineUnavailable(f"the Piper voice failed: {type(error).__name__}") from error


def find_piper_voice(name: str | None, models_dir: Path | None) -> Path | None:
    """Return the ONNX file of a voice, or None.

    `name` is a path, a voice's name such as SUGGESTED_VOICE, or None for any voice under `models_dir`, the suggested
    one first, then by name.
    """
    if name is not None and (path := Path(name)).suffix == ".onnx" and _complete(path):
        return path
    if models_dir is None or not models_dir.is_dir():
        return None
    found = {path.stem: path for path in sorted(models_dir.rglob("*.onnx"), reverse=True) if _complete(path)}
    if name is not None:
        return found.get(name)
    return found.get(SUGGESTED_VOICE) or next((found[stem] for stem in sorted(found)), None)


def is_piper_voice(name: str) -> bool:
    """Tell whether `name` is made as the names of Piper's voices on the hub are."""
    return _HUB_NAME.fullmatch(name) is not None


def pull_piper_voice(name: str, models_dir: Path) -> Path:
    """Fetch a voice such as SUGGESTED_VOICE from the public hub into `models_dir` and return its ONNX file.

    `EngineUnavailable` when `name` is no voice's name or the hub does not answer.
    """
    match = _HUB_NAME.fullmatch(name)
    if match is None:
        raise EngineUnavailable(f"{name!r} is no Piper voice's name; one looks like {SUGGESTED_VOICE}")
    folder = f"{match['family']}/{match['family']}_{match['region']}/{match['voice']}/{match['quality']}"
    with fetching(f"the voice {name}") as hub:
        # The settings last: a model without them counts as no voice, so that a broken pull leaves none.
        for file in (f"{folder}/{name}.onnx", f"{folder}/{name}.onnx.json"):
            hub.hf_hub_download(_HUB_REPOSITORY, file, local_dir=models_dir / "piper")
    return models_dir / "piper" / folder / f"{name}.onnx"


def _complete(model: Path) -> bool:
    """Tell a voice from any other ONNX file by the JSON beside it."""
    return model.is_file() and Path(f"{model}.json").is_file()
