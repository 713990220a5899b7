"""DTMF keys as telephone-events (RFC 4733), both ways, and as tones for peers that know no events. Pure."""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass

import numpy as np

from voicebot import g711
from voicebot.errors import LocalProtocolError, RemoteProtocolError
from voicebot.telephony.leg import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENT_FRAME, KeyPressed

#: Event codes 0 to 15 (RFC 4733, table 3).
KEYS = "0123456789*#ABCD"
#: The last packet of an event is sent this often, since nothing repairs its loss (section 2.5.1.4).
END_PACKETS = 3
#: An event with no news for this long has ended; its last packets were lost (three packets of 50 ms).
SILENT_S = 0.15
_MAX_DURATION = 0xFFFF
_VOLUME_DBM0 = 10
_PAYLOAD = struct.Struct("!BBH")
#: Rows and columns of the keypad (ITU-T Q.23).
_ROWS_HZ = (697, 770, 852, 941)
_COLUMNS_HZ = (1209, 1336, 1477, 1633)
_KEYPAD = "123A456B789C*0#D"


@dataclass(frozen=True, slots=True)
class TelephoneEvent:
    """`duration` is in timestamp units, since the event's timestamp."""

    code: int
    end: bool
    volume_dbm0: int
    duration: int


def parse(payload: bytes) -> TelephoneEvent:
    """Return the event; raises `RemoteProtocolError` of kind ``bad_event``."""
    if len(payload) < _PAYLOAD.size:
        raise RemoteProtocolError("bad_event", "A telephone-event has fewer than four bytes.")
    code, flags, duration = _PAYLOAD.unpack_from(payload)
    return TelephoneEvent(code, bool(flags & 0x80), flags & 0x3F, duration)


def build(event: TelephoneEvent) -> bytes:
    return _PAYLOAD.pack(event.code, (0x80 if event.end else 0) | event.volume_dbm0, event.duration)


@dataclass(slots=True)
class _Pressed:
    key: str
    timestamp: int
    duration: int
    #: Where the next segment of a very long event would begin.
    next_segment: int
    heard_s: float


