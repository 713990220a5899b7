"""espeak-ng through ctypes: the voice that needs neither root nor a Debian package.

The library comes with the `espeakng-loader` wheel, else from the system. It is GPL: this module imports it only when
an engine is made, which happens in speech workers alone. Constants after `speak_lib.h` of espeak-ng 1.52.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Iterator
from ctypes.util import find_library
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from voicebot.errors import EngineUnavailable
from voicebot.g711 import Pcm
from voicebot.speech.synthesis.engine import FASTEST_SPEED, SLOWEST_SPEED

# Read back by a recogniser, 160 words a minute is understood better than the engine's own 175.
WORDS_A_MINUTE = 160
_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples go to the callback, espeak_Synth returns when all are made
_DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT
_UTF8 = 1  # espeakCHARS_UTF8
_RATE = 1  # espeakRATE, words a minute
_INSTALL = "install the `gpl` extra (pip install espeakng-loader), or apt-get install espeak-ng"

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class EspeakEngine:
    """One voice of espeak-ng, such as ``en-us+klatt5`` or ``en-us+f3``.

    The library has one voice and one callback per process, so every call sets them again; engines in one process
    must not speak at the same time.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._library, data_path = _open_library()
        rate_hz = self._library.espeak_Initialize(_SYNCHRONOUS, 0, data_path, _DONT_EXIT)
        if rate_hz <= 0:
            raise EngineUnavailable(f"espeak-ng does not start (error {rate_hz}); {_INSTALL}")
        self._rate_hz: int = rate_hz
        self._choose_voice()
        self._refuse_unknown_variant()

    @property
    def rate_hz(self) -> int:
        return self._rate_hz

    def synthesize(self, text: str, speed: float) -> Iterator[Pcm]:
        speed = min(max(speed, SLOWEST_SPEED), FASTEST_SPEED)
        made: list[Pcm] = []

        def take(samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int) -> int:
            if samples and count > 0:
                made.append(np.ctypeslib.as_array(samples, (count,)).copy())
            return 0  # 1 would stop the engine

        callback = _Callback(take)
        self._choose_voice()
        self._library.espeak_SetSynthCallback(callback)
        self._library.espeak_SetParameter(_RATE, round(WORDS_A_MINUTE * speed), 0)
        encoded = text.encode()
        failed = self._library.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, _UTF8, None, None)
        if failed:
            raise EngineUnavailable(f"espeak-ng failed with error {failed}")
        yield from made

    def _choose_voice(self) -> None:
        if self._library.espeak_SetVoiceByName(self._name.encode()):
            raise self._unknown_voice()

    def _refuse_unknown_variant(self) -> None:
        """The library speaks with the plain voice, silently, when it lacks the variant after the plus sign."""
        _, plus, variant = self._name.partition("+")
        data_path = ctypes.c_char_p()
        self._library.espeak_Info(ctypes.byref(data_path))
        variants = Path((data_path.value or b"").decode(), "voices", "!v")
        if not self._name or (plus and variant not in {path.name for path in variants.iterdir()}):
            raise self._unknown_voice()

    def _unknown_voice(self) -> EngineUnavailable:
        return EngineUnavailable(f"espeak-ng has no voice {self._name!r}; try en-us+klatt5 or en-us+f2")


def espeak_library_present() -> bool:
    """Tell whether the wheel or the system's library is there, without loading anything GPL into this process."""
    return find_spec("espeakng_loader") is not None or find_library("espeak-ng") is not None


def _open_library() -> tuple[ctypes.CDLL, bytes | None]:
    """Return the library and its data folder (None: the library's own), the wheel's before the system's."""
    try:
        loader = importlib.import_module("espeakng_loader")
        library, data_path = ctypes.CDLL(loader.get_library_path()), loader.get_data_path().encode()
    except (ImportError, OSError, RuntimeError):
        try:
            library, data_path = ctypes.CDLL("libespeak-ng.so.1"), None
        except OSError as error:
            raise EngineUnavailable(f"espeak-ng is not installed ({error}); {_INSTALL}") from error
    library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    library.espeak_Info.argtypes = [ctypes.POINTER(ctypes.c_char_p)]
    library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    library.espeak_SetSynthCallback.argtypes = [_Callback]
    library.espeak_SetParameter.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    return library, data_path
