"""What both sides agree on: offers and answers (RFC 3264) for one audio stream. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, replace

from voicebot.errors import RemoteProtocolError, VoicebotError
from voicebot.telephony.leg import FRAME_MS, SAMPLE_RATE_HZ
from voicebot.telephony.rtp.codecs import Codec
from voicebot.telephony.rtp.sdp import (
    Crypto,
    Format,
    MediaDescription,
    MediaDirection,
    SessionDescription,
    media_direction,
    parse,
)
from voicebot.telephony.rtp.srtp import SUITES, SrtpMode, choose, our_crypto

#: What we offer: one suite that everybody has and one for those who save bytes.
_OFFERED_SUITES = SUITES[:2]
_COMFORT_NOISE = Format(13, "CN", SAMPLE_RATE_HZ)
#: The payload type under which we offer keys; nearly everybody uses this one.
_EVENT_PAYLOAD_TYPE = 101
_KEY_EVENTS = "0-15"
_EVENTS = "telephone-event"
_SECURE = "RTP/SAVP"
_PLAIN = "RTP/AVP"


class NotAcceptable(VoicebotError):
    """A description offers nothing that we can speak; signalling answers 488. `kind` is a short constant."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """What we offer and where we listen; `address` is what the peer is told, which may be a NAT's."""

    address: str
    rtp_port: int
    rtcp_port: int
    codecs: tuple[Codec, ...]
    srtp: SrtpMode
    key_events: bool
    session_id: int


@dataclass(frozen=True, slots=True)
class Agreed:
    """How media flows now. `decode` maps payload types that may come; `payload_type` goes with `codec` out.

    `address` is empty where the peer gave 0.0.0.0 or ::, the old form of hold (RFC 3264, section 8.4).
    """

    address: str
    rtp_port: int
    rtcp_port: int
    codec: Codec
    payload_type: int
    decode: dict[int, Codec]
    events_out: int | None
    events_in: frozenset[int]
    noise_in: frozenset[int]
    packet_ms: int
    sends: bool
    receives: bool
    our_crypto: Crypto | None = None
    peer_crypto: Crypto | None = None

    @property
    def held_by_peer(self) -> bool:
        return not self.sends


