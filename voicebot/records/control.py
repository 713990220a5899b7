"""Stopping and resuming the recording of a live call, by its flow or by a person; all of it goes into the record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Protocol, assert_never

from voicebot.dialog.actions import NoteConsent, RecordingAction, ResumeRecording, StopRecording
from voicebot.dialog.recording import Consent
from voicebot.records.record import RecordingPause


class Pausable(Protocol):
    """The recorder of a live call."""

    def pause(self, on: bool, at_s: float) -> None: ...  # noqa: FBT001  # a switch


class RecordingJournal(Protocol):
    def note_pauses(self, call_id: str, pauses: Sequence[RecordingPause]) -> None: ...
    def note_consent(self, call_id: str, consent: Consent, at_ms: int) -> None: ...


class _Stopper(StrEnum):
    """Who stopped a recording; it goes on when nobody wants it stopped any more."""

    PERSON = "person"
    DIALOG = "dialog"


class _Live:
    def __init__(self, recorder: Pausable, started_s: float) -> None:
        self.recorder = recorder
        self.started_s = started_s
        self.pauses: list[RecordingPause] = []
        self.stoppers: set[_Stopper] = set()


class LiveRecordings:
    """The recordings of this process's live calls. `clock` is monotonic, in seconds."""

    def __init__(self, journal: RecordingJournal, clock: Callable[[], float]) -> None:
        self._journal = journal
        self._clock = clock
        self._live: dict[str, _Live] = {}

    def opened(self, call_id: str, recorder: Pausable, started_s: float) -> None:
        self._live[call_id] = _Live(recorder, started_s)

    def closed(self, call_id: str) -> None:
        self._live.pop(call_id, None)

    def is_recording(self, call_id: str) -> bool:
        """Tell whether there is such a live call here and its recording is not stopped."""
        live = self._live.get(call_id)
        return live is not None and not live.stoppers

    def stop(self, call_id: str, by: str) -> bool:
        """Record silence from now on; False when there is no such live call here. Stopping twice changes nothing."""
        return self._stop(call_id, _Stopper.PERSON, by)

    def resume(self, call_id: str) -> bool:
        """Record again from now on, unless the call's flow wants none; False when there is no such live call here."""
        return self._resume(call_id, _Stopper.PERSON)

    def steer(self, call_id: str, action: RecordingAction) -> None:
        """Do what the call's flow or the bot's rules want."""
        match action:
            case StopRecording(hold):
                self._stop(call_id, _Stopper.DIALOG, hold.value)
            case ResumeRecording():
                self._resume(call_id, _Stopper.DIALOG)
            case NoteConsent(consent):
                if live := self._live.get(call_id):
                    self._journal.note_consent(call_id, consent, _ms(self._clock() - live.started_s))
            case _:
                assert_never(action)

    def _stop(self, call_id: str, stopper: _Stopper, by: str) -> bool:
        live = self._live.get(call_id)
        if live is None:
            return False
        if not live.stoppers:
            now_s = self._clock()
            live.recorder.pause(True, now_s)  # noqa: FBT003  # a switch
            live.pauses.append(RecordingPause(_ms(now_s - live.started_s), None, by))
            self._journal.note_pauses(call_id, live.pauses)
        live.stoppers.add(stopper)
        return True

    def _resume(self, call_id: str, stopper: _Stopper) -> bool:
        live = self._live.get(call_id)
        if live is None:
            return False
        if stopper in live.stoppers:
            live.stoppers.remove(stopper)
            if not live.stoppers:
                now_s = self._clock()
                live.recorder.pause(False, now_s)  # noqa: FBT003  # a switch
                live.pauses[-1] = replace(live.pauses[-1], end_ms=_ms(now_s - live.started_s))
                self._journal.note_pauses(call_id, live.pauses)
        return True


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
