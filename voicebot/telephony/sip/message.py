"""SIP messages: what stands between a peer's bytes and the parser, and how answers are built. Pure. RFC 3261.

`sipmessage` parses a well-formed message well. This file makes sure that it only gets such: it unfolds headers, checks
lengths, numbers and what must stand exactly once, and turns everything else into `BadMessage` with the answer that the
RFC names. Headers that are echoed (Via, From, To, Record-Route) are copied as they came, never written anew.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from sipmessage import URI, Address, Headers, Message, Request, Response
from sipmessage.address import ADDRESS_EXCEPTION
from sipmessage.mediatype import MEDIATYPE_EXCEPTION
from sipmessage.message import COMPACT_FORMS
from sipmessage.via import VIA_EXCEPTION

from voicebot.errors import RemoteProtocolError

#: A UDP datagram holds no more, and nothing of ours needs more over a stream.
MAX_MESSAGE_BYTES = 65_535
MAX_HEADERS = 200
#: Longer than any line of RFC 4475, and short enough for the slowest of the parser's patterns.
MAX_LINE_CHARS = 8_192
#: RFC 3261 section 8.1.1.5: less than 2**31.
MAX_CSEQ = 2**31 - 1
_MAX_DIGITS = 10
BRANCH_COOKIE = "z9hG4bK"
SIP_PORT = 5060
SIPS_PORT = 5061

_PHRASES = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    491: "Request Pending",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    603: "Decline",
}
_ONCE = ("from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type")
_LISTS = frozenset({"via", "route", "record-route"})
_REQUIRED = ("Via", "From", "To", "Call-ID", "CSeq")
_HEADER_NAME = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_METHOD = _HEADER_NAME
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_REQUEST_LINE = re.compile(r"(\S+) (\S+) (SIP/\d+\.\d+)", re.IGNORECASE)
_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6]\d\d) (.*)", re.IGNORECASE)
_FOLD = re.compile(r"[ \t]*\r\n[ \t]+")
_TAG = re.compile(r";[ \t]*tag[ \t]*=[ \t]*([^;,\s>\"]+)", re.IGNORECASE)
_BARE_IPV6 = re.compile(r";[ \t]*received[ \t]*=[ \t]*([0-9A-Fa-f]*:[0-9A-Fa-f:.]+)", re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
#: An address whose URI is of a scheme that the parser does not know (RFC 4475 section 3.3.3): opaque, but no error.
_FOREIGN_ADDRESS = re.compile(
    r"(?:(?:[^<>\"]*|\"(?:[^\"\\]|\\.)*\"\s*)<[A-Za-z][A-Za-z0-9+.\-]*:[^<>\s]*>"
    r"|[A-Za-z][A-Za-z0-9+.\-]*:[^<>\s;\"]*)(?:\s*;[^<>]*)?"
)
_OUR_SCHEMES = frozenset({"sip", "sips", "tel"})

_Value = TypeVar("_Value")


class BadMessage(RemoteProtocolError):
    """A message that must not be processed. `answer` is what the sender of a request must be told, if it can be."""

    def __init__(self, kind: str, what: str, *, answer: Response | None = None) -> None:
        super().__init__(kind, what)
        self.answer = answer


#: The library raises the same objects again and again, and each time their tracebacks grow by what is being parsed: a
#: peer's nonsense would fill the memory.
_KEPT_ERRORS = (ADDRESS_EXCEPTION, MEDIATYPE_EXCEPTION, VIA_EXCEPTION)


def parse(data: bytes, *, stream: bool = False) -> Request | Response:
    """Return the message that `data` holds, without what follows its body; `stream` demands a Content-Length.

    Raises `BadMessage`. What is returned has valid Via, From, To, Call-ID and CSeq headers.
    """
    for kept in _KEPT_ERRORS:
        kept.__traceback__ = None
    if len(data) > MAX_MESSAGE_BYTES:
        raise BadMessage("message_too_large", f"A message has more than {MAX_MESSAGE_BYTES} bytes.")
    head, separator, body = data.partition(b"\r\n\r\n")
    if not separator:
        raise BadMessage("no_header_end", "A message has no empty line after its headers.")
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadMessage("bad_encoding", "The headers are not UTF-8.") from error
    # A folded start line is none: what folds is a header (section 7.3.1).
    start, _, rest = text.partition("\r\n")
    headers = _headers(_FOLD.sub(" ", "\r\n" + rest).removeprefix("\r\n").split("\r\n") if rest else [])
    status = _STATUS_LINE.fullmatch(start)
    if status:
        response = Response(int(status[1]), status[2])
        response.headers = headers
        _check(response, body, lambda kind, what, _code: BadMessage(kind, what), stream=stream)
        return response
    if start[:4].upper() == "SIP/":
        raise BadMessage("bad_status_line", "A response's status line is none.")

    def refuse(kind: str, what: str, code: int) -> BadMessage:
        return BadMessage(kind, what, answer=_answer(headers, code))

    request = Request(*_request_line(start, refuse))
    request.headers = headers
    _check(request, body, refuse, stream=stream)
    return request


_Refuse = Callable[[str, str, int], BadMessage]


def _request_line(line: str, refuse: _Refuse) -> tuple[str, URI]:
    found = _REQUEST_LINE.fullmatch(line)
    if found is None or not _METHOD.fullmatch(found[1]):
        raise refuse("bad_request_line", "A request line is not method, URI and version, each one space apart.", 400)
    if found[3].upper() != "SIP/2.0":
        raise refuse("bad_version", "The version is not SIP/2.0.", 505)
    scheme = _SCHEME.match(found[2])
    if scheme is None:
        raise refuse("bad_uri", "The Request-URI is none.", 400)
    if scheme[1].lower() not in _OUR_SCHEMES:
        raise refuse("unknown_scheme", "The Request-URI has a scheme other than sip, sips and tel.", 416)
    try:
        return found[1], parse_uri(found[2])
    except ValueError as error:
        raise refuse("bad_uri", "The Request-URI cannot be parsed.", 400) from error


def _headers(lines: list[str]) -> Headers:
    headers = Headers()
    if len(lines) > MAX_HEADERS:
        raise BadMessage("too_many_headers", f"A message has more than {MAX_HEADERS} headers.")
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.rstrip(" \t")
        if len(line) > MAX_LINE_CHARS:
            raise BadMessage("header_too_long", f"A header has more than {MAX_LINE_CHARS} characters.")
        if not colon or not _HEADER_NAME.fullmatch(name):
            # Told apart from a missing header, since the rest of the message may still say whom to answer.
            headers.add("X-Malformed-Line", "")
            continue
        name = COMPACT_FORMS.get(name.lower(), name)
        # One entry a header: the parser knows no space before a comma.
        for entry in split_list(value) if name.lower() in _LISTS else [value]:
            # Nor an IPv6 address without brackets, which RFC 5118 section 4.5 allows here.
            known = _BARE_IPV6.sub(r";received=[\1]", entry) if name.lower() == "via" else entry
            headers.add(name, known.strip(" \t"))
    return headers


def _check(message: Message, body: bytes, refuse: _Refuse, *, stream: bool) -> None:
    headers = message.headers
    if headers.getlist("X-Malformed-Line"):
        raise refuse("bad_header_line", "A line among the headers is no header.", 400)
    missing = [name for name in _REQUIRED if not headers.get(name)]
    if missing:
        raise refuse("header_missing", f"The header {missing[0]} is missing or empty.", 400)
    repeated = [name for name in _ONCE if len(headers.getlist(name)) > 1]
    if repeated:
        raise refuse("header_repeated", f"The header {repeated[0]} stands more than once.", 400)
    message.body = _body(headers, body, refuse, stream=stream)
    try:
        via, cseq = message.via, message.cseq
    except (ValueError, TypeError) as error:
        raise refuse("bad_via_or_cseq", "Via or CSeq cannot be parsed.", 400) from error
    if not via or cseq.sequence > MAX_CSEQ:
        raise refuse("bad_via_or_cseq", "There is no Via, or CSeq is out of range.", 400)
    if isinstance(message, Request) and cseq.method != message.method:
        raise refuse("cseq_mismatch", "CSeq names another method than the request line.", 400)
    for name in ("From", "To"):
        if not _is_address(headers[name]):
            raise refuse("bad_address", f"{name} is not an address.", 400)
    _check_numbers(message, refuse)


def _body(headers: Headers, body: bytes, refuse: _Refuse, *, stream: bool) -> bytes:
    """Return the body without what lies behind it (section 18.3)."""
    length = headers.get("Content-Length")
    if length is None:
        if stream:
            raise refuse("no_length", "A message over a stream needs a Content-Length.", 400)
        return body
    if not re.fullmatch(r"[0-9]{1,6}", length) or int(length) > len(body):
        raise refuse("bad_length", "Content-Length is no number, or the body is shorter than it says.", 400)
    return body[: int(length)]


def _check_numbers(message: Message, refuse: _Refuse) -> None:
    for name, most in (("Max-Forwards", 255), ("Expires", 2**32 - 1), ("Min-SE", 2**32 - 1), ("RSeq", 2**32 - 1)):
        value = message.headers.get(name)
        if value is not None and not (re.fullmatch(r"[0-9]{1,10}", value.partition(";")[0].strip())
                                      and int(value.partition(";")[0].strip()) <= most):  # fmt: skip
            raise refuse("bad_number", f"{name} is no number from 0 to {most}.", 400)


def _is_address(value: str) -> bool:
    try:
        Address.parse(value)
    except (ValueError, TypeError):
        return _FOREIGN_ADDRESS.fullmatch(value) is not None
    return True


def parse_uri(text: str) -> URI:
    """Return a sip, sips or tel URI, whose scheme may be in any case; raises ValueError."""
    scheme, colon, rest = text.partition(":")
    try:
        return URI.parse(scheme.lower() + colon + rest)
    except TypeError as error:  # sipmessage passes parameters on as keyword arguments, and one may be named "self"
        raise ValueError("URI is not valid") from error


def address_in(value: str | None) -> Address | None:
    """Return the first address of a header, or None when there is none that this server understands."""
    if value is None:
        return None
    try:
        found = Address.parse_many(value)
    except (ValueError, TypeError):
        return None
    return found[0] if found else None


def read(get: Callable[[], _Value], name: str, request: Request) -> _Value:
    """Return what `get` parses from a header that only some requests need; raises `BadMessage` with a 400."""
    try:
        return get()
    except (ValueError, TypeError, KeyError) as error:
        raise BadMessage("bad_header", f"{name} cannot be parsed.", answer=_answer(request.headers, 400)) from error


def tag_of(value: str) -> str | None:
    """Return the tag of a From or To header."""
    bare = _QUOTED.sub("", value)
    found = _TAG.search(bare[bare.rfind(">") + 1 :])
    return found[1] if found else None


def without_tag(value: str) -> str:
    """Return a From or To header without its tag."""
    end = value.rfind(">") + 1
    return value[:end] + _TAG.sub("", value[end:])


def whole_number(text: str) -> int | None:
    """Return a number that a peer wrote in up to ten plain digits, None for anything else."""
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS else None


def tokens(message: Message, name: str) -> frozenset[str]:
    """Return the lower-case tokens of a list header such as Supported, Require or Allow."""
    return frozenset(
        token.strip().lower() for value in message.headers.getlist(name) for token in value.split(",") if token.strip()
    )


def split_list(value: str) -> list[str]:
    """Split a header at the commas outside of quotes and angle brackets."""
    parts, start, depth, quoted, escaped = [], 0, 0, False, False
    for index, character in enumerate(value):
        if escaped:
            escaped = False
        elif quoted:
            escaped, quoted = character == "\\", character != '"'
        elif character == '"':
            quoted = True
        elif character == "<":
            depth += 1
        elif character == ">":
            depth = max(0, depth - 1)
        elif character == "," and not depth:
            parts.append(value[start:index].strip())
            start = index + 1
    parts.append(value[start:].strip())
    return parts


def stamp_source(message: Request, host: str, port: int) -> None:
    """Note in the top Via where the request came from (section 18.2.1 and RFC 3581)."""
    first, *others = message.headers.getlist("Via")
    received = f"[{host}]" if ":" in host else host
    via = message.via[0]
    if "rport" in via.parameters:
        first = re.sub(r";\s*rport\s*(=[^;]*)?(?=;|$)", f";rport={port}", first, count=1)
    if "rport" in via.parameters or via.host.strip("[]") != host:
        first = re.sub(r";\s*received\s*=[^;]*(?=;|$)", "", first) + f";received={received}"
    message.headers.setlist("Via", [first, *others])


def respond(
    request: Request,
    code: int,
    *,
    to_tag: str | None = None,
    phrase: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    content_type: str = "application/sdp",
) -> Response:
    """Return the response to `request` (section 8.2.6), its To tagged with `to_tag` unless it has a tag already."""
    response = _answer(request.headers, code, to_tag=to_tag, phrase=phrase)
    if response is None:
        raise BadMessage("header_missing", "A request lacks what its answer needs.")
    if code in {180, 183, 200}:
        response.headers.setlist("Record-Route", list(request.headers.getlist("Record-Route")))
    for name, value in headers:
        response.headers.add(name, value)
    set_body(response, body, content_type)
    return response


def set_body(message: Message, body: bytes, content_type: str) -> None:
    """Give a message its body and the headers that describe it."""
    message.body = body
    if body:
        message.headers.set("Content-Type", content_type)
    message.headers.set("Content-Length", str(len(body)))


def stateless_tag(headers: Headers) -> str:
    """Return a To tag that every copy of the same request gets (section 8.2.7)."""
    key = "\n".join(headers.get(name) or "" for name in ("Via", "From", "Call-ID", "CSeq"))
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _answer(headers: Headers, code: int, *, to_tag: str | None = None, phrase: str | None = None) -> Response | None:
    if not headers.get("Via"):
        return None
    response = Response(code, phrase or _PHRASES.get(code, "Unknown"))
    # What a malformed request lacks its answer lacks too.
    for name in _REQUIRED:
        if headers.getlist(name):
            response.headers.setlist(name, list(headers.getlist(name)))
    if code != 100 and headers.get("To") and tag_of(headers["To"]) is None:
        response.headers.set("To", f"{headers['To']};tag={to_tag or stateless_tag(headers)}")
    response.headers.set("Content-Length", "0")
    return response
