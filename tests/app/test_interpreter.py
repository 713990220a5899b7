"""Work in threads hands the interpreter over to the calls."""

from __future__ import annotations

import sys

import pytest

from voicebot.app.interpreter import SWITCH_S, switch_often


def test_threads_hand_the_interpreter_over_sooner_than_a_frame_is_due() -> None:
    before = sys.getswitchinterval()
    try:
        switch_often()
        assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
        assert SWITCH_S < 0.001
    finally:
        sys.setswitchinterval(before)
