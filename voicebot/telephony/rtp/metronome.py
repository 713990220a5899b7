"""The beat of all calls' audio: one timer for everybody, where a timer a call would cost more than a packet.

Calls are spread over the 20 ms of a frame, so that their packets do not leave all at once.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from voicebot.telephony.leg import FRAME_MS

FRAME_S = FRAME_MS / 1000
SLOTS = 10
_SLOT_S = FRAME_S / SLOTS
#: Event loops count in whole milliseconds, so a timer may fire this much before its time.
_EARLY_S = 0.001

#: Told the time at each deadline, which is never before the deadline.
Beat = Callable[[float], None]


class _Slot:
    """The calls that share a deadline. `due_s` is the next one."""

    def __init__(self, due_s: float) -> None:
        self.due_s = due_s
        self.beats: list[Beat] = []

    def pass_by(self, now_s: float) -> None:
        """Go on to the first deadline after `now_s`."""
        self.due_s += FRAME_S * max(1, math.ceil((now_s - self.due_s) / FRAME_S))


class Metronome:
    """Calls everybody who joined each 20 ms, on deadlines that do not drift. `now` is monotonic; of one event loop."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._slots: list[_Slot] = []
        self._timer: asyncio.TimerHandle | None = None

    def join(self, beat: Beat) -> float:
        """Call `beat` from now on, and return its first deadline; whoever joins leaves. It must not block or raise."""
        now_s = self._now()
        if self._timer is None:
            self._slots = [_Slot(now_s + slot * _SLOT_S) for slot in range(SLOTS)]
        for slot in self._slots:
            if not slot.beats and slot.due_s < now_s:
                slot.pass_by(now_s)  # the timer does not stop at deadlines that are nobody's
        slot = min(self._slots, key=lambda slot: (len(slot.beats), slot.due_s))
        slot.beats.append(beat)
        self._wait()
        return slot.due_s

    def leave(self, beat: Beat) -> None:
        """Call `beat` no more; the last one to leave stops the timer."""
        for slot in self._slots:
            if beat in slot.beats:
                # A new list, since a beat may leave while its slot is being told.
                slot.beats = [other for other in slot.beats if other != beat]
        if self._timer is not None and not any(slot.beats for slot in self._slots):
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due_s = min(slot.due_s for slot in self._slots if slot.beats)
        self._timer = asyncio.get_running_loop().call_later(max(0.0, due_s - self._now()), self._tick)

    def _tick(self) -> None:
        """Tell everybody whose deadline has come; after a stall each is told once, by the time how late it is."""
        now_s = self._now()
        for slot in self._slots:
            due_s = slot.due_s
            if due_s > now_s + _EARLY_S or not slot.beats:
                continue
            slot.pass_by(now_s)
            for beat in slot.beats:
                beat(max(due_s, self._now()))
        if self._timer is not None:
            self._wait()
