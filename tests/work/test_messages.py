"""Confirmations: over TLS, to one address or number each, and with one clean reason where they cannot be sent."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import aiohttp
import pytest

from tests.fakes.authority import Authority
from tests.fakes.ports import bound_socket
from tests.fakes.smtp_server import smtp_server
from tests.fakes.twilio import access, account_served
from voicebot.errors import ConfigurationError
from voicebot.settings import load_settings
from voicebot.simulation.twilio_account import Trouble, TwilioAccount
from voicebot.telephony.twilio import rest
from voicebot.telephony.twilio.rest import RestAccess, TwilioRest
from voicebot.work.messages import (
    MailSender,
    MailServer,
    MailTls,
    MessageFailed,
    MessageRefused,
    SmsSender,
)

TO = "ana@example.com"


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's certificate, of an authority that this system trusts."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("mail")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _sender(port: int, kind: MailTls, **more: str) -> MailSender:
    return MailSender(MailServer("127.0.0.1", port, "bot@house.example", tls=kind, **more))


@pytest.mark.parametrize("implicit", [False, True])
async def test_mail_goes_over_tls_with_an_id_that_tells_it_from_another(tls: ssl.SSLContext, *, implicit: bool) -> None:
    async with smtp_server(tls, implicit=implicit) as server:
        kind = MailTls.IMPLICIT if implicit else MailTls.STARTTLS
        sender = _sender(server.port, kind, user="bot", password="correct horse")
        for _ in range(2):
            reference = await sender.send("c1/mail", TO, "Your booking", "On Monday.")
        assert reference == "<c1.mail@house.example>"
        assert server.encrypted == [True, True]
        assert server.signed_in == ["bot", "bot"]
        assert all(f"Message-ID: {reference}" in taken and "On Monday." in taken for taken in server.taken)


async def test_a_server_that_offers_no_tls_or_shows_a_strange_certificate_gets_no_mail(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with smtp_server() as server:
        with pytest.raises(MessageFailed, match="SMTPNotSupportedError"):
            await _sender(server.port, MailTls.STARTTLS).send("c1/mail", TO, "s", "t")
    monkeypatch.delenv("SSL_CERT_FILE")
    for implicit, kind in ((False, MailTls.STARTTLS), (True, MailTls.IMPLICIT)):
        async with smtp_server(tls, implicit=implicit) as strange:
            with pytest.raises(MessageFailed, match="the server's certificate: unable to get local issuer"):
                await _sender(strange.port, kind).send("c1/mail", TO, "s", "t")
    assert server.taken == strange.taken == []


async def test_a_relay_on_this_machine_may_do_without() -> None:
    async with smtp_server() as server:
        await _sender(server.port, MailTls.NONE).send("c1/mail", TO, "s", "t")
        assert server.encrypted == [False]


def test_a_password_is_not_sent_in_the_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEBOT_MAIL__USER", "bot")
    monkeypatch.setenv("VOICEBOT_MAIL__TLS", "none")
    with pytest.raises(ConfigurationError, match="which needs `tls`"):
        load_settings()


@pytest.mark.parametrize(
    "to",
    [
        "",
        "ana",
        "a@b",
        "ana@example.com, ben@example.com",
        "a@x.example\nBcc: b@x.example",
        "<a@x.example>",
        "a b@x.example",
    ],
)
async def test_what_is_no_single_address_is_refused_before_anything_is_sent(to: str) -> None:
    with pytest.raises(MessageRefused, match="no single address"):
        await _sender(9, MailTls.NONE).send("c1/mail", to, "s", "t")


async def test_a_refused_recipient_is_final_and_a_busy_server_is_not() -> None:
    async with smtp_server() as server:
        sender = _sender(server.port, MailTls.NONE)
        with pytest.raises(MessageRefused, match=r"would not take its recipient \(550\)") as refused:
            await sender.send("c1/mail", "refused@example.com", "s", "t")
        assert "refused@" not in str(refused.value)
        with pytest.raises(MessageFailed, match=r"\(451\)") as busy:
            await sender.send("c1/mail", "busy@example.com", "s", "t")
        assert not isinstance(busy.value, MessageRefused)
        with pytest.raises(MessageRefused, match="cannot stand in a header"):
            await sender.send("c1/mail", TO, "two\nlines", "t")
    with pytest.raises(MessageFailed, match="ConnectionRefusedError"):
        await sender.send("c1/mail", TO, "s", "t")


FROM, NUMBER = "+12025550100", "+12025550123"


@asynccontextmanager
async def texting() -> AsyncIterator[tuple[SmsSender, TwilioAccount]]:
    """A sender and the account that takes what it sends."""
    async with account_served() as account, aiohttp.ClientSession() as http:
        yield SmsSender(TwilioRest(access(account), http), FROM), account
    assert account.exchange.faults == []


@pytest.fixture(autouse=True)
def again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "RETRY_AFTER_S", (0.0, 0.0))


async def test_a_text_message_that_was_taken_is_found_by_its_words_and_number() -> None:
    async with texting() as (sender, account):
        assert await sender.sent(NUMBER, "On Monday.") == []
        reference = await sender.send("c1/sms", NUMBER, "", "On Monday.")
        (asked,) = account.asked("CreateMessage")
        assert asked.form == {"To": NUMBER, "From": FROM, "Body": "On Monday."}
        assert await sender.sent(NUMBER, "On Monday.") == [reference]
        assert await sender.sent(NUMBER, "On Tuesday.") == []
        assert await sender.sent("+12025550124", "On Monday.") == []
        account.messages[0]["date_created"] = format_datetime(datetime.now(UTC) - timedelta(days=1))
        assert await sender.sent(NUMBER, "On Monday.") == []


@pytest.mark.parametrize("to", ["", "anonymous", "12025550123", "+1202555012x", "+12025550123,+12025550124"])
async def test_what_is_no_number_is_refused_before_anything_is_sent(to: str) -> None:
    async with texting() as (sender, account):
        with pytest.raises(MessageRefused, match="no telephone number"):
            await sender.send("c1/sms", to, "", "On Monday.")
        assert await sender.sent(to, "On Monday.") == ()
        assert account.requests == []


@pytest.mark.parametrize(
    ("status", "code", "final", "asked"), [(400, 21614, True, 1), (429, 20429, False, 3), (503, 20503, False, 1)]
)
async def test_what_twilio_answers_is_told_without_the_number(
    status: int, code: int, asked: int, *, final: bool
) -> None:
    async with texting() as (sender, account):
        account.troubles["CreateMessage"] = [Trouble(status=status, code=code)] * 3
        with pytest.raises(MessageFailed, match=f"Twilio answered {status}, error {code}") as failed:
            await sender.send("c1/sms", NUMBER, "", "On Monday.")
        assert isinstance(failed.value, MessageRefused) is final
        assert "0123" not in str(failed.value)
        assert len(account.asked("CreateMessage")) == asked, "asked again only where it was turned away unread"


async def test_a_twilio_that_cannot_be_reached_is_tried_again() -> None:
    with bound_socket() as deaf:
        nobody = RestAccess("AC1", "AC1", "s", base_url=f"http://127.0.0.1:{deaf.getsockname()[1]}")
        async with aiohttp.ClientSession() as http:
            sender = SmsSender(TwilioRest(nobody, http), FROM)
            for asking in (sender.sent(NUMBER, "x"), sender.send("c1/sms", NUMBER, "", "x")):
                with pytest.raises(MessageFailed, match="did not answer") as failed:
                    await asking
                assert not isinstance(failed.value, MessageRefused)
