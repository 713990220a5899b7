"""Messages cut out of a TCP or TLS stream by their Content-Length (RFC 3261 section 18.3). Pure."""

from __future__ import annotations

import re

from voicebot.errors import RemoteProtocolError
from voicebot.telephony.sip.message import MAX_MESSAGE_BYTES

_LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*:[ \t]*([0-9]{1,6})[ \t]*$", re.IGNORECASE | re.MULTILINE)
#: RFC 5626 section 3.5.1: a double CRLF asks whether the connection lives, a single one answers.
PING = b"\r\n\r\n"
PONG = b"\r\n"


class StreamCutter:
    """Holds at most one message's bytes. A stream that cannot be cut any more must be closed."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the whole messages that have come, `PING` for a keep-alive.

        Raises `RemoteProtocolError` when the stream cannot be cut into messages.
        """
        self._held += data
        messages: list[bytes] = []
        while self._held:
            if self._held.startswith(PING):
                messages.append(PING)
                del self._held[: len(PING)]
                continue
            if self._held.startswith(PONG) and len(self._held) > len(PONG) and self._held[2:3] != b"\r":
                del self._held[: len(PONG)]
                continue
            end = self._held.find(b"\r\n\r\n")
            if end <= 0:
                break
            size = end + 4 + self._length(end)
            if size > MAX_MESSAGE_BYTES:
                raise RemoteProtocolError("message_too_large", "A message over a stream is too large.")
            if len(self._held) < size:
                break
            messages.append(bytes(self._held[:size]))
            del self._held[:size]
        if len(self._held) > MAX_MESSAGE_BYTES:
            raise RemoteProtocolError("message_too_large", "A message over a stream is too large.")
        return messages

    def _length(self, end: int) -> int:
        found = _LENGTH.findall(bytes(self._held[: end + 2]).replace(b"\r\n", b"\n"))
        if len(found) != 1:
            raise RemoteProtocolError("no_length", "A message over a stream has no single Content-Length.")
        return int(found[0])
