"""The text messages of Asterisk's chan_websocket, in both of its forms: a plain line, or JSON. Pure.

Plain text is what Asterisk speaks unless told otherwise; JSON came with 20.18, 22.8 and 23.2. We answer in the form
in which MEDIA_START came.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from voicebot.errors import RemoteProtocolError
from voicebot.telephony.json_object import parse_object
from voicebot.telephony.rtp.events import KEYS

MAX_CHARS = 32_000


class Form(StrEnum):
    PLAIN = "plain"
    JSON = "json"


class Command(StrEnum):
    """What we tell Asterisk."""

    ANSWER = "ANSWER"
    HANGUP = "HANGUP"
    FLUSH_MEDIA = "FLUSH_MEDIA"
    MARK_MEDIA = "MARK_MEDIA"


@dataclass(frozen=True, slots=True)
class MediaStart:
    """The first message. `media_format` is Asterisk's name of the codec ("ulaw"), `variables` the channel's."""

    form: Form
    connection_id: str
    channel: str
    channel_id: str
    media_format: str
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DtmfEnd:
    key: str


@dataclass(frozen=True, slots=True)
class MarkProcessed:
    name: str


@dataclass(frozen=True, slots=True)
class Paused:
    """Asterisk has more audio than it wants (MEDIA_XOFF), or has room again."""

    paused: bool


@dataclass(frozen=True, slots=True)
class HungUp:
    pass


@dataclass(frozen=True, slots=True)
class Other:
    """An event that asks nothing of us, a newer Asterisk's included."""

    name: str


Event = MediaStart | DtmfEnd | MarkProcessed | Paused | HungUp | Other


def parse(text: str) -> Event:
    """Return the event; raises `RemoteProtocolError` (``message_too_large``, ``bad_json``, ``bad_field``)."""
    if text.lstrip().startswith("{"):
        body = parse_object(text, max_chars=MAX_CHARS)
        variables = body.get("channel_variables")
        fields = {name: str(value) for name, value in body.items() if isinstance(value, str | int)}
        kept = {name: str(value) for name, value in variables.items()} if isinstance(variables, dict) else {}
        return _event(Form.JSON, fields.pop("event", ""), fields, kept)
    if len(text) > MAX_CHARS:
        raise RemoteProtocolError("message_too_large", f"A message has more than {MAX_CHARS} characters.")
    name, *words = text.split() or [""]
    fields = dict(word.split(":", 1) for word in words if ":" in word)
    # A mark's name stands alone in plain text.
    bare = next((word for word in words if ":" not in word), "")
    return _event(Form.PLAIN, name, {"correlation_id": bare} | fields, {})


def command(form: Form, name: Command, correlation_id: str = "") -> str:
    """Return a command's text."""
    if form is Form.JSON:
        body = {"command": name.value}
        if correlation_id:
            body["correlation_id"] = correlation_id
        return json.dumps(body)
    return f"{name} {correlation_id}".rstrip()


def _event(form: Form, name: str, fields: Mapping[str, str], variables: Mapping[str, str]) -> Event:
    match name:
        case "MEDIA_START":
            return MediaStart(
                form,
                fields.get("connection_id", ""),
                fields.get("channel", ""),
                fields.get("channel_id", ""),
                fields.get("format", ""),
                variables,
            )
        case "DTMF_END":
            key = fields.get("digit", "").upper()
            if len(key) != 1 or key not in KEYS:
                raise RemoteProtocolError("bad_field", "A DTMF_END's digit is none of 0-9, *, # and A-D.")
            return DtmfEnd(key)
        case "MEDIA_MARK_PROCESSED":
            return MarkProcessed(fields.get("correlation_id", ""))
        case "MEDIA_XOFF" | "MEDIA_XON":
            return Paused(name == "MEDIA_XOFF")
        case "HANGUP":
            return HungUp()
        case "":
            raise RemoteProtocolError("bad_field", "A message names no event.")
        case _:
            return Other(name)
