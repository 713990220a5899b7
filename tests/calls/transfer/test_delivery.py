"""Packets on their way: signed, retried, taken once, logged, and never holding a transfer up."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlalchemy.exc import OperationalError

from tests.calls.test_notes import late_order, packet
from voicebot.calls.transfer import delivery
from voicebot.calls.transfer.connectors import load_connector, shipped
from voicebot.calls.transfer.delivery import DELIVERY_LIMIT_S, Deliveries
from voicebot.calls.transfer.posting import KEY_HEADER, SIGNATURE_HEADER, HttpReceiver, Mapped, mapped, webhook
from voicebot.errors import ConfigurationError
from voicebot.records.context import ContextPacket
from voicebot.records.contexts import Contexts

SECRET = b"shared"
PACKET = packet(late_order(), authenticated=True, customer_name="Ada Byron")
ENVIRONMENT = dict.fromkeys(
    (
        "ZENDESK_SUBDOMAIN",
        "ZENDESK_TOKEN",
        "SALESFORCE_HOST",
        "SALESFORCE_TOKEN",
        "SERVICENOW_HOST",
        "SERVICENOW_TOKEN",
    ),
    "secret-value",
)


class Taker:
    """A receiver on loopback: answers as `answers` says, one after the other, the last for ever."""

    def __init__(self, *answers: int, delay_s: float = 0.0) -> None:
        self.answers = list(answers)
        self.delay_s = delay_s
        self.requests: list[tuple[Any, bytes]] = []

    async def take(self, request: web.Request) -> web.Response:
        self.requests.append((request.headers, await request.read()))
        await asyncio.sleep(self.delay_s)
        return web.Response(status=self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])


@asynccontextmanager
async def receiving(taker: Taker, contexts: Contexts) -> AsyncIterator[HttpReceiver]:
    app = web.Application()
    app.router.add_post("/packets", taker.take)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(TestServer(app))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        post = webhook(str(server.make_url("/packets")), SECRET)
        now: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731  # a clock
        yield HttpReceiver("webhook", http, post, contexts, clock=time.monotonic, now=now, waits_s=(0.0, 0.01, 0.01))


async def test_a_webhook_is_signed_over_its_body(contexts: Contexts) -> None:
    taker = Taker(204)
    async with receiving(taker, contexts) as receiver:
        assert await receiver.send(PACKET)
    headers, body = taker.requests[0]
    assert headers[SIGNATURE_HEADER] == f"sha256={hmac.new(SECRET, body, hashlib.sha256).hexdigest()}"


async def test_a_receiver_that_fails_is_tried_again_under_the_same_key_and_all_of_it_is_logged(
    contexts: Contexts,
) -> None:
    taker = Taker(503, 429, 200)
    async with receiving(taker, contexts) as receiver:
        assert await receiver.send(PACKET)
    assert len({headers[KEY_HEADER] for headers, _ in taker.requests}) == 1
    logged = await contexts.deliveries(PACKET.call_id)
    assert [(entry.attempt, entry.status, entry.delivered) for entry in logged] == [
        (1, 503, False),
        (2, 429, False),
        (3, 200, True),
    ]


async def test_a_request_that_is_refused_for_good_is_not_repeated(contexts: Contexts) -> None:
    taker = Taker(422)
    async with receiving(taker, contexts) as receiver:
        assert not await receiver.send(PACKET)
    assert len(taker.requests) == 1


async def test_a_receiver_that_is_away_is_given_up_in_the_end(contexts: Contexts) -> None:
    async with aiohttp.ClientSession() as http:
        post = webhook("http://127.0.0.1:9/nobody", SECRET)
        receiver = HttpReceiver(
            "webhook", http, post, contexts, clock=time.monotonic, now=lambda: datetime.now(UTC), waits_s=(0.0, 0.01)
        )
        assert not await receiver.send(PACKET)
    assert [entry.status for entry in await contexts.deliveries(PACKET.call_id)] == [None, None]


async def test_a_slow_receiver_holds_nobody_up_and_gets_its_packet_later(contexts: Contexts) -> None:
    taker = Taker(200, delay_s=DELIVERY_LIMIT_S + 0.5)
    async with receiving(taker, contexts) as receiver:
        deliveries = Deliveries(contexts, receivers=[receiver], clock=time.monotonic)
        async with deliveries.running():
            assert await deliveries.deliver(PACKET) == ("webhook",)
            assert await contexts.get(PACKET.call_id) is not None, "the desk has it all the same"
        logged = await contexts.deliveries(PACKET.call_id)
        assert [entry.delivered for entry in logged] == [True]


async def test_a_packet_that_everybody_has_leaves_nobody_late(contexts: Contexts) -> None:
    async with receiving(Taker(200), contexts) as receiver:
        deliveries = Deliveries(contexts, receivers=[receiver], clock=time.monotonic)
        async with deliveries.running():
            assert await deliveries.deliver(PACKET) == ()


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_mapping_makes_a_request_of_the_packet(name: str) -> None:
    mapping, secrets = load_connector(name, ENVIRONMENT)
    post = mapped(mapping, secrets)(PACKET, "key")
    assert post.headers["Authorization"] == "Bearer secret-value"
    assert post.url.startswith("https://secret-value")
    text = post.body.decode()
    assert "Customer Ada Byron, authenticated." in text
    assert "About your order" in text
    assert "{" not in text.replace('{"', "").replace(': {"', "")


def test_what_a_caller_said_leads_to_no_other_address_and_begins_no_other_header() -> None:
    mapping = Mapped(
        "own", "POST", "https://{secret.host}/{customer.name}?by={call_id}", {"X-Name": "{customer.name}"}, {}
    )
    said = packet(late_order(), authenticated=True, customer_name="../Ada?\r\nX-Evil: 1")
    post = mapped(mapping, {"host": "crm.example/api"})(said, "key")
    assert post.url.startswith("https://crm.example/api/..%2FAda%3F%0D%0AX-Evil%3A%201?by=")
    assert post.headers["X-Name"] == "../Ada? X-Evil: 1"


def test_zendesk_gets_a_ticket_that_its_api_knows() -> None:
    mapping, secrets = load_connector("zendesk", ENVIRONMENT)
    ticket = mapping.body["ticket"]
    assert ticket["comment"]["public"] is False
    assert secrets == {"zendesk_subdomain": "secret-value", "zendesk_token": "secret-value"}


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("connector: x\nurl: https://x\nbody: {a: '{sumary}'}", 3, "Packets have no field 'sumary'. Did you mean"),
        ("connector: x\nurl: https://{secret.host}\nbody: {}", 2, "The secret 'host' is not set."),
        ("connector: x\nurl: https://x\nbody: {a: '{secret.host}'}", 3, "A secret must not stand in the body."),
        ("connector: x\nbody: {}", 1, "'url' is missing."),
        ("connector: x\nmethod: GET\nurl: https://x\nbody: {}", 1, "'GET' is no method that sends anything."),
    ],
)
def test_a_mistake_in_a_mapping_is_shown_where_it_stands(tmp_path: Path, text: str, line: int, what: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        load_connector(str(path), {})
    assert f"own.yaml:{line}: {what}" in str(raised.value)


def test_a_connector_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'zendesk'"):
        load_connector("zendesc", {})


async def test_records_that_are_away_hold_up_no_transfer_and_get_the_packet_once_they_are_back(
    contexts: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "KEEP_LIMIT_S", 0.1)
    put, away = contexts.put, [True]

    async def put_if_there(packet: ContextPacket) -> None:
        if away[0]:
            raise OperationalError("insert", {}, OSError())
        await put(packet)

    monkeypatch.setattr(contexts, "put", put_if_there)
    deliveries = Deliveries(contexts, receivers=[], clock=time.monotonic)
    async with deliveries.running():
        assert await deliveries.deliver(PACKET) == ("records",)
        assert await contexts.get(PACKET.call_id) is None
        away[0] = False
        async with asyncio.timeout(10):
            while await contexts.get(PACKET.call_id) is None:
                await asyncio.sleep(0.05)
