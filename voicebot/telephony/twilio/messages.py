"""Twilio Media Streams on the wire: every message as a type, parsed once and written cheaply. No I/O.

Reference: Twilio's "Media Streams - WebSocket Messages". A carrier sends `connected`, `start`, `media`, `dtmf`,
`mark` and `stop`; a server sends `media`, `mark` and `clear`. Numbers travel as decimal strings, audio as base64.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from voicebot.errors import RemoteProtocolError
from voicebot.telephony.json_object import parse_object

#: A message longer than this is refused before it is parsed; two seconds of audio need about 21,500 characters.
MAX_MESSAGE_CHARS = 32_768
#: Audio of one media message, in bytes of mu-law: two seconds, a hundred times what Twilio sends.
MAX_PAYLOAD_BYTES = 16_000
MAX_MARK_NAME_CHARS = 128
MAX_PARAMETERS = 32
#: Twilio limits each custom parameter's name and value together to under 500 characters.
MAX_PARAMETER_CHARS = 500
MAX_NUMBER_DIGITS = 15

_SID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEYS = frozenset("0123456789*#ABCD")


class Track(StrEnum):
    """Which side of the call a media message carries: what the party says, or what is played to the party."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


@dataclass(frozen=True, slots=True)
class MediaFormat:
    encoding: str = "audio/x-mulaw"
    sample_rate_hz: int = 8000
    channels: int = 1


@dataclass(frozen=True, slots=True)
class Connected:
    """The first message of a connection; it bears no sequence number."""

    protocol: str = "Call"
    version: str = "1.0.0"


@dataclass(frozen=True, slots=True)
class Start:
    sequence: int
    stream_sid: str
    account_sid: str
    call_sid: str
    tracks: tuple[Track, ...] = (Track.INBOUND,)
    media_format: MediaFormat = MediaFormat()
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Media:
    """Audio from the carrier. `chunk` counts from 1, `timestamp_ms` from the start of the stream."""

    sequence: int
    stream_sid: str
    track: Track
    chunk: int
    timestamp_ms: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Dtmf:
    """A key. Personal: never logged."""

    sequence: int
    stream_sid: str
    digit: str
    track: str = "inbound_track"


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark of ours that came back: its audio was played, or dropped by a `clear`."""

    sequence: int
    stream_sid: str
    name: str


@dataclass(frozen=True, slots=True)
class Stop:
    sequence: int
    stream_sid: str
    account_sid: str
    call_sid: str


@dataclass(frozen=True, slots=True)
class PlayMedia:
    """Audio to the carrier, any length."""

    stream_sid: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class SetMark:
    stream_sid: str
    name: str


@dataclass(frozen=True, slots=True)
class Clear:
    stream_sid: str


CarrierMessage = Connected | Start | Media | Dtmf | Mark | Stop
ServerMessage = PlayMedia | SetMark | Clear


def parse_carrier(text: str) -> CarrierMessage:
    """Parse what a carrier sent.

    Raises `RemoteProtocolError` of kind `message_too_large`, `bad_json`, `unknown_event`, `missing_field`,
    `bad_field`, `bad_base64` or `payload_too_large`.
    """
    body = parse_object(text, max_chars=MAX_MESSAGE_CHARS)
    event = body.get("event")
    parse = _CARRIER_PARSERS.get(event) if isinstance(event, str) else None
    if parse is None:
        raise RemoteProtocolError("unknown_event", "The carrier sent an event that Media Streams does not have.")
    return parse(body)


def parse_server(text: str) -> ServerMessage:
    """Parse what a server sent; the test carrier's side. Raises as `parse_carrier` does."""
    body = parse_object(text, max_chars=MAX_MESSAGE_CHARS)
    event = body.get("event")
    sid = _sid(body, "streamSid")
    match event:
        case "media":
            return PlayMedia(sid, _payload(_object(body, "media")))
        case "mark":
            return SetMark(sid, _mark_name(body))
        case "clear":
            return Clear(sid)
        case _:
            raise RemoteProtocolError("unknown_event", "The server sent an event that Media Streams does not have.")


def serialise(message: CarrierMessage | ServerMessage) -> str:
    """Write any message as the peer expects it."""
    return json.dumps(_as_json(message), separators=(",", ":"))


