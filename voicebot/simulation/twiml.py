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


@dataclass(frozen=True, slots=True)
class Redirect:
    url: str


@dataclass(frozen=True, slots=True)
class Gather:
    """Asks for keys; without one in time, the next verb follows unless `action_on_empty`."""

    action: str
    timeout_s: float
    says: str
    action_on_empty: bool = False


@dataclass(frozen=True, slots=True)
class DialOut:
    """Calls a number or SIP address; whoever answers carries out what `screen_url` says before they are joined."""

    to: str
    action: str
    timeout_s: float
    caller_id: str
    screen_url: str


@dataclass(frozen=True, slots=True)
class DialConference:
    room: str
    action: str
    starts: bool
    ends: bool


@dataclass(frozen=True, slots=True)
class Enqueue:
    """Gives the call to a workflow of TaskRouter's; `task` is the JSON of its attributes."""

    workflow: str
    action: str
    task: str


Verb = Say | Play | Pause | HangUp | Reject | ConnectStream | Redirect | Gather | DialOut | DialConference | Enqueue


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
        case "Redirect":
            return Redirect(words)
        case "Gather":
            return _gather(element)
        case "Dial":
            return _dial(element)
        case "Enqueue":
            return _enqueue(element)
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


def _gather(element: ET.Element) -> Gather:
    says = " ".join(" ".join((say.text or "").split()) for say in element.findall("Say"))
    return Gather(
        element.get("action", ""),
        float(element.get("timeout", "5")),
        says,
        element.get("actionOnEmptyResult") == "true",
    )


def _dial(element: ET.Element) -> DialOut | DialConference:
    action = element.get("action", "")
    conference = element.find("Conference")
    if conference is not None:
        if not conference.text:
            raise RemoteProtocolError("bad_twiml", "A conference needs a name.")
        return DialConference(
            conference.text,
            action,
            starts=conference.get("startConferenceOnEnter", "true") == "true",
            ends=conference.get("endConferenceOnExit", "false") == "true",
        )
    for name in ("Number", "Sip"):
        target = element.find(name)
        if target is not None and target.text:
            timeout_s = float(element.get("timeout", "30"))
            return DialOut(target.text, action, timeout_s, element.get("callerId", ""), target.get("url", ""))
    raise RemoteProtocolError("bad_twiml", "<Dial> names nobody to call.")


def _enqueue(element: ET.Element) -> Enqueue:
    task = element.find("Task")
    workflow = element.get("workflowSid", "")
    if not workflow or task is None or not task.text:
        raise RemoteProtocolError("bad_twiml", "<Enqueue> needs a workflow and a task here.")
    return Enqueue(workflow, element.get("action", ""), task.text)
