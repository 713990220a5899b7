"""Session descriptions (SDP, RFC 8866) as far as audio needs them. Pure.

What is not needed is read over: a description may hold anything that the standard allows.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from enum import StrEnum

from voicebot.errors import RemoteProtocolError

MAX_BODY_BYTES = 16 * 1024
MAX_MEDIA = 16
MAX_FORMATS = 64


class MediaDirection(StrEnum):
    """What the describing side does with media (RFC 3264, section 5.1)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        return self in {MediaDirection.SENDRECV, MediaDirection.SENDONLY}

    @property
    def receives(self) -> bool:
        return self in {MediaDirection.SENDRECV, MediaDirection.RECVONLY}


def media_direction(*, sends: bool, receives: bool) -> MediaDirection:
    if sends:
        return MediaDirection.SENDRECV if receives else MediaDirection.SENDONLY
    return MediaDirection.RECVONLY if receives else MediaDirection.INACTIVE


@dataclass(frozen=True, slots=True)
class Format:
    """One payload type. `encoding` is in capitals, but for telephone-event; empty for a number without a name."""

    payload_type: int
    encoding: str
    clock_hz: int
    channels: int = 1
    parameters: str = ""


@dataclass(frozen=True, slots=True)
class Crypto:
    """One `a=crypto` line (RFC 4568). `keys` and `parameters` as they stand, the keys being a secret."""

    tag: int
    suite: str
    keys: str
    parameters: str = ""

    def __repr__(self) -> str:
        return f"Crypto(tag={self.tag}, suite={self.suite!r})"


@dataclass(frozen=True, slots=True)
class MediaDescription:
    """One `m=` section. `address` is its own or the session's; `raw_formats` repeat what a rejected section listed."""

    kind: str
    port: int
    protocol: str
    raw_formats: tuple[str, ...]
    formats: tuple[Format, ...] = ()
    address: str = ""
    direction: MediaDirection = MediaDirection.SENDRECV
    ptime_ms: int | None = None
    maxptime_ms: int | None = None
    rtcp_port: int | None = None
    rtcp_mux: bool = False
    crypto: tuple[Crypto, ...] = ()

    def rejected(self) -> MediaDescription:
        """Return the section as an answer refuses it (RFC 3264, section 6)."""
        return MediaDescription(self.kind, 0, self.protocol, self.raw_formats)


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """`address` stands in the origin line, and in every section of ours."""

    session_id: int
    version: int
    address: str
    media: tuple[MediaDescription, ...]

    def __bytes__(self) -> bytes:
        lines = [
            "v=0",
            f"o=- {self.session_id} {self.version} IN {_family(self.address)} {self.address}",
            "s=-",
            f"c=IN {_family(self.address)} {self.address}",
            "t=0 0",
        ]
        for media in self.media:
            lines += _media_lines(media)
        return ("\r\n".join(lines) + "\r\n").encode()


_DIRECTIONS = frozenset(MediaDirection)
#: Peers that compare names exactly know this one in small letters.
_EVENTS = "telephone-event"
#: Static payload types that telephones use (RFC 3551, table 4).
_STATIC = {
    0: ("PCMU", 8000),
    3: ("GSM", 8000),
    4: ("G723", 8000),
    8: ("PCMA", 8000),
    9: ("G722", 8000),
    13: ("CN", 8000),
    18: ("G729", 8000),
}


