"""Python's one interpreter lock, which the loop that carries calls shares with the threads of all other work."""

from __future__ import annotations

import sys

#: A thread that computes keeps the lock for so long while the loop waits for it. With Python's own 5 ms, two of them in
#: turn make a frame late by 10 (docs/benchmarks.md, "A lasting load").
SWITCH_S = 0.0005


def switch_often() -> None:
    """Have threads that compute hand the interpreter over soon, so that no frame waits for them."""
    sys.setswitchinterval(SWITCH_S)
