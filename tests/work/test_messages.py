"""Confirmations: over TLS, to one address or number each, and with one clean reason where they cannot be sent."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from twilio.base.exceptions import TwilioException
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response

from tests.fakes.authority import Authority
from tests.fakes.smtp_server import smtp_server
from voicebot.errors import ConfigurationError
from voicebot.settings import load_settings
from voicebot.work.messages import (
    MailSender,
    MailServer,
    MailTls,
    MessageFailed,
    MessageRefused,
    SmsSender,
    TwilioAccount,
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


class Carrier(TwilioHttpClient):  # type: ignore[misc]  # the package has no type hints
    """Twilio as far as messages go: what was posted, and what is listed."""

    def __init__(self, status: int = 201, code: int = 0) -> None:
        super().__init__()
        self.status, self.code = status, code
        self.posted: list[dict[str, Any]] = []
        self.made_at = datetime.now(UTC)

    def request(self, method: str, url: str, params: Any = None, data: Any = None, **_: Any) -> Response:
        if method == "GET":
            asked = params or {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
            found = [self._message(post, n) for n, post in enumerate(self.posted) if post["To"] == asked["To"]]
            return Response(200, json.dumps({"messages": found, "page": 0, "next_page_uri": None}))
        if self.status >= 400:
            return Response(self.status, json.dumps({"code": self.code, "message": f"not to {data['To']}"}))
        self.posted.append(data)
        return Response(201, json.dumps(self._message(data, len(self.posted) - 1)))

    def _message(self, post: Mapping[str, Any], number: int) -> dict[str, Any]:
        made = format_datetime(self.made_at)
        return {"sid": f"SM{number}", "body": post["Body"], "to": post["To"], "date_created": made}


def _sms(carrier: Carrier) -> SmsSender:
    return SmsSender(TwilioAccount("AC1", "token", "+12025550100"), client=carrier)


async def test_a_text_message_that_was_taken_is_found_by_its_words_and_number() -> None:
    carrier = Carrier()
    sender = _sms(carrier)
    assert await sender.sent("+12025550123", "On Monday.") == []
    reference = await sender.send("c1/sms", "+12025550123", "", "On Monday.")
    assert await sender.sent("+12025550123", "On Monday.") == [reference]
    assert await sender.sent("+12025550123", "On Tuesday.") == []
    assert await sender.sent("+12025550124", "On Monday.") == []
    carrier.made_at -= timedelta(days=1)
    assert await sender.sent("+12025550123", "On Monday.") == []


@pytest.mark.parametrize("to", ["", "anonymous", "12025550123", "+1202555012x", "+12025550123,+12025550124"])
async def test_what_is_no_number_is_refused_before_anything_is_sent(to: str) -> None:
    carrier = Carrier()
    with pytest.raises(MessageRefused, match="no telephone number"):
        await _sms(carrier).send("c1/sms", to, "", "On Monday.")
    assert carrier.posted == []


@pytest.mark.parametrize(("status", "code", "final"), [(400, 21614, True), (429, 20429, False), (503, 20503, False)])
async def test_what_twilio_answers_is_told_without_the_number(status: int, code: int, *, final: bool) -> None:
    with pytest.raises(MessageFailed, match=f"Twilio answered {status}, error {code}") as failed:
        await _sms(Carrier(status, code)).send("c1/sms", "+12025550123", "", "On Monday.")
    assert isinstance(failed.value, MessageRefused) is final
    assert "0123" not in str(failed.value)


async def test_a_twilio_that_cannot_be_reached_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> Response:
        raise TwilioException("away")

    monkeypatch.setattr(Carrier, "request", away)
    for asking in (_sms(Carrier()).sent("+12025550123", "x"), _sms(Carrier()).send("c1/sms", "+12025550123", "", "x")):
        with pytest.raises(MessageFailed, match="TwilioException"):
            await asking