class MediaWriter:
    """Writes the messages of one stream to its carrier; 50 a second per call, so the constant part is made once."""

    def __init__(self, stream_sid: str) -> None:
        if _SID.fullmatch(stream_sid) is None:
            raise ValueError("A stream SID has letters, digits, - and _ only.")
        # The SID is safe inside a JSON string as it stands, so no message needs the JSON encoder.
        head = f'{{"event":"%s","streamSid":"{stream_sid}"'
        self._media_head = head % "media" + ',"media":{"payload":"'
        self._mark_head = head % "mark" + ',"mark":{"name":'
        self._clear = head % "clear" + "}"

    def media(self, payload: bytes) -> str:
        """Return a media message for mu-law of any length."""
        return f'{self._media_head}{binascii.b2a_base64(payload, newline=False).decode("ascii")}"}}}}'

    def mark(self, name: str) -> str:
        return f"{self._mark_head}{json.dumps(name)}}}}}"

    def clear(self) -> str:
        return self._clear


def _connected(body: dict[str, Any]) -> Connected:
    return Connected(_text(body, "protocol", 32), _text(body, "version", 32))


def _start(body: dict[str, Any]) -> Start:
    start = _object(body, "start")
    stream_sid = _sid(start, "streamSid")
    if _sid(body, "streamSid") != stream_sid:
        raise RemoteProtocolError("bad_field", "The start message names two different streams.")
    form = _object(start, "mediaFormat")
    return Start(
        sequence=_number(body, "sequenceNumber"),
        stream_sid=stream_sid,
        account_sid=_sid(start, "accountSid"),
        call_sid=_sid(start, "callSid"),
        tracks=_tracks(start),
        media_format=MediaFormat(_text(form, "encoding", 64), _number(form, "sampleRate"), _number(form, "channels")),
        parameters=_parameters(start),
    )


def _media(body: dict[str, Any]) -> Media:
    media = _object(body, "media")
    try:
        track = Track(media["track"])
    except (KeyError, ValueError) as error:
        raise RemoteProtocolError("bad_field", "A media message is on a track that does not exist.") from error
    return Media(
        sequence=_number(body, "sequenceNumber"),
        stream_sid=_sid(body, "streamSid"),
        track=track,
        chunk=_number(media, "chunk"),
        timestamp_ms=_number(media, "timestamp"),
        payload=_payload(media),
    )


def _dtmf(body: dict[str, Any]) -> Dtmf:
    dtmf = _object(body, "dtmf")
    digit = _text(dtmf, "digit", 1)
    if digit not in _KEYS:
        raise RemoteProtocolError("bad_field", "A dtmf message carries something that is not a key.")
    track = _text(dtmf, "track", 32) if "track" in dtmf else "inbound_track"
    return Dtmf(_number(body, "sequenceNumber"), _sid(body, "streamSid"), digit, track)


def _mark(body: dict[str, Any]) -> Mark:
    return Mark(_number(body, "sequenceNumber"), _sid(body, "streamSid"), _mark_name(body))


def _stop(body: dict[str, Any]) -> Stop:
    stop = _object(body, "stop")
    return Stop(
        _number(body, "sequenceNumber"), _sid(body, "streamSid"), _sid(stop, "accountSid"), _sid(stop, "callSid")
    )


_CARRIER_PARSERS: dict[str, Callable[[dict[str, Any]], CarrierMessage]] = {
    "connected": _connected,
    "start": _start,
    "media": _media,
    "dtmf": _dtmf,
    "mark": _mark,
    "stop": _stop,
}


def _missing(name: str) -> RemoteProtocolError:
    return RemoteProtocolError("missing_field", f"A message lacks {name!r} or has it with another type.")


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if not isinstance(value, dict):
        raise _missing(name)
    return value


def _text(body: dict[str, Any], name: str, max_chars: int) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise _missing(name)
    # Unprintable also means lone surrogates, which JSON can carry and no log or database can.
    if len(value) > max_chars or not value.isprintable():
        raise RemoteProtocolError("bad_field", f"{name!r} is not printable text of up to {max_chars} characters.")
    return value


def _number(body: dict[str, Any], name: str) -> int:
    """Read a non-negative number, which Twilio sends as a string and some carriers that speak its protocol do not."""
    value = body.get(name)
    if isinstance(value, str) and len(value) <= MAX_NUMBER_DIGITS and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**MAX_NUMBER_DIGITS:
        return value
    if value is None:
        raise _missing(name)
    raise RemoteProtocolError("bad_field", f"{name!r} is not a number from 0 to {MAX_NUMBER_DIGITS} digits.")


