"""Reads the TwiML that a voice webhook answers, as far as a simulated carrier needs it.

After Twilio's "TwiML for Programmable Voice". A verb this carrier does not know is an error, not ignored: Twilio would
end the call there too.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field

from voicebot.errors import RemoteProtocolError


@dataclass(frozen=True, slots=True)
class Say:
    text: str


@dataclass(frozen=True, slots=True)
class Play:
    url: str


@dataclass(frozen=True, slots=True)
class Pause:
    length_s: float


@dataclass(frozen=True, slots=True)
class HangUp:
    pass


@dataclass(frozen=True, slots=True)
class Reject:
    reason: str


@dataclass(frozen=True, slots=True)
class ConnectStream:
    """`status_url` is empty when the server wants no stream callbacks."""

    url: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    status_url: str = ""


Verb = Say | Play | Pause | HangUp | Reject | ConnectStream


def parse_twiml(text: str) -> tuple[Verb, ...]:
    """Return the verbs in order; raises `RemoteProtocolError` of kind `bad_twiml` for what Twilio would refuse."""
    try:
        # The answer comes from the server under test, over loopback; it is no stranger's document.
        root = ET.fromstring(text)  # noqa: S314
    except ET.ParseError as error:
        raise RemoteProtocolError("bad_twiml", f"The webhook's answer is not XML: {error}.") from error
    if root.tag != "Response":
        raise RemoteProtocolError("bad_twiml", f"TwiML begins with <Response>, not <{root.tag}>.")
    return tuple(_verb(element) for element in root)


def _verb(element: ET.Element) -> Verb:
    words = " ".join((element.text or "").split())
    match element.tag:
        case "Say":
            return Say(words)
        case "Play":
            return Play(words)
        case "Pause":
            return Pause(float(element.get("length", "1")))
        case "Hangup":
            return HangUp()
        case "Reject":
            return Reject(element.get("reason", "rejected"))
        case "Connect":
            return _stream(element)
        case other:
            raise RemoteProtocolError("bad_twiml", f"This carrier does not know <{other}>.")


def _stream(connect: ET.Element) -> ConnectStream:
    stream = connect.find("Stream")
    if stream is None:
        raise RemoteProtocolError("bad_twiml", "<Connect> holds no <Stream>.")
    url = stream.get("url", "")
    if not url.startswith(("ws://", "wss://")):
        raise RemoteProtocolError("bad_twiml", "A stream's url must begin with ws:// or wss://.")
    if "?" in url:
        raise RemoteProtocolError("bad_twiml", "Twilio drops the query of a stream's url; use <Parameter>.")
    parameters = {item.get("name", ""): item.get("value", "") for item in stream.findall("Parameter")}
    return ConnectStream(url, parameters, stream.get("statusCallback", ""))