def parse(body: bytes) -> SessionDescription:
    """Return what is described; raises `RemoteProtocolError` of kind ``bad_sdp``."""
    if len(body) > MAX_BODY_BYTES:
        raise _bad(f"it is longer than {MAX_BODY_BYTES} bytes")
    # Only free text, which is of no use here, may hold more than ASCII.
    lines = body.decode("ascii", errors="replace").replace("\r\n", "\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines or lines[0].strip() != "v=0":
        raise _bad("it does not begin with v=0")
    sections: list[list[tuple[str, str]]] = [[]]
    for line in lines:
        if len(line) < 2 or line[1] != "=":
            raise _bad("a line is not a letter, = and a value")
        if line[0] == "m":
            sections.append([])
        sections[-1].append((line[0], line[2:].strip()))
    if len(sections) - 1 > MAX_MEDIA:
        raise _bad(f"it has more than {MAX_MEDIA} media sections")
    session_id, version = _origin(sections[0])
    address = _connection(sections[0])
    direction = _direction(sections[0], MediaDirection.SENDRECV)
    media = tuple(_media(section, address, direction) for section in sections[1:])
    return SessionDescription(session_id, version, address, media)


def _bad(what: str) -> RemoteProtocolError:
    return RemoteProtocolError("bad_sdp", f"The session description cannot be read: {what}.")


def _number(text: str, what: str, *, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20) or int(text) > most:
        raise _bad(f"{what} is not a number up to {most}")
    return int(text)


def _origin(section: list[tuple[str, str]]) -> tuple[int, int]:
    for letter, value in section:
        if letter == "o":
            fields = value.split()
            if len(fields) != 6:
                raise _bad("its origin does not have six fields")
            most = 10**20 - 1
            return _number(fields[1], "the session id", most=most), _number(fields[2], "the version", most=most)
    raise _bad("it has no origin")


def _connection(section: list[tuple[str, str]], otherwise: str = "") -> str:
    for letter, value in section:
        if letter == "c":
            fields = value.split()
            if len(fields) != 3 or fields[0] != "IN" or fields[1] not in {"IP4", "IP6"}:
                raise _bad("a connection is not IN IP4 or IN IP6 with an address")
            address = fields[2].partition("/")[0]
            try:
                parsed = ipaddress.ip_address(address)
            except ValueError as error:
                raise _bad("a connection's address is no IP address") from error
            if parsed.version != int(fields[1][2]) or "%" in address:
                raise _bad("a connection's address is of the other family")
            return str(parsed)
    return otherwise


def _direction(section: list[tuple[str, str]], otherwise: MediaDirection) -> MediaDirection:
    for letter, value in section:
        if letter == "a" and value in _DIRECTIONS:
            return MediaDirection(value)
    return otherwise


def _media(section: list[tuple[str, str]], address: str, direction: MediaDirection) -> MediaDescription:
    fields = section[0][1].split()
    if len(fields) < 4:
        raise _bad("a media section has fewer than four fields")
    kind, port, protocol, *raw = fields
    if len(raw) > MAX_FORMATS:
        raise _bad(f"a media section has more than {MAX_FORMATS} formats")
    media = MediaDescription(
        kind,
        _number(port.partition("/")[0], "a port", most=65535),
        protocol,
        tuple(raw),
        address=_connection(section, address),
        direction=_direction(section, direction),
    )
    if kind != "audio" or "RTP/" not in protocol:
        return media
    attributes = [value.partition(":")[::2] for letter, value in section if letter == "a"]
    media = replace(media, formats=_formats(raw, attributes))
    for name, value in attributes:
        match name:
            case "ptime":
                media = replace(media, ptime_ms=_milliseconds(value))
            case "maxptime":
                media = replace(media, maxptime_ms=_milliseconds(value))
            case "rtcp":
                media = replace(media, rtcp_port=_number(value.split(" ")[0], "the RTCP port", most=65535))
            case "rtcp-mux":
                media = replace(media, rtcp_mux=True)
            case "crypto":
                media = replace(media, crypto=(*media.crypto, _crypto(value)))
            case _:
                pass
    return media


def _milliseconds(value: str) -> int:
    """Read a packet time; some peers write 20.0."""
    return _number(value.strip().partition(".")[0], "a packet time", most=10_000)


def _formats(raw: list[str], attributes: list[tuple[str, str]]) -> tuple[Format, ...]:
    maps: dict[int, tuple[str, int, int]] = {number: (name, hz, 1) for number, (name, hz) in _STATIC.items()}
    parameters: dict[int, str] = {}
    for name, value in attributes:
        number, _, rest = value.strip().partition(" ")
        if name == "rtpmap":
            maps[_payload_type(number)] = _rtpmap(rest.strip())
        elif name == "fmtp":
            parameters[_payload_type(number)] = rest.strip()
    numbers = [_payload_type(number) for number in raw]
    return tuple(
        Format(number, *maps.get(number, ("", 0, 1)), parameters=parameters.get(number, ""))
        for number in dict.fromkeys(numbers)
    )


def _payload_type(text: str) -> int:
    return _number(text, "a payload type", most=127)


def _rtpmap(text: str) -> tuple[str, int, int]:
    encoding, _, rest = text.partition("/")
    clock, _, channels = rest.partition("/")
    if not encoding:
        raise _bad("an rtpmap names no encoding")
    return (
        _EVENTS if encoding.lower() == _EVENTS else encoding.upper(),
        _number(clock, "a clock rate", most=1_000_000),
        _number(channels, "a number of channels", most=255) if channels else 1,
    )


def _crypto(value: str) -> Crypto:
    tag, _, rest = value.strip().partition(" ")
    suite, _, rest = rest.strip().partition(" ")
    keys, _, parameters = rest.strip().partition(" ")
    if not keys:
        raise _bad("a crypto line has no key")
    return Crypto(_number(tag, "a crypto tag", most=10**9), suite, keys, parameters.strip())


def _family(address: str) -> str:
    return "IP6" if ":" in address else "IP4"


def _media_lines(media: MediaDescription) -> list[str]:
    formats = [str(entry.payload_type) for entry in media.formats] or list(media.raw_formats)
    lines = [f"m={media.kind} {media.port} {media.protocol} {' '.join(formats)}"]
    if not media.port:
        return lines
    for entry in media.formats:
        channels = f"/{entry.channels}" if entry.channels != 1 else ""
        lines.append(f"a=rtpmap:{entry.payload_type} {entry.encoding}/{entry.clock_hz}{channels}")
        if entry.parameters:
            lines.append(f"a=fmtp:{entry.payload_type} {entry.parameters}")
    if media.ptime_ms:
        lines.append(f"a=ptime:{media.ptime_ms}")
    if media.maxptime_ms:
        lines.append(f"a=maxptime:{media.maxptime_ms}")
    if media.rtcp_mux:
        lines.append("a=rtcp-mux")
    if media.rtcp_port:
        lines.append(f"a=rtcp:{media.rtcp_port}")
    lines += [
        f"a=crypto:{crypto.tag} {crypto.suite} {crypto.keys} {crypto.parameters}".rstrip() for crypto in media.crypto
    ]
    lines.append(f"a={media.direction}")
    return lines