def _sid(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise _missing(name)
    if _SID.fullmatch(value) is None:
        raise RemoteProtocolError("bad_field", f"{name!r} is not an identifier of Twilio's.")
    return value


def _payload(media: dict[str, Any]) -> bytes:
    value = media.get("payload")
    if not isinstance(value, str):
        raise _missing("payload")
    if len(value) > (MAX_PAYLOAD_BYTES + 2) // 3 * 4:
        raise RemoteProtocolError("payload_too_large", f"A media message has more than {MAX_PAYLOAD_BYTES} bytes.")
    try:
        payload = binascii.a2b_base64(value, strict_mode=True)
    except ValueError as error:
        raise RemoteProtocolError("bad_base64", "A media payload is not base64.") from error
    if not payload:
        raise RemoteProtocolError("bad_base64", "A media payload is empty.")
    return payload


def _mark_name(body: dict[str, Any]) -> str:
    return _text(_object(body, "mark"), "name", MAX_MARK_NAME_CHARS)


def _tracks(start: dict[str, Any]) -> tuple[Track, ...]:
    value = start.get("tracks")
    try:
        tracks = tuple(Track(track) for track in value) if isinstance(value, list) else ()
    except ValueError as error:
        raise RemoteProtocolError("bad_field", "The start message names a track that does not exist.") from error
    if not tracks or len(set(tracks)) != len(tracks):
        raise RemoteProtocolError("bad_field", "The start message names no track, or one twice.")
    return tracks


def _parameters(start: dict[str, Any]) -> Mapping[str, str]:
    value = start.get("customParameters", {})
    if not isinstance(value, dict):
        raise _missing("customParameters")
    if len(value) > MAX_PARAMETERS:
        raise RemoteProtocolError("bad_field", f"The stream has more than {MAX_PARAMETERS} custom parameters.")
    for name, text in value.items():
        if not isinstance(text, str) or not (name + text).isprintable() or len(name) + len(text) > MAX_PARAMETER_CHARS:
            raise RemoteProtocolError("bad_field", "A custom parameter is not printable text, or too long.")
    return value


def _as_json(message: CarrierMessage | ServerMessage) -> dict[str, Any]:
    match message:
        case Connected(protocol, version):
            return {"event": "connected", "protocol": protocol, "version": version}
        case Start():
            form = message.media_format
            return {
                "event": "start",
                "sequenceNumber": str(message.sequence),
                "start": {
                    "accountSid": message.account_sid,
                    "streamSid": message.stream_sid,
                    "callSid": message.call_sid,
                    "tracks": [str(track) for track in message.tracks],
                    "mediaFormat": {
                        "encoding": form.encoding,
                        "sampleRate": form.sample_rate_hz,
                        "channels": form.channels,
                    },
                    "customParameters": dict(message.parameters),
                },
                "streamSid": message.stream_sid,
            }
        case Media():
            media = {
                "track": str(message.track),
                "chunk": str(message.chunk),
                "timestamp": str(message.timestamp_ms),
                "payload": binascii.b2a_base64(message.payload, newline=False).decode("ascii"),
            }
            return _carrier("media", message.sequence, message.stream_sid, media=media)
        case Dtmf(sequence, sid, digit, track):
            return _carrier("dtmf", sequence, sid, dtmf={"track": track, "digit": digit})
        case Mark(sequence, sid, name):
            return _carrier("mark", sequence, sid, mark={"name": name})
        case Stop(sequence, sid, account_sid, call_sid):
            return _carrier("stop", sequence, sid, stop={"accountSid": account_sid, "callSid": call_sid})
        case PlayMedia(sid, payload):
            encoded = binascii.b2a_base64(payload, newline=False).decode("ascii")
            return {"event": "media", "streamSid": sid, "media": {"payload": encoded}}
        case SetMark(sid, name):
            return {"event": "mark", "streamSid": sid, "mark": {"name": name}}
        case Clear(sid):
            return {"event": "clear", "streamSid": sid}


def _carrier(event: str, sequence: int, stream_sid: str, **content: Mapping[str, str]) -> dict[str, Any]:
    return {"event": event, "sequenceNumber": str(sequence), "streamSid": stream_sid, **content}
