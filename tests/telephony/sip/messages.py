"""SIP messages for tests, written out."""

from __future__ import annotations

from sipmessage import Request, Response

from voicebot.telephony.sip.message import parse

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 40000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
)


def raw(
    method: str = "INVITE",
    *,
    uri: str = "sip:bot@127.0.0.1",
    branch: str = "z9hG4bKone",
    call_id: str = "call-1",
    cseq: int = 1,
    from_tag: str = "caller-tag",
    to_tag: str = "",
    headers: tuple[str, ...] = (),
    body: bytes = b"",
    via: str = "SIP/2.0/UDP 127.0.0.1:5070",
    contact: str = "<sip:caller@127.0.0.1:5070>",
) -> bytes:
    """Return a request's bytes."""
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: {via};branch={branch};rport",
        "Max-Forwards: 70",
        f"From: <sip:+15550100199@127.0.0.1>;tag={from_tag}",
        f"To: <sip:bot@127.0.0.1>{';tag=' + to_tag if to_tag else ''}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        *([f"Contact: {contact}"] if contact else []),
        *headers,
        *(["Content-Type: application/sdp"] if body and not any(h.startswith("Content-Type") for h in headers) else []),
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


def request(method: str = "INVITE", **parts: object) -> Request:
    message = parse(raw(method, **parts))  # type: ignore[arg-type]  # the keywords of `raw`
    assert isinstance(message, Request)
    return message


def response(
    to: Request, code: int, *, to_tag: str = "callee-tag", headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    message = Response(code, "Whatever")
    for name in ("Via", "From", "Call-ID", "CSeq"):
        message.headers.setlist(name, list(to.headers.getlist(name)))
    message.headers.set("To", f"{to.headers['To']};tag={to_tag}" if code != 100 else to.headers["To"])
    for name, value in headers:
        message.headers.add(name, value)
    return message
