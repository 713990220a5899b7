"""Stopping and resuming the recording of a live call, by whoever may; every pause goes into the record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from voicebot.records.record import RecordingPause


class Pausable(Protocol):
    """The recorder of a live call."""

    def pause(self, on: bool, at_s: float) -> None: ...  # noqa: FBT001  # a switch


class PauseJournal(Protocol):
    def note_pauses(self, call_id: str, pauses: Sequence[RecordingPause]) -> None: ...


class _Live:
    def __init__(self, recorder: Pausable, started_s: float) -> None:
        self.recorder = recorder
        self.started_s = started_s
        self.pauses: list[RecordingPause] = []

    @property
    def is_stopped(self) -> bool:
        return bool(self.pauses) and self.pauses[-1].end_ms is None


class LiveRecordings:
    """The recordings of this process's live calls. `clock` is monotonic, in seconds."""

    def __init__(self, journal: PauseJournal, clock: Callable[[], float]) -> None:
        self._journal = journal
        self._clock = clock
        self._live: dict[str, _Live] = {}

    def opened(self, call_id: str, recorder: Pausable, started_s: float) -> None:
        self._live[call_id] = _Live(recorder, started_s)

    def closed(self, call_id: str) -> None:
        self._live.pop(call_id, None)

    def stop(self, call_id: str, by: str) -> bool:
        """Record silence from now on; False when there is no such live call here. Stopping twice changes nothing."""
        live = self._live.get(call_id)
        if live is not None and not live.is_stopped:
            now_s = self._clock()
            live.recorder.pause(True, now_s)  # noqa: FBT003  # a switch
            live.pauses.append(RecordingPause(_ms(now_s - live.started_s), None, by))
            self._journal.note_pauses(call_id, live.pauses)
        return live is not None

    def resume(self, call_id: str) -> bool:
        """Record again from now on; False when there is no such live call here."""
        live = self._live.get(call_id)
        if live is not None and live.is_stopped:
            now_s = self._clock()
            live.recorder.pause(False, now_s)  # noqa: FBT003  # a switch
            live.pauses[-1] = replace(live.pauses[-1], end_ms=_ms(now_s - live.started_s))
            self._journal.note_pauses(call_id, live.pauses)
        return live is not None


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
