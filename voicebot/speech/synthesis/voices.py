"""Which voices this machine has, which of them speaks, and why.

Nothing GPL is imported to answer that: only whether a module or library is there is looked at.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import assert_never

from voicebot.errors import EngineUnavailable
from voicebot.speech.synthesis.espeak import EspeakEngine, espeak_library_present
from voicebot.speech.synthesis.flite import FLITE_VOICES, flite_library_present, load_flite
from voicebot.speech.synthesis.piper import SUGGESTED_VOICE, PiperEngine, find_piper_voice
from voicebot.speech.synthesis.speaker import Speaker
from voicebot.speech.tts import Voice

ESPEAK_DEFAULT = "en-us+klatt5"


class EngineName(StrEnum):
    PIPER = "piper"
    FLITE = "flite"
    ESPEAK = "espeak"
    WYOMING = "wyoming"


# Piper needs about a third of a second per second of speech on one slow core, so it begins with a short clause. The
# other two are 100 to 1000 times faster than real time: whole sentences cost nothing and sound better.
_PIPER_CHARS, _FLITE_CHARS, _ESPEAK_CHARS = 60, 220, 400


@dataclass(frozen=True, slots=True)
class VoiceReport:
    """One voice: whether it is here, and what it is good for or what it lacks."""

    voice: Voice
    present: bool
    note: str


@dataclass(frozen=True, slots=True)
class VoiceChoice:
    """The voice that speaks and the reason, in words for a log line and for `voicebot models`."""

    voice: Voice
    why: str


def list_voices(models_dir: Path | None) -> tuple[VoiceReport, ...]:
    """Return the voices that could speak, the preferred first, present or not. `models_dir` is searched for Piper's."""
    piper = find_piper_voice(None, models_dir)
    name = piper.stem if piper else SUGGESTED_VOICE
    reports = [VoiceReport(Voice(EngineName.PIPER, name), *_piper_note(name, models_dir))]
    reports += [VoiceReport(Voice(EngineName.FLITE, flite), *_flite_note(flite)) for flite in ("rms", "slt")]
    return (*reports, VoiceReport(Voice(EngineName.ESPEAK, ESPEAK_DEFAULT), *_espeak_note()))


def choose_voice(configured: Voice | None, models_dir: Path | None) -> VoiceChoice:
    """Return the voice to run: the configured one, else the first present in the order of `list_voices`.

    Raises EngineUnavailable when the configured voice is missing (a worse one is never put in its place unasked) or
    when there is none at all.
    """
    if configured is not None:
        present, note = _look_for(configured, models_dir)
        if not present:
            wanted = f"{configured.engine}:{configured.name}".rstrip(":")
            raise EngineUnavailable(
                f"settings: `voice`: there is no voice {wanted}: {note}. 'voicebot models' lists those that there are."
            )
        return VoiceChoice(configured, "configured")
    reports = list_voices(models_dir)
    for rank, report in enumerate(reports):
        if report.present:
            missing = "; ".join(f"{r.voice.engine}/{r.voice.name}: {r.note}" for r in reports[:rank])
            return VoiceChoice(report.voice, f"best present, {report.note}" + (f" (not {missing})" if missing else ""))
    fixes = "; ".join(report.note for report in reports)
    raise EngineUnavailable(f"no voice is installed: {fixes}")


def second_voice(first: Voice, models_dir: Path | None) -> Voice | None:
    """Return the best voice on this machine that another engine speaks, to go on where `first` fails; None without."""
    return next(
        (each.voice for each in list_voices(models_dir) if each.present and each.voice.engine != first.engine), None
    )


def load_speaker(voice: Voice, models_dir: Path | None, *, threads: int = 1) -> Speaker:
    """Load `voice`, here and now: call it in a speech worker only. EngineUnavailable when it cannot speak."""
    try:
        name = EngineName(voice.engine)
    except ValueError:
        raise EngineUnavailable(f"no engine {voice.engine!r}; there are {', '.join(EngineName)}") from None
    match name:
        case EngineName.PIPER:
            path = find_piper_voice(voice.name, models_dir)
            if path is None:
                raise EngineUnavailable(f"no Piper voice {voice.name!r} is on this machine")
            return Speaker(PiperEngine(path, threads=threads), longest_chars=_PIPER_CHARS)
        case EngineName.FLITE:
            return Speaker(load_flite(voice.name), longest_chars=_FLITE_CHARS)
        case EngineName.ESPEAK:
            return Speaker(EspeakEngine(voice.name), longest_chars=_ESPEAK_CHARS)
        case EngineName.WYOMING:
            raise EngineUnavailable("a Wyoming server speaks for itself; reach it through voice_pool()")
        case never:
            assert_never(never)


def _look_for(voice: Voice, models_dir: Path | None) -> tuple[bool, str]:
    match voice.engine:
        case EngineName.PIPER:
            return _piper_note(voice.name, models_dir)
        case EngineName.FLITE if voice.name in FLITE_VOICES:
            return _flite_note(voice.name)
        case EngineName.FLITE:
            return False, f"flite has {', '.join(FLITE_VOICES)}"
        case EngineName.ESPEAK:
            return _espeak_note()
        case EngineName.WYOMING:
            addresses = [address.strip() for address in voice.name.split(",")]
            well_formed = all(re.fullmatch(r"tcp://[^:/]+:\d+|unix:///.+", address) for address in addresses)
            return well_formed, "a Wyoming server" if well_formed else "its name must be tcp://host:port"
        case _:
            return False, f"there are the engines {', '.join(EngineName)}"


def _piper_note(name: str, models_dir: Path | None) -> tuple[bool, str]:
    if find_spec("piper") is None:
        return False, "piper-tts is not installed (the `gpl` extra brings it)"
    if find_piper_voice(name, models_dir) is None:
        return (
            False,
            f"no file {name}.onnx with its .onnx.json under the models directory (`voicebot models pull NAME`)",
        )
    return True, "natural, the best voice here"


def _flite_note(name: str) -> tuple[bool, str]:
    if flite_library_present(name) or shutil.which("flite"):
        return True, "clear, a little mechanical"
    return False, "not installed (apt-get install flite)"


def _espeak_note() -> tuple[bool, str]:
    if espeak_library_present():
        return True, "robotic; flite or a Piper voice is understood far better"
    return False, "not installed (the `gpl` extra brings espeakng-loader)"
