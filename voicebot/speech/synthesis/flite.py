"""Flite's voices, through Debian's libraries or, where only that exists, its command.

Flite is BSD-like licensed; its statistical voices (`rms`, `slt`) speak at 16 kHz, a hundred times faster than real
time on one core. Structures after `cst_wave.h` and `cst_voice.h` of Flite 2.2 (its ABI version 1).
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from voicebot.errors import EngineUnavailable
from voicebot.g711 import Pcm
from voicebot.speech.synthesis.engine import SpeechEngine
from voicebot.wav import WavError, read_wav

FLITE_VOICES = ("rms", "slt", "awb", "kal16")
_INSTALL = "install it with: apt-get install flite"
_COMMAND_TIMEOUT_S = 20.0


class _Wave(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    )


class _Voice(ctypes.Structure):
    # The members after these two are never touched from here.
    _fields_ = (("name", ctypes.c_char_p), ("features", ctypes.c_void_p))


def load_flite(name: str) -> SpeechEngine:
    """Return the voice `name` from the libraries, else from the command; EngineUnavailable says what is missing."""
    try:
        return FliteLibrary(name)
    except EngineUnavailable:
        command = shutil.which("flite")
        if command is None:
            raise
        return FliteCommand(Path(command), name)


def flite_library_present(name: str) -> bool:
    """Tell whether the dynamic linker finds the voice's library."""
    try:
        ctypes.CDLL(_voice_library(name))
    except OSError:
        return False
    return True


def _voice_library(name: str) -> str:
    if name not in FLITE_VOICES:
        raise EngineUnavailable(f"flite has no voice {name!r}; it has {', '.join(FLITE_VOICES)}")
    return f"libflite_cmu_us_{name}.so.1"


def _ascii(text: str) -> bytes:
    """Return `text` in the only letters that flite knows, those with accents without them."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore")


class FliteLibrary:
    """A voice of libflite, in this process."""

    def __init__(self, name: str) -> None:
        voice_library = _voice_library(name)
        try:
            self._flite = ctypes.CDLL("libflite.so.1", mode=ctypes.RTLD_GLOBAL)
            library = ctypes.CDLL(voice_library)
            self._libc = ctypes.CDLL(None)
        except OSError as error:
            raise EngineUnavailable(f"flite's voice {name} is not installed ({error}); {_INSTALL}") from error
        self._flite.flite_text_to_wave.restype = ctypes.POINTER(_Wave)
        self._flite.flite_text_to_wave.argtypes = [ctypes.c_char_p, ctypes.POINTER(_Voice)]
        self._flite.delete_wave.argtypes = [ctypes.POINTER(_Wave)]
        self._flite.feat_set_float.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_float]
        self._flite.flite_init()
        register = getattr(library, f"register_cmu_us_{name}")
        register.restype = ctypes.POINTER(_Voice)
        register.argtypes = [ctypes.c_char_p]
        self._voice = register(None)
        if not self._voice:
            raise EngineUnavailable(f"flite's voice {name} does not start; {_INSTALL}")

    @property
    def rate_hz(self) -> int:
        return 16_000

    def synthesize(self, text: str, speed: float) -> Iterator[Pcm]:
        self._flite.feat_set_float(self._voice.contents.features, b"duration_stretch", 1.0 / speed)
        # The voice's breath comes from C's random numbers: from the same seed a sentence always sounds the same.
        self._libc.srand(1)
        wave = self._flite.flite_text_to_wave(_ascii(text), self._voice)
        if not wave:
            raise EngineUnavailable("flite returned no audio")
        try:
            made = wave.contents
            if (made.sample_rate, made.num_channels) != (self.rate_hz, 1):
                raise EngineUnavailable(f"flite returned {made.sample_rate} Hz, {made.num_channels} channels")
            samples: Pcm = np.ctypeslib.as_array(made.samples, (made.num_samples,)).copy()
        finally:
            self._flite.delete_wave(wave)
        yield samples


class FliteCommand:
    """The same voices through the `flite` command, one process a clause."""

    def __init__(self, command: Path, name: str) -> None:
        _voice_library(name)  # refuses a name that flite does not have
        self._command = command
        self._name = name

    @property
    def rate_hz(self) -> int:
        return 16_000

    def synthesize(self, text: str, speed: float) -> Iterator[Pcm]:
        with tempfile.TemporaryDirectory(prefix="voicebot-flite-") as folder:
            said, made = Path(folder, "said.txt"), Path(folder, "made.wav")
            said.write_bytes(_ascii(text))
            stretch = f"duration_stretch={1.0 / speed:.3f}"
            arguments = [str(self._command), "-voice", self._name, "--setf", stretch, "-f", str(said), "-o", str(made)]
            try:
                subprocess.run(arguments, check=True, capture_output=True, timeout=_COMMAND_TIMEOUT_S)  # noqa: S603 # no shell; the text travels in a file
                wav = read_wav(made.read_bytes())
            except (OSError, subprocess.SubprocessError, WavError) as error:
                raise EngineUnavailable(f"the flite command failed: {type(error).__name__}") from error
        if wav.rate_hz != self.rate_hz:
            raise EngineUnavailable(f"the flite command returned {wav.rate_hz} Hz")
        yield wav.mono()
