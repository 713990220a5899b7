"""The call page's WebSocket protocol, version 1: binary audio both ways and JSON control. No I/O.

Audio is mu-law at 8 kHz, whole 20 ms frames of 160 bytes, up to ten in a message. The page opens with `hello` and its
ticket, the server answers `ready` or `end`. Positions are samples of the server's audio, counted from its first.

| page to server                                | meaning                                                            |
| --------------------------------------------- | ------------------------------------------------------------------ |
| `{"type":"hello","version":1,"ticket":"…"}`   | first message, once                                                |
| `{"type":"key","key":"5","ms":120}`           | a key of the keypad and how long it was held                       |
| `{"type":"played","generation":0,"position":n}` | heard up to n; `generation` is that of the last `clear`, or 0    |
| `{"type":"bye"}`                              | the caller hung up                                                 |

| server to page                                        | meaning                                                    |
| ----------------------------------------------------- | ---------------------------------------------------------- |
| `{"type":"ready"}`                                    | the call begins                                            |
| `{"type":"caption","speaker":"bot","text":"…","final":true}` | what was said; one that is not final will be replaced |
| `{"type":"clear","generation":1,"position":n}`        | drop all audio; what follows counts from n                 |
| `{"type":"level","dbfs":-32}`                         | how loud the server hears the caller                       |
| `{"type":"end","cause":"completed","message":""}`     | the call ended; `message` is for the caller                |
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from voicebot.errors import RemoteProtocolError
from voicebot.telephony.json_object import parse_object
from voicebot.telephony.leg import FRAME_BYTES

PROTOCOL_VERSION = 1
MAX_TEXT_CHARS = 2_048
MAX_FRAMES_A_MESSAGE = 10
MAX_TICKET_CHARS = 1_024
#: 2**53 - 1, the largest whole number JavaScript counts to.
MAX_POSITION = 9_007_199_254_740_991

_KEYS = frozenset("0123456789*#ABCD")


@dataclass(frozen=True, slots=True)
class Hello:
    ticket: str


@dataclass(frozen=True, slots=True)
class Key:
    """A key pressed. Personal: never logged."""

    key: str
    duration_ms: int | None


@dataclass(frozen=True, slots=True)
class Played:
    generation: int
    position: int


@dataclass(frozen=True, slots=True)
class Bye:
    pass


PageMessage = Hello | Key | Played | Bye


def parse_page(text: str) -> PageMessage:
    """Parse a text message of the page.

    Raises `RemoteProtocolError` of kind `message_too_large`, `bad_json`, `unknown_event` or `bad_field`.
    """
    body = parse_object(text, max_chars=MAX_TEXT_CHARS)
    match body.get("type"):
        case "hello":
            return _hello(body)
        case "key":
            return _key(body)
        case "played":
            return Played(_whole(body, "generation"), _whole(body, "position"))
        case "bye":
            return Bye()
        case _:
            raise RemoteProtocolError("unknown_event", "The page sent a message this protocol does not have.")


def split_audio(payload: bytes) -> list[bytes]:
    """Cut a binary message into frames; raises `RemoteProtocolError` of kind `bad_audio`."""
    frames, rest = divmod(len(payload), FRAME_BYTES)
    if rest or not 1 <= frames <= MAX_FRAMES_A_MESSAGE:
        raise RemoteProtocolError("bad_audio", f"Audio comes in 1 to {MAX_FRAMES_A_MESSAGE} frames of 20 ms.")
    if frames == 1:
        return [payload]
    return [payload[offset : offset + FRAME_BYTES] for offset in range(0, len(payload), FRAME_BYTES)]


def ready() -> str:
    return '{"type":"ready"}'


def caption(speaker: str, text: str, *, final: bool) -> str:
    return json.dumps({"type": "caption", "speaker": speaker, "text": text, "final": final})


def clear(generation: int, position: int) -> str:
    return f'{{"type":"clear","generation":{generation},"position":{position}}}'


def level(dbfs: int) -> str:
    return f'{{"type":"level","dbfs":{dbfs}}}'


def end(cause: str, message: str) -> str:
    return json.dumps({"type": "end", "cause": cause, "message": message})


def _hello(body: dict[str, Any]) -> Hello:
    if body.get("version") != PROTOCOL_VERSION:
        raise RemoteProtocolError("bad_field", "The page speaks another version of the protocol; reload it.")
    ticket = body.get("ticket")
    if not isinstance(ticket, str) or not 0 < len(ticket) <= MAX_TICKET_CHARS:
        raise RemoteProtocolError("bad_field", "The hello message has no ticket.")
    return Hello(ticket)


def _key(body: dict[str, Any]) -> Key:
    key = body.get("key")
    if not isinstance(key, str) or key not in _KEYS:
        raise RemoteProtocolError("bad_field", "A key message carries something that is not a key.")
    return Key(key, _whole(body, "ms") if body.get("ms") is not None else None)


def _whole(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_POSITION:
        raise RemoteProtocolError("bad_field", f"{name!r} is not a whole number.")
    return value
