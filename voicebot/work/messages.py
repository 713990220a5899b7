"""Messages to callers after a call: SMS by Twilio, e-mail by SMTP."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Protocol

from twilio.base.exceptions import TwilioException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from voicebot.errors import VoicebotError

TIMEOUT_S = 15.0


class MessageFailed(VoicebotError):
    """A message was not taken by its carrier. The text names the carrier's reason, never the address."""


class Sender(Protocol):
    async def send(self, message_id: str, to: str, subject: str, text: str) -> str:
        """Send a message and return the carrier's reference; MessageFailed when it was not taken."""
        ...


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """Whose number messages come from."""

    sid: str
    token: str
    sender: str


class SmsSender:
    """Sends by Twilio's REST API, in a thread of its own since the client blocks."""

    def __init__(self, account: TwilioAccount, *, client: TwilioHttpClient | None = None) -> None:
        self._sender = account.sender
        http = client or TwilioHttpClient(timeout=TIMEOUT_S)
        self._client = Client(account.sid, account.token, http_client=http)

    async def send(self, message_id: str, to: str, subject: str, text: str) -> str:
        """Send one message. Twilio has no key against repetition, so a crash at the wrong moment may send it twice."""
        del message_id, subject
        try:
            sent = await asyncio.to_thread(self._client.messages.create, to=to, from_=self._sender, body=text)
        except (TwilioException, OSError) as error:
            raise MessageFailed(f"SMS not sent: {type(error).__name__}.") from None
        return str(sent.sid)


@dataclass(frozen=True, slots=True)
class MailServer:
    """An SMTP server. With `user` it is signed in to, over TLS only; `starttls` is asked for unless told."""

    host: str
    port: int
    sender: str
    user: str = ""
    password: str = ""
    starttls: bool = True


class MailSender:
    def __init__(self, server: MailServer) -> None:
        self._server = server

    async def send(self, message_id: str, to: str, subject: str, text: str) -> str:
        """Send one message; its Message-ID is made from `message_id`, so that a repeated one can be told."""
        return await asyncio.to_thread(self._send, message_id, to, subject, text)

    def _send(self, message_id: str, to: str, subject: str, text: str) -> str:
        server = self._server
        message = EmailMessage()
        reference = f"<{message_id.replace('/', '.')}@{server.sender.rpartition('@')[2]}>"
        try:
            message["From"], message["To"], message["Subject"] = server.sender, to, subject
            message["Message-ID"] = reference
            message.set_content(text)
            with smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_S) as line:
                if server.starttls:
                    line.starttls(context=ssl.create_default_context())
                if server.user:
                    line.login(server.user, server.password)
                line.send_message(message)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise MessageFailed(f"E-mail not sent: {type(error).__name__}.") from None
        return reference
