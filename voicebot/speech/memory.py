"""What a model was read through can be as large as the model itself, and glibc keeps it once it is free."""

from __future__ import annotations

import ctypes


def give_back_memory() -> None:
    """Return what is free to the system, where the C library can: workers are told to keep it (`process.py`)."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
