"""Twilio's webhooks, without HTTP: who signed a request, what it says, and what TwiML answers it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from multidict import MultiMapping
from twilio.request_validator import (
    RequestValidator,
    get_signature_algorithm,
)
from twilio.twiml.messaging_response import MessagingResponse
from twilio.twiml.voice_response import Connect, VoiceResponse

from voicebot.errors import RemoteProtocolError
from voicebot.telephony.twilio.messages import MAX_PARAMETER_CHARS

_SID = re.compile(r"[A-Za-z0-9_-]{1,64}")
#: A telephone number, a SIP address or a client's name, as Twilio sends them.
MAX_PARTY_CHARS = 128
#: Of a text message, as many as are read; Twilio delivers up to 1600.
MAX_MESSAGE_CHARS = 1600
#: Twilio sends a longer text as no message at all (error 21617).
MAX_SMS_CHARS = 1600


class SignatureChecker:
    """Checks `X-Twilio-Signature` with the account's auth token.

    See Twilio's "Webhooks security": the signature covers the full URL as Twilio called it, its query included, and
    every form field, a key that comes twice included.
    """

    def __init__(self, auth_token: str) -> None:
        self._validator = RequestValidator(auth_token)

    def is_genuine(self, *, url: str, form: MultiMapping[str], headers: Mapping[str, str]) -> bool:
        signature = headers.get("X-Twilio-Signature", "")
        algorithm = get_signature_algorithm(headers.get("X-Twilio-Webhooks-Signature-Settings", ""))
        try:
            return bool(self._validator.validate(url, form, signature, algorithm))
        except ValueError:
            # A port that is no number, or text that has no UTF-8 form: Twilio never signed that.
            return False


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A call Twilio asks about. `caller` and `called` are personal; `caller` is empty when withheld."""

    call_sid: str
    account_sid: str
    caller: str
    called: str


class CarrierCallStatus(StrEnum):
    QUEUED = "queued"
    INITIATED = "initiated"
    RINGING = "ringing"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    BUSY = "busy"
    FAILED = "failed"
    NO_ANSWER = "no-answer"
    CANCELED = "canceled"

    @property
    def is_final(self) -> bool:
        """Whether the call is over."""
        return self not in {self.QUEUED, self.INITIATED, self.RINGING, self.IN_PROGRESS}


@dataclass(frozen=True, slots=True)
class CallStatusChanged:
    call_sid: str
    status: CarrierCallStatus
    duration_s: int | None = None


@dataclass(frozen=True, slots=True)
class StreamStatusChanged:
    """Twilio's word on a stream: ``"stream-started"``, ``"stream-stopped"`` or ``"stream-error"`` with its reason."""

    call_sid: str
    stream_sid: str
    event: str
    error: str = ""


#: Twilio writes these in place of the number of a caller who withholds it.
_WITHHELD = frozenset({"anonymous", "restricted", "unavailable", "unknown", "private", "+266696687", "+86282452253"})


def parse_incoming(form: MultiMapping[str]) -> IncomingCall:
    """Parse the voice webhook's form; raises `RemoteProtocolError` of kind `missing_field` or `bad_field`."""
    caller = _party(form, "From")
    return IncomingCall(
        call_sid=_sid(form, "CallSid"),
        account_sid=_sid(form, "AccountSid"),
        caller="" if caller.lower() in _WITHHELD else caller,
        called=_party(form, "To"),
    )


def parse_status(form: MultiMapping[str]) -> CallStatusChanged | StreamStatusChanged:
    """Parse a status callback of a call or of a stream; raises as `parse_incoming` does."""
    call_sid = _sid(form, "CallSid")
    if "StreamEvent" in form:
        event = form["StreamEvent"]
        if event not in {"stream-started", "stream-stopped", "stream-error"}:
            raise RemoteProtocolError("bad_field", "A stream callback names an event that does not exist.")
        return StreamStatusChanged(call_sid, _sid(form, "StreamSid"), event, form.get("StreamError", "")[:200])
    duration = form.get("CallDuration", "")
    return CallStatusChanged(
        call_sid, _status(form), int(duration) if duration.isascii() and duration.isdigit() else None
    )


@dataclass(frozen=True, slots=True)
class MachineDetected:
    """What Twilio makes of whoever answered a call; it is not sure when it says neither."""

    call_sid: str
    machine: bool


def parse_machine(form: MultiMapping[str]) -> MachineDetected:
    """Parse the callback of answering machine detection; raises as `parse_incoming` does."""
    answered_by = form.get("AnsweredBy", "")
    return MachineDetected(_sid(form, "CallSid"), answered_by.startswith("machine") or answered_by == "fax")