class KeyReceiver:
    """Turns packets into keys, each once, however often and in whatever order its packets come."""

    def __init__(self) -> None:
        self._pressed: _Pressed | None = None
        #: Timestamp of the newest event begun, by which repeats and stragglers are known.
        self._newest: int | None = None

    @property
    def is_pressed(self) -> bool:
        return self._pressed is not None

    def receive(self, payload: bytes, *, timestamp: int, now_s: float) -> list[KeyPressed]:
        """Take a packet and return the keys it ends, oldest first; codes that are no keys are ignored.

        Raises `RemoteProtocolError` of kind ``bad_event``.
        """
        event = parse(payload)
        if event.code >= len(KEYS):
            return []
        pressed = self._pressed
        ended: list[KeyPressed] = []
        if pressed and timestamp == pressed.timestamp:
            pressed.duration = max(pressed.duration, event.duration)
        elif self._newest is not None and not _is_newer(timestamp, self._newest):
            return []
        elif pressed and timestamp == pressed.next_segment and KEYS[event.code] == pressed.key:
            # Section 2.5.1.3: an event longer than the field goes on under a new timestamp.
            pressed.timestamp = self._newest = timestamp
            pressed.next_segment = _after(timestamp, _MAX_DURATION)
            pressed.duration = event.duration
        else:
            if pressed:
                ended.append(self._end(now_s))
            pressed = _Pressed(KEYS[event.code], timestamp, event.duration, _after(timestamp, _MAX_DURATION), now_s)
            self._pressed, self._newest = pressed, timestamp
        pressed.heard_s = now_s
        if event.end:
            ended.append(self._end(now_s))
        return ended

    def expire(self, now_s: float) -> list[KeyPressed]:
        """Return the key whose end was never heard, once it is silent for `SILENT_S`."""
        if self._pressed and now_s - self._pressed.heard_s > SILENT_S:
            return [self._end(now_s)]
        return []

    def restart(self) -> None:
        """Forget timestamps: the peer's next stream counts anew."""
        self._pressed, self._newest = None, None

    def _end(self, now_s: float) -> KeyPressed:
        pressed, self._pressed = self._pressed, None
        if pressed is None:
            raise LocalProtocolError("No key is pressed.")
        return KeyPressed(pressed.key, now_s, pressed.duration * 1000 // SAMPLE_RATE_HZ)


def _after(timestamp: int, samples: int) -> int:
    return (timestamp + samples) & 0xFFFFFFFF


def _is_newer(timestamp: int, than: int) -> bool:
    return 0 < (timestamp - than) & 0xFFFFFFFF < 0x80000000


@dataclass(frozen=True, slots=True)
class EventPacket:
    """What to send in place of 20 ms of audio; several with the same timestamp at an event's end."""

    payload: bytes
    timestamp: int
    marker: bool


class KeySender:
    """Makes the packets of queued keys, one step every 20 ms.

    `key_ms` is how long each key sounds, `gap_ms` the pause after it.
    """

    def __init__(self, *, key_ms: int, gap_ms: int) -> None:
        self._key_steps = max(1, key_ms * SAMPLE_RATE_HZ // 1000 // FRAME_SAMPLES)
        self._gap_steps = max(1, gap_ms * SAMPLE_RATE_HZ // 1000 // FRAME_SAMPLES)
        self._waiting: deque[str] = deque()
        self._step = 0
        self._began = 0

    @property
    def busy(self) -> bool:
        return bool(self._waiting)

    def press(self, keys: str) -> None:
        """Queue keys; raises `LocalProtocolError` for a character that is no key."""
        self._waiting.extend(check_keys(keys))

    def step(self, timestamp: int) -> list[EventPacket]:
        """Return the packets of the 20 ms that begin at `timestamp`; none in the pause between keys."""
        if not self._waiting:
            return []
        step = self._step
        self._step += 1
        if step == 0:
            self._began = timestamp
        if step < self._key_steps:
            last = step == self._key_steps - 1
            event = TelephoneEvent(KEYS.index(self._waiting[0]), last, _VOLUME_DBM0, (step + 1) * FRAME_SAMPLES)
            packet = EventPacket(build(event), self._began, step == 0)
            if not last:
                return [packet]
            return [packet] + [EventPacket(packet.payload, packet.timestamp, marker=False)] * (END_PACKETS - 1)
        if step == self._key_steps + self._gap_steps - 1:
            self._waiting.popleft()
            self._step = 0
        return []


def check_keys(keys: str) -> str:
    """Return `keys` in capitals; raises `LocalProtocolError` for a character that is no key."""
    upper = keys.upper()
    if any(key not in KEYS for key in upper):
        raise LocalProtocolError("A key is one of 0-9, *, # and A-D.")
    return upper


def tones(keys: str, *, key_ms: int, gap_ms: int) -> list[bytes]:
    """Return `keys` as mu-law frames of dual tones (ITU-T Q.23), each followed by a pause of silence."""
    samples = key_ms * SAMPLE_RATE_HZ // 1000 // FRAME_SAMPLES * FRAME_SAMPLES
    at_s = np.arange(samples) / SAMPLE_RATE_HZ
    frames: list[bytes] = []
    for key in check_keys(keys):
        row, column = divmod(_KEYPAD.index(key), 4)
        tone = np.sin(2 * np.pi * _ROWS_HZ[row] * at_s) + np.sin(2 * np.pi * _COLUMNS_HZ[column] * at_s)
        audio = g711.encode((6000 * tone).astype(np.int16))
        frames += [audio[start : start + FRAME_BYTES] for start in range(0, samples, FRAME_BYTES)]
        frames += [SILENT_FRAME] * (gap_ms * SAMPLE_RATE_HZ // 1000 // FRAME_SAMPLES)
    return frames
