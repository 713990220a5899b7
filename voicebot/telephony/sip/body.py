"""The session description in a message's body, alone or as one part of several (RFC 5621). Pure."""

from __future__ import annotations

from email.parser import BytesParser

from sipmessage import Message

SDP = "application/sdp"


class UnsupportedBody(Exception):  # an outcome that one caller answers with 415
    """The body is of a kind that cannot be read, and optional it is not."""


def sdp_of(message: Message) -> bytes | None:
    """Return the SDP, None when there is no body; raises `UnsupportedBody`."""
    if not message.body:
        return None
    kind = (message.headers.get("Content-Type") or "").strip()
    name = kind.partition(";")[0].strip().lower()
    if message.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedBody
    if name == SDP:
        return message.body
    if name.startswith("multipart/"):
        parts = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + message.body)
        for part in parts.walk():
            if part.get_content_type() == SDP:
                content = part.get_payload(decode=True)
                if isinstance(content, bytes):
                    return content
    if (message.headers.get("Content-Disposition") or "").replace(" ", "").lower().endswith("handling=optional"):
        return None
    raise UnsupportedBody
