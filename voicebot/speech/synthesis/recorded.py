"""Prompts recorded by a person, which replace the rendered ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from voicebot import g711
from voicebot.errors import ConfigurationError, Problem
from voicebot.speech.synthesis.sound import to_telephone
from voicebot.wav import WavError, read_wav

_TEXT_ID_DIGITS = 16


class RecordedPrompts:
    """Audio by text, all in memory; `unused` names files that no prompt asks for."""

    def __init__(self, audio: Mapping[str, bytes] | None = None, unused: tuple[str, ...] = ()) -> None:
        self._audio = {text_id(text): mulaw for text, mulaw in (audio or {}).items()}
        self.unused = unused

    def __len__(self) -> int:
        return len(self._audio)

    def audio(self, text: str) -> bytes | None:
        """Return the mu-law that was recorded for `text`."""
        return self._audio.get(text_id(text)) if self._audio else None


def text_id(text: str) -> str:
    """Return the name, without ``.wav``, under which a recording of `text` is found: 16 hexadecimal digits."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:_TEXT_ID_DIGITS]


def load_recorded(directory: Path, prompts: Mapping[str, str]) -> RecordedPrompts:
    """Read ``NAME.wav`` for each of `prompts`, from its id (or from the `text_id` of its text) to its text.

    Any rate, mono or stereo; each is trimmed and levelled like a rendered one. Raises ConfigurationError naming
    every file that cannot be used. A directory that is not there holds no recordings.
    """
    texts = {text_id(text): text for text in prompts.values()} | dict(prompts)
    audio: dict[str, bytes] = {}
    problems: list[Problem] = []
    unused: list[str] = []
    for path in sorted(directory.glob("*.wav")):
        text = texts.get(path.stem)
        if text is None:
            unused.append(path.name)
            continue
        name = f"{directory.name}/{path.name}"
        try:
            wav = read_wav(path.read_bytes())
        except (OSError, WavError) as error:
            problems.append(Problem(name, None, f"The recording cannot be used: {error}.", "Record it again."))
            continue
        mulaw = g711.encode(to_telephone(wav.mono(), wav.rate_hz))
        if mulaw:
            audio[text] = mulaw
        else:
            problems.append(Problem(name, None, "The recording is silent.", "Record it again."))
    if problems:
        raise ConfigurationError(problems)
    return RecordedPrompts(audio, tuple(unused))
