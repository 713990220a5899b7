"""Asterisk's AudioSocket on the wire: a type byte, a 16-bit big-endian length, and the payload. Pure."""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass

import numpy as np

from voicebot import g711
from voicebot.errors import RemoteProtocolError
from voicebot.telephony.rtp.events import KEYS

_HEADER = struct.Struct("!BH")
_HANG_UP, _UUID, _DTMF, _AUDIO = 0x00, 0x01, 0x03, 0x10


@dataclass(frozen=True, slots=True)
class CallIdentified:
    """The first message: the name that the dialplan gave the call."""

    call: uuid.UUID


@dataclass(frozen=True, slots=True)
class AudioCame:
    """Mu-law at 8 kHz, of whatever length the peer sends; it was 16-bit linear on the wire."""

    mulaw: bytes


@dataclass(frozen=True, slots=True)
class KeyCame:
    key: str


@dataclass(frozen=True, slots=True)
class HungUp:
    pass


@dataclass(frozen=True, slots=True)
class ErrorCame:
    """Asterisk could not do something; the call goes on or a hang-up follows."""

    code: int


Message = CallIdentified | AudioCame | KeyCame | HungUp | ErrorCame


class Parser:
    """Cuts a byte stream into messages. A length can be 65,535 at most, so what it keeps is bounded."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Message | RemoteProtocolError]:
        """Return what is complete, with an error in place of each message that makes no sense."""
        data = self._rest + data
        found: list[Message | RemoteProtocolError] = []
        start = 0
        while len(data) - start >= _HEADER.size:
            kind, length = _HEADER.unpack_from(data, start)
            end = start + _HEADER.size + length
            if end > len(data):
                break
            try:
                found.append(_message(kind, data[start + _HEADER.size : end]))
            except RemoteProtocolError as error:
                found.append(error)
            start = end
        self._rest = data[start:]
        return found


def audio(mulaw: bytes) -> bytes:
    """Return the message that carries mu-law as 16-bit linear, little-endian."""
    linear = g711.decode(mulaw).astype("<i2").tobytes()
    return _HEADER.pack(_AUDIO, len(linear)) + linear


def hang_up() -> bytes:
    return _HEADER.pack(_HANG_UP, 0)


def identify(call: uuid.UUID) -> bytes:
    """Return the first message of the calling side."""
    return _HEADER.pack(_UUID, 16) + call.bytes


def key(pressed: str) -> bytes:
    return _HEADER.pack(_DTMF, 1) + pressed.encode("ascii")


def _message(kind: int, payload: bytes) -> Message:
    match kind:
        case 0x10:
            if len(payload) % 2:
                raise RemoteProtocolError("bad_payload", "Audio ends within a sample.")
            return AudioCame(g711.encode(np.frombuffer(payload, dtype="<i2").astype(np.int16)))
        case 0x03:
            pressed = payload.decode("ascii", errors="replace").upper()
            if len(pressed) != 1 or pressed not in KEYS:
                raise RemoteProtocolError("bad_key", "A key is none of 0-9, *, # and A-D.")
            return KeyCame(pressed)
        case 0x01:
            if len(payload) != 16:
                raise RemoteProtocolError("bad_uuid", "The call's name is not a UUID of 16 bytes.")
            return CallIdentified(uuid.UUID(bytes=payload))
        case 0x00:
            return HungUp()
        case 0xFF:
            return ErrorCame(payload[0] if payload else 0)
        case _:
            raise RemoteProtocolError("unknown_type", "A message is of an unknown type; only 8 kHz audio is spoken.")
