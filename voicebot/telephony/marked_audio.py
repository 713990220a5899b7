"""Audio on its way to a carrier that plays it in real time and returns marks: Twilio and Asterisk's chan_websocket."""

from __future__ import annotations

import asyncio
from collections import deque

from voicebot.errors import LocalProtocolError
from voicebot.telephony.leg import FRAME_BYTES, AudioPlayed
from voicebot.telephony.playback import Playback
from voicebot.telephony.socket_line import SocketLine


class MarkedAudio:
    """Frames of one leg from `send` until they are heard. `wanted` is set when there is something to write."""

    def __init__(self, line: SocketLine) -> None:
        self._line = line
        self._playback = Playback()
        self._unwritten: deque[bytes] = deque()
        self.wanted = asyncio.Event()

    def __len__(self) -> int:
        """Frames that wait to be written."""
        return len(self._unwritten)

    @property
    def sent_samples(self) -> int:
        return self._playback.sent + len(self._unwritten) * FRAME_BYTES

    @property
    def queued_samples(self) -> int:
        """Samples sent that the party has not heard yet, by marks and the clock."""
        return self.sent_samples - self._playback.heard(self._line.clock())

    @property
    def unmarked(self) -> int:
        """Samples written since the last mark."""
        return self._playback.unmarked

    def send(self, frame: bytes) -> None:
        """Queue a frame; raises `LocalProtocolError` for another length."""
        if len(frame) != FRAME_BYTES:
            raise LocalProtocolError(f"A frame has {FRAME_BYTES} bytes, not {len(frame)}.")
        if self._line.is_open:
            self._unwritten.append(frame)
            self.wanted.set()

    def clear(self) -> tuple[int, bool]:
        """Forget what was not heard; return the position that was, and whether the carrier has audio to drop."""
        now_s = self._line.clock()
        never_written = len(self._unwritten) * FRAME_BYTES
        self._unwritten.clear()
        position = self._playback.heard(now_s)
        at_carrier = position < self._playback.sent
        if position < self._playback.sent + never_written:
            self._playback.clear(now_s, skipped=never_written)
            self._line.inbox.put(AudioPlayed(position, now_s))
        return position, at_carrier

    def take(self, most_frames: int) -> bytes:
        """Return what is to be written now."""
        frames = min(len(self._unwritten), most_frames)
        payload = b"".join([self._unwritten.popleft() for _ in range(frames)])
        self._playback.add(len(payload), self._line.clock())
        return payload

    def set_mark(self) -> str:
        """Return the name of a mark that stands after everything written so far."""
        return self._playback.set_mark()

    def mark_returned(self, name: str) -> None:
        """Tell how far the party has heard; raises `LookupError` for a mark that was not outstanding."""
        position = self._playback.mark_returned(name, self._line.received_s)
        if position is not None:
            self._line.inbox.put(AudioPlayed(position, self._line.received_s))