class Negotiation:
    """The state of offer and answer of one session.

    `make_secret` gives fresh random bytes for an SRTP key. Raises `NotAcceptable` for what cannot be agreed, and then
    stays as it was, as RFC 3264 (section 8) asks.
    """

    def __init__(self, local: LocalMedia, make_secret: Callable[[], bytes]) -> None:
        self._local = local
        self._secrets = {suite: make_secret() for suite in SUITES}
        self._version = 0
        self._holding = False
        #: The wish that the last agreement carried out.
        self._holding_agreed = False
        #: Our last description, whose sections every later one keeps (section 8).
        self._described: SessionDescription | None = None
        self._audio_at = 0
        self.agreed: Agreed | None = None

    def hold(self, *, held: bool) -> None:
        """Send only from now on, or take part again; takes effect with the next offer or answer."""
        self._holding = held

    def withdraw(self) -> None:
        """The peer refused our offer: what was agreed before goes on, and so does the wish that it carried out."""
        self._holding = self._holding_agreed

    def offer(self) -> bytes:
        """Return a description that offers everything of ours, in the codec agreed before if there is one."""
        local = self._local
        first = [self.agreed.codec] if self.agreed else []
        codecs = [*first, *(codec for codec in local.codecs if codec not in first)]
        formats = tuple(Format(codec.payload_type, codec.encoding, SAMPLE_RATE_HZ) for codec in codecs)
        if local.key_events:
            formats += (Format(_EVENT_PAYLOAD_TYPE, _EVENTS, SAMPLE_RATE_HZ, parameters=_KEY_EVENTS),)
        crypto: tuple[Crypto, ...] = ()
        if local.srtp is not SrtpMode.OFF:
            crypto = tuple(our_crypto(tag, suite, self._secrets[suite]) for tag, suite in enumerate(_OFFERED_SUITES, 1))
        audio = self._audio(formats, MediaDirection.SENDONLY if self._holding else MediaDirection.SENDRECV)
        # An optional key goes with the plain profile: a peer that knows none takes the offer all the same.
        protocol = _SECURE if local.srtp is SrtpMode.MANDATORY else _PLAIN
        audio = replace(audio, protocol=protocol, crypto=crypto, rtcp_mux=True)
        if self._described is None:
            sections: tuple[MediaDescription, ...] = (audio,)
        else:
            sections = _with(self._described.media, self._audio_at, audio)
        return self._describe(sections)

    def answer(self, body: bytes) -> bytes:
        """Return the answer to an offer and take effect; a re-offer may change anything."""
        offer = _parse(body)
        chosen = self._choose(offer)
        if chosen is None:
            raise NotAcceptable("no_common_media", "The offer has no audio that we can speak in the way we may.")
        at, agreed = chosen
        theirs = offer.media[at]
        by_number = {entry.payload_type: entry for entry in theirs.formats}
        formats = [by_number[number] for number in (*agreed.decode, *agreed.events_in, *agreed.noise_in)]
        ours = self._audio(
            tuple(map(_answered, formats)), media_direction(sends=agreed.sends, receives=agreed.receives)
        )
        crypto = (agreed.our_crypto,) if agreed.our_crypto else ()
        ours = replace(ours, protocol=theirs.protocol, crypto=crypto, rtcp_mux=theirs.rtcp_mux)
        sections = _with(tuple(section.rejected() for section in offer.media), at, ours)
        self._audio_at = at
        self._holding_agreed = self._holding
        self.agreed = agreed
        return self._describe(sections)

    def accept(self, body: bytes) -> None:
        """Take the peer's answer to our offer. A further answer, of another branch, replaces the one before."""
        answer = _parse(body)
        described = self._described
        if described is None or len(answer.media) <= self._audio_at:
            raise NotAcceptable("no_common_media", "The answer has no section for our audio.")
        theirs = answer.media[self._audio_at]
        ours = described.media[self._audio_at]
        crypto = choose(theirs.crypto)
        if crypto is None and theirs.crypto:
            raise NotAcceptable("bad_crypto", "The answer's key cannot be used.")
        mine = next((line for line in ours.crypto if crypto and line.tag == crypto.tag), None)
        if crypto and (mine is None or mine.suite != crypto.suite):
            raise NotAcceptable("bad_crypto", "The answer's key is for another line than ours.")
        if theirs.protocol != ours.protocol:
            raise NotAcceptable("bad_answer", "The answer has another profile than the offer.")
        # What may come is numbered as in our offer, what we send as in the answer (RFC 3264, section 6.1).
        agreed = self._agree(theirs, crypto, mine)
        if agreed is None:
            raise NotAcceptable("no_common_media", "The answer has no audio that we offered.")
        self._holding_agreed = self._holding
        self.agreed = replace(
            agreed,
            decode=agreed.decode | {codec.payload_type: codec for codec in self._local.codecs},
            events_in=agreed.events_in | ({_EVENT_PAYLOAD_TYPE} if self._local.key_events else set()),
        )

    def _choose(self, offer: SessionDescription) -> tuple[int, Agreed] | None:
        """Pick the section to answer: an encrypted one if there is, else the first."""
        plain: tuple[int, Agreed] | None = None
        for at, theirs in enumerate(offer.media):
            if theirs.kind != "audio" or not theirs.port:
                continue
            theirs_crypto = choose(theirs.crypto) if self._local.srtp is not SrtpMode.OFF else None
            ours = None
            if theirs_crypto:
                suite = theirs_crypto.suite
                ours = our_crypto(theirs_crypto.tag, suite, self._secrets[suite])
            agreed = self._agree(theirs, theirs_crypto, ours)
            if agreed and theirs_crypto:
                return at, agreed
            if agreed and plain is None:
                plain = at, agreed
        return plain

    def _agree(self, theirs: MediaDescription, peer: Crypto | None, ours: Crypto | None) -> Agreed | None:
        """Return what a section of the peer's and we have in common, or None."""
        if theirs.kind != "audio" or not theirs.port or theirs.protocol not in {_PLAIN, _SECURE}:
            return None
        if peer is None and (self._local.srtp is SrtpMode.MANDATORY or theirs.protocol == _SECURE):
            return None
        by_name = {codec.encoding: codec for codec in self._local.codecs}
        usual = [entry for entry in theirs.formats if entry.clock_hz == SAMPLE_RATE_HZ and entry.channels == 1]
        decode = {entry.payload_type: by_name[entry.encoding] for entry in usual if entry.encoding in by_name}
        if not decode:
            return None
        payload_type, codec = next(iter(decode.items()))
        events = [entry.payload_type for entry in usual if entry.encoding == _EVENTS and self._local.key_events]
        noise = [entry.payload_type for entry in usual if entry.encoding == _COMFORT_NOISE.encoding]
        address = _media_address(theirs.address)
        mux_port = theirs.port if theirs.rtcp_mux else min(theirs.port + 1, 65535)
        return Agreed(
            address=address,
            rtp_port=theirs.port,
            rtcp_port=theirs.rtcp_port or mux_port,
            codec=codec,
            payload_type=payload_type,
            decode=decode,
            events_out=events[0] if events else None,
            events_in=frozenset(events),
            noise_in=frozenset(noise),
            packet_ms=FRAME_MS // 2 if (theirs.maxptime_ms or FRAME_MS) < FRAME_MS else FRAME_MS,
            sends=theirs.direction.receives and bool(address),
            receives=theirs.direction.sends and not self._holding,
            our_crypto=ours,
            peer_crypto=peer,
        )

    def _audio(self, formats: tuple[Format, ...], direction: MediaDirection) -> MediaDescription:
        return MediaDescription(
            "audio",
            self._local.rtp_port,
            _PLAIN,
            (),
            formats=formats,
            direction=direction,
            ptime_ms=FRAME_MS,
        )

    def _describe(self, sections: tuple[MediaDescription, ...]) -> bytes:
        """Number the description: its version rises exactly when it changes (RFC 3264, section 8)."""
        if self._described is None or self._described.media != sections:
            self._version += 1
        self._described = SessionDescription(self._local.session_id, self._version, self._local.address, sections)
        return bytes(self._described)


def _parse(body: bytes) -> SessionDescription:
    try:
        return parse(body)
    except RemoteProtocolError as error:
        raise NotAcceptable(error.kind, str(error)) from error


def _with(sections: tuple[MediaDescription, ...], at: int, ours: MediaDescription) -> tuple[MediaDescription, ...]:
    return (*sections[:at], ours, *sections[at + 1 :])


def _answered(entry: Format) -> Format:
    """Return a format of the offer as our answer lists it: only keys of telephone-events, and no other parameter."""
    return replace(entry, parameters=_KEY_EVENTS if entry.encoding == _EVENTS else "")


def _media_address(address: str) -> str:
    """Return where media goes, empty for nowhere; a group of hosts is nobody's telephone."""
    if not address:
        raise NotAcceptable("bad_sdp", "The description has no connection address.")
    parsed = ipaddress.ip_address(address)
    if parsed.is_multicast:
        raise NotAcceptable("multicast", "The description asks for multicast media.")
    return "" if parsed.is_unspecified else address
