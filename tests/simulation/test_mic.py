"""A person's microphone, on machines that have none: a clear word instead of a traceback."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from voicebot import cli
from voicebot.simulation.mic import Microphone, MicrophoneUnavailable


class _PortAudioError(Exception):
    pass


def _without_device(**_: object) -> None:
    raise _PortAudioError("Error querying device -1")


async def test_without_sounddevice_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MicrophoneUnavailable, match="pip install sounddevice"):
        Microphone()


async def test_without_a_sound_card_it_names_the_other_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    soundless = ModuleType("sounddevice")
    vars(soundless).update(PortAudioError=_PortAudioError, check_input_settings=_without_device)
    monkeypatch.setitem(sys.modules, "sounddevice", soundless)
    with pytest.raises(MicrophoneUnavailable, match=r"device -1.*--text or --wav.*/call page"):
        Microphone()


def test_the_command_ends_with_the_message_and_places_no_call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    # Nothing listens there: had the call been placed, the message would be about that.
    assert cli.main(["call", "--mic", "--url", "http://127.0.0.1:9"]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("voicebot: the microphone cannot be used")
    assert "Traceback" not in printed.err
