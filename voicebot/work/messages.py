"""Messages to callers after a call: SMS by Twilio, e-mail by SMTP."""

from __future__ import annotations

import asyncio
import re
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from enum import StrEnum
from typing import Protocol

from voicebot.errors import VoicebotError
from voicebot.telephony.twilio.rest import TwilioError, TwilioRefused, TwilioRest

TIMEOUT_S = 15.0
#: A message that a server sent just before it died is looked for so far back.
_LOOK_BACK = timedelta(hours=6)
_MOST_FOUND = 20
#: One telephone number in E.164, and one address; a list of either would go to several people.
_NUMBER = re.compile(r"\+[1-9]\d{6,14}")
_ADDRESS = re.compile(r"[^\s@,;:<>()\[\]\\\"]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}")
_TOO_MANY_REQUESTS = 429


class MessageFailed(VoicebotError):
    """A message was not taken by its carrier for now. The text gives the carrier's reason, never the address."""


class MessageRefused(MessageFailed):
    """A message will not be taken however often it is tried."""


class Sender(Protocol):
    async def send(self, message_id: str, to: str, subject: str, text: str) -> str:
        """Send a message and return the carrier's reference; MessageFailed when it was not taken."""
        ...

    async def sent(self, to: str, text: str) -> Sequence[str]:
        """Return the references of messages of the same words to the same address that the carrier took lately.

        Nothing where a repeated message is told by its id. MessageFailed when the carrier cannot be asked.
        """
        ...


class SmsSender:
    """Sends by Twilio's REST API, from a `number` of the account's."""

    def __init__(self, rest: TwilioRest, number: str) -> None:
        self._rest = rest
        self._number = number

    async def send(self, message_id: str, to: str, subject: str, text: str) -> str:
        """Send one message. Twilio has no key against repetition: whoever may have sent it before asks `sent`."""
        del message_id, subject
        if not _NUMBER.fullmatch(to):
            raise MessageRefused("SMS not sent: what it should go to is no telephone number such as +12025550123.")
        try:
            return await self._rest.send_message(to=to, sender=self._number, text=text)
        except TwilioError as error:
            raise _failed("SMS not sent", error) from None

    async def sent(self, to: str, text: str) -> Sequence[str]:
        if not _NUMBER.fullmatch(to):
            return ()
        since = datetime.now(UTC) - _LOOK_BACK
        try:
            found = await self._rest.messages(to=to, sender=self._number, most=_MOST_FOUND)
        except TwilioError as error:
            raise _failed("SMS not looked for", error) from None
        # By when it was made: one that waits to be sent has no other date yet.
        return [each.sid for each in found if each.text == text and each.made_at >= since]


def _failed(what: str, error: TwilioError) -> MessageFailed:
    if not isinstance(error, TwilioRefused):
        return MessageFailed(f"{what}: {error}")
    told = f"{what}: Twilio answered {error.status}, error {error.code}."
    is_final = 400 <= error.status < 500 and error.status != _TOO_MANY_REQUESTS
    return MessageRefused(told) if is_final else MessageFailed(told)


class MailTls(StrEnum):
    """How the line to a mail server is encrypted: asked for on a plain one, from its first byte on, or not at all."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class MailServer:
    """An SMTP server. With `user` it is signed in to, which needs TLS."""

    host: str
    port: int
    sender: str
    user: str = ""
    password: str = ""
    tls: MailTls = MailTls.STARTTLS


class MailSender:
    """Sends by SMTP, in a thread of its own. The server's certificate must be one that the system trusts."""

    def __init__(self, server: MailServer) -> None:
        self._server = server

    async def send(self, message_id: str, to: str, subject: str, text: str) -> str:
        """Send one message; its Message-ID is made from `message_id`, so that a repeated one can be told."""
        if not _ADDRESS.fullmatch(to):
            raise MessageRefused("E-mail not sent: what it should go to is no single address such as ana@example.com.")
        return await asyncio.to_thread(self._send, message_id, to, subject, text)

    async def sent(self, to: str, text: str) -> Sequence[str]:
        """Return nothing: the receiving server knows a repeated message by its Message-ID."""
        del to, text
        return ()

    def _send(self, message_id: str, to: str, subject: str, text: str) -> str:
        server = self._server
        message = EmailMessage()
        reference = f"<{message_id.replace('/', '.')}@{server.sender.rpartition('@')[2]}>"
        try:
            message["From"], message["To"], message["Subject"] = server.sender, to, subject
            message["Message-ID"] = reference
            message.set_content(text)
            with self._line() as line:
                if server.user:
                    line.login(server.user, server.password)
                line.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            code = next(iter(error.recipients.values()))[0]
            kind = MessageRefused if code >= 500 else MessageFailed
            raise kind(f"E-mail not sent: the server would not take its recipient ({code}).") from None
        except smtplib.SMTPResponseException as error:
            raise MessageFailed(f"E-mail not sent: {type(error).__name__}, {error.smtp_code}.") from None
        except ssl.SSLCertVerificationError as error:
            raise MessageFailed(f"E-mail not sent: the server's certificate: {error.verify_message}.") from None
        except (smtplib.SMTPException, OSError) as error:
            raise MessageFailed(f"E-mail not sent: {type(error).__name__}.") from None
        except ValueError:  # a header with a line break in it, as a slot in the subject may have
            raise MessageRefused("E-mail not sent: its subject or sender cannot stand in a header.") from None
        return reference

    def _line(self) -> smtplib.SMTP:
        server, context = self._server, ssl.create_default_context()
        if server.tls is MailTls.IMPLICIT:
            return smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_S, context=context)
        line = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_S)
        if server.tls is MailTls.STARTTLS:
            try:
                line.starttls(context=context)
            except BaseException:
                line.close()
                raise
        return line
