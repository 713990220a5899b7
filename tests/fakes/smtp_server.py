"""A mail server on loopback: plain, with STARTTLS or with TLS from the first byte; it keeps what it takes."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_REFUSED = "refused@example.com"
_BUSY = "busy@example.com"


@dataclass
class SmtpServer:
    """`taken` are the messages, `signed_in` the users who showed a password, `encrypted` whether each came over TLS."""

    context: ssl.SSLContext | None = None
    implicit: bool = False
    port: int = 0
    taken: list[str] = field(default_factory=list)
    signed_in: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the client did not like us
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def answer(line: str) -> None:
            writer.write(f"{line}\r\n".encode())

        answer("220 mail.test ready")
        while line := (await reader.readline()).decode().strip():
            verb, _, rest = line.partition(" ")
            match verb.upper():
                case "EHLO":
                    offers = "250-STARTTLS\r\n" if self.context and not self.implicit else ""
                    answer(f"250-mail.test\r\n{offers}250 AUTH PLAIN")
                case "STARTTLS":
                    assert self.context is not None
                    answer("220 go on")
                    await writer.drain()
                    await writer.start_tls(self.context)
                case "AUTH":
                    self.signed_in.append(base64.b64decode(rest.split()[1]).decode().split("\0")[1])
                    answer("235 welcome")
                case "RCPT" if _REFUSED in rest:
                    answer("550 no such mailbox")
                case "RCPT" if _BUSY in rest:
                    answer("451 try later")
                case "MAIL" | "RCPT" | "RSET":
                    answer("250 fine")
                case "DATA":
                    answer("354 go on")
                    await writer.drain()
                    self.taken.append((await reader.readuntil(b"\r\n.\r\n")).decode())
                    self.encrypted.append(writer.get_extra_info("sslcontext") is not None)
                    answer("250 taken")
                case "QUIT":
                    answer("221 bye")
                    return
                case _:
                    answer("502 what?")
            await writer.drain()


@asynccontextmanager
async def smtp_server(context: ssl.SSLContext | None = None, *, implicit: bool = False) -> AsyncIterator[SmtpServer]:
    """Run one on a free port; with `context` it offers STARTTLS, or demands TLS at once where it is `implicit`."""
    here = SmtpServer(context, implicit)
    server = await asyncio.start_server(here.serve, "127.0.0.1", 0, ssl=context if implicit else None)
    here.port = server.sockets[0].getsockname()[1]
    async with server:
        yield here