@dataclass(frozen=True, slots=True)
class CameBack:
    """What a call that was elsewhere reports when that is over. Each result is empty where its verb was not used.

    `dial` is the status of the call that <Dial> made, `queue` how <Enqueue> ended.
    """

    call_sid: str
    status: CarrierCallStatus
    dial: str = ""
    queue: str = ""

    @property
    def is_over(self) -> bool:
        """Whether the call itself has ended: nobody is left to come back."""
        return self.status.is_final or self.queue == "hangup"


def parse_came_back(form: MultiMapping[str]) -> CameBack:
    """Parse what Twilio asks the `action` of <Dial> and <Enqueue>; raises as `parse_incoming` does."""
    return CameBack(
        _sid(form, "CallSid"), _status(form), form.get("DialCallStatus", "")[:32], form.get("QueueResult", "")[:32]
    )


def parse_key(form: MultiMapping[str]) -> str:
    """Return the key that <Gather> asked for, empty where none was pressed."""
    key = form.get("Digits", "")
    return key if key in set("0123456789*#") else ""


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A text message. `sender` and `receiver` are numbers; `text` may be empty (a picture alone)."""

    message_sid: str
    account_sid: str
    sender: str
    receiver: str
    text: str


def parse_message(form: MultiMapping[str]) -> IncomingMessage:
    """Parse the messaging webhook's form; raises as `parse_incoming` does."""
    sender, receiver = _party(form, "From"), _party(form, "To")
    if not sender:
        raise RemoteProtocolError("missing_field", "The form lacks 'From'.")
    return IncomingMessage(
        message_sid=_sid(form, "MessageSid"),
        account_sid=_sid(form, "AccountSid"),
        sender=sender,
        receiver=receiver,
        text=form.get("Body", "").strip()[:MAX_MESSAGE_CHARS],
    )


def message_twiml(text: str) -> str:
    """Return TwiML that answers a text message with `text`, or with nothing when that is empty.

    A text over `MAX_SMS_CHARS` becomes several messages, broken between lines or else between words.
    """
    response = MessagingResponse()
    for part in _messages(text):
        response.message(part)
    return str(response)


def _messages(text: str) -> Iterator[str]:
    rest = text.strip()
    while len(rest) > MAX_SMS_CHARS:
        # One more character than fits: a break right behind the last word that does.
        window = rest[: MAX_SMS_CHARS + 1]
        found = max(window.rfind("\n"), 0) or max(window.rfind(" "), 0) or MAX_SMS_CHARS
        yield rest[:found].rstrip()
        rest = rest[found:].lstrip()
    if rest:
        yield rest


def stream_twiml(*, url: str, status_url: str, parameters: Mapping[str, str]) -> str:
    """Return TwiML that connects the call to our WebSocket, both ways, and hangs up when it closes.

    Twilio drops the query of a stream's URL, so whatever the stream must know travels in `parameters`.
    """
    response = VoiceResponse()
    connect = Connect()
    stream = connect.stream(url=url, status_callback=status_url, status_callback_method="POST")
    for name, value in parameters.items():
        if len(name) + len(value) >= MAX_PARAMETER_CHARS:
            raise ValueError(f"Twilio drops a custom parameter of {MAX_PARAMETER_CHARS} characters or more.")
        stream.parameter(name=name, value=value)
    response.append(connect)
    response.hangup()
    return str(response)


def refusal_twiml(*, message: str, language: str, recording_url: str | None = None) -> str:
    """Return TwiML that speaks `message` (or plays a recording of it) and hangs up."""
    response = VoiceResponse()
    if recording_url is None:
        response.say(message, language=language)
    else:
        response.play(recording_url)
    response.hangup()
    return str(response)


def _status(form: MultiMapping[str]) -> CarrierCallStatus:
    try:
        return CarrierCallStatus(form.get("CallStatus", ""))
    except ValueError as error:
        raise RemoteProtocolError("bad_field", "A callback names a status that does not exist.") from error


def _sid(form: MultiMapping[str], name: str) -> str:
    value = form.get(name)
    if value is None:
        raise RemoteProtocolError("missing_field", f"The form lacks {name!r}.")
    if _SID.fullmatch(value) is None:
        raise RemoteProtocolError("bad_field", f"{name!r} is not an identifier of Twilio's.")
    return value


def _party(form: MultiMapping[str], name: str) -> str:
    value = form.get(name, "")
    if len(value) > MAX_PARTY_CHARS or not value.isprintable():
        raise RemoteProtocolError("bad_field", f"{name!r} is not a number or address.")
    return value
