from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from voicebot.backends.backends import BackendResult
from voicebot.backends.http import HttpSystem
from voicebot.backends.journal import WriteJournal, forget_call
from voicebot.backends.resilience import Patience
from voicebot.backends.systems import Auth, HeaderAuth, HttpSpec, OAuthClient, Once, Request
from voicebot.dialog.events import SlotValue
from voicebot.dialog.flow import Operation
from voicebot.dialog.values import ValueKind
from voicebot.errors import BackendUnavailable, LocalProtocolError

STATUS = Operation(
    "orders.status",
    {"number": ValueKind.TEXT, "day": ValueKind.DATE},
    {"state": ValueKind.TEXT, "due": ValueKind.DATE, "price": ValueKind.MONEY},
    ("not_found",),
)
CREDIT = Operation(
    "orders.credit",
    {"number": ValueKind.TEXT, "amount": ValueKind.MONEY},
    {"balance": ValueKind.MONEY},
    ("too_much",),
    write=True,
)
CONTRACTS = {operation.name: operation for operation in (STATUS, CREDIT)}
GET = Request(
    "GET",
    "/orders/{number}",
    {"day": "day"},
    {},
    {"state": "state", "due": "promised.date", "price": "lines.0.price"},
    {404: "not_found"},
    Once.JOURNAL,
)
POST = Request(
    "POST", "/orders/{number}/credit", {}, {"amount": "amount"}, {"balance": "balance"}, {409: "too_much"}, Once.JOURNAL
)
GOOD = '{"state": "shipped", "promised": {"date": "2026-03-05"}, "lines": [{"price": 12.10}]}'
ARGUMENTS: dict[str, SlotValue] = {"number": "48213", "day": date(2026, 3, 2)}
AMOUNT: dict[str, SlotValue] = {"number": "48213", "amount": Decimal("15.00")}


class Shop:
    """A web service that answers what it is told to, in order, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str] | Callable[[web.Request], Awaitable[web.StreamResponse]]] = []
        self.asked: list[tuple[str, str, dict[str, str], str]] = []
        self.tokens = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.raw_path, dict(request.headers), await request.text()))
        answer = self.answers.pop(0) if self.answers else (200, GOOD)
        if callable(answer):
            return await answer(request)
        status, text = answer
        return web.Response(status=status, text=text, content_type="application/json")

    async def token(self, request: web.Request) -> web.Response:
        self.tokens += 1
        form = await request.post()
        assert form["grant_type"] == "client_credentials"
        assert request.headers["Authorization"].startswith("Basic ")
        return web.json_response({"access_token": f"token-{self.tokens}", "expires_in": 300})


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
async def shop() -> AsyncIterator[tuple[Shop, str]]:
    shop = Shop()
    app = web.Application()
    app.router.add_post("/token", shop.token)
    app.router.add_route("*", "/{tail:.*}", shop.handle)
    server = TestServer(app)
    await server.start_server()
    yield shop, str(server.make_url("/")).rstrip("/")
    await server.close()


class Client:
    """The system under test with everything around it."""

    def __init__(self, url: str, directory: Path, *, auth: Auth | None = None, once: Once = Once.JOURNAL) -> None:
        requests = {"orders.status": GET, "orders.credit": replace(POST, once=once)}
        patience = Patience(timeout_s=0.5, retries=2, pause_s=0.001)
        self.clock = Clock()
        self.system = HttpSystem(
            HttpSpec("shop", url, auth, patience, 1000.0, requests),
            CONTRACTS,
            url=url,
            environ={"SHOP_TOKEN": "s3cret", "SHOP_ID": "id", "SHOP_SECRET": "pw"},
            journal=WriteJournal(directory / "writes.sqlite"),
            clock=self.clock,
            jitter=lambda: 0.5,
        )

    async def status(self, **arguments: SlotValue) -> BackendResult:
        return await self.system.call("orders.status", ARGUMENTS | arguments, idempotency_key=None)

    async def credit(self, key: str = "call/1") -> BackendResult:
        return await self.system.call("orders.credit", AMOUNT, idempotency_key=key)


@pytest.fixture
async def make(shop: tuple[Shop, str], tmp_path: Path) -> AsyncIterator[Callable[..., Client]]:
    made: list[Client] = []

    def new(*, auth: Auth | None = None, once: Once = Once.JOURNAL, url: str = "") -> Client:
        made.append(Client(url or shop[1], tmp_path, auth=auth, once=once))
        return made[-1]

    yield new
    for client in made:
        await client.system.close()


Make = Callable[..., Client]
Served = tuple[Shop, str]


async def fail_until_left_alone(client: Client, shop: Shop) -> None:
    shop.answers = [(500, "")] * 6
    for _ in range(2):
        with pytest.raises(BackendUnavailable):
            await client.status()


async def test_a_json_answer_becomes_a_typed_result(make: Make, shop: Served) -> None:
    answer = await make().status()
    assert answer == BackendResult("ok", {"state": "shipped", "due": date(2026, 3, 5), "price": Decimal("12.10")})
    assert shop[0].asked[0][:2] == ("GET", "/orders/48213?day=2026-03-02")


async def test_an_answer_that_comes_in_pieces_is_read_to_its_end(make: Make, shop: Served) -> None:
    async def in_pieces(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for start in range(0, len(GOOD), 20):
            await response.write(GOOD[start : start + 20].encode())
            await asyncio.sleep(0.02)
        return response

    shop[0].answers = [in_pieces]
    answer = await make().status()
    assert answer.result["price"] == Decimal("12.10")


async def test_what_a_caller_says_cannot_lead_to_another_place(make: Make, shop: Served) -> None:
    await make().status(number="1/../../admin?x=1")
    assert shop[0].asked[0][1].startswith("/orders/1%2F..%2F..%2Fadmin%3Fx=1?day=")
    with pytest.raises(BackendUnavailable):
        await make().status(number="..")
    assert len(shop[0].asked) == 1


async def test_a_declared_status_is_a_named_failure_and_is_not_repeated(make: Make, shop: Served) -> None:
    shop[0].answers = [(404, "{}")]
    assert (await make().status()).outcome == "not_found"
    assert len(shop[0].asked) == 1


async def test_a_read_is_repeated_until_it_works(make: Make, shop: Served) -> None:
    shop[0].answers = [(500, ""), (503, "")]
    assert (await make().status()).outcome == "ok"
    assert len(shop[0].asked) == 3


async def test_a_read_that_never_works_is_unavailable(make: Make, shop: Served) -> None:
    shop[0].answers = [(500, "")] * 9
    with pytest.raises(BackendUnavailable, match="status 500"):
        await make().status()
    assert len(shop[0].asked) == 3


@pytest.mark.parametrize("text", ["no json", '{"state": [1.5]}', '{"promised": {"date": "soon"}}', "[1, 2"])
async def test_an_answer_that_is_not_as_declared_is_unavailable(make: Make, shop: Served, text: str) -> None:
    shop[0].answers = [(200, text)]
    with pytest.raises(BackendUnavailable, match="as declared"):
        await make().status()


async def test_a_field_that_is_missing_holds_nothing(make: Make, shop: Served) -> None:
    shop[0].answers = [(200, '{"state": "shipped", "lines": []}')]
    assert (await make().status()).result == {"state": "shipped", "due": None, "price": None}


async def test_a_service_that_is_not_there_is_unavailable(make: Make) -> None:
    with pytest.raises(BackendUnavailable, match="cannot be reached"):
        await make(url="http://127.0.0.1:1").status()


async def test_after_failures_in_a_row_a_system_is_left_alone_and_then_tried_again(make: Make, shop: Served) -> None:
    client = make()
    await fail_until_left_alone(client, shop[0])
    asked = len(shop[0].asked)
    with pytest.raises(BackendUnavailable, match="left alone"):
        await client.status()
    assert len(shop[0].asked) == asked
    shop[0].answers = []
    client.clock.now_s += 11
    assert (await client.status()).outcome == "ok"
    assert (await client.status()).outcome == "ok"


async def test_a_header_carries_the_secret_and_no_error_does(make: Make, shop: Served) -> None:
    shop[0].answers = [(500, "")] * 3
    client = make(auth=HeaderAuth("Authorization", "Bearer ", "SHOP_TOKEN"))
    with pytest.raises(BackendUnavailable) as caught:
        await client.status()
    assert shop[0].asked[0][2]["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in str(caught.value)


async def test_a_token_is_fetched_once_kept_and_renewed(make: Make, shop: Served) -> None:
    client = make(auth=OAuthClient(f"{shop[1]}/token", "SHOP_ID", "SHOP_SECRET", ""))
    await client.status()
    await client.status()
    assert shop[0].tokens == 1
    client.clock.now_s += 280
    await client.status()
    assert shop[0].tokens == 2
    shop[0].answers = [(401, "")]
    await client.status()
    assert shop[0].asked[-1][2]["Authorization"] == "Bearer token-3"


async def test_a_write_repeated_with_its_key_reaches_the_service_once(make: Make, shop: Served) -> None:
    shop[0].answers = [(200, '{"balance": 20.05}')]
    client = make()
    first = await client.credit()
    assert first == BackendResult("ok", {"balance": Decimal("20.05")})
    assert await client.credit() == first
    assert await make().credit() == first  # another process, the same journal
    assert len(shop[0].asked) == 1
    assert shop[0].asked[0][2]["Idempotency-Key"] == "call/1"
    assert shop[0].asked[0][3] == '{"amount": "15.00"}'


async def test_a_write_that_may_have_arrived_is_not_sent_again(make: Make, shop: Served) -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(2)
        return web.Response()

    shop[0].answers = [hang]
    client = make()
    with pytest.raises(BackendUnavailable, match="did not answer"):
        await client.credit()
    with pytest.raises(BackendUnavailable, match="nobody knows"):
        await client.credit()
    assert len(shop[0].asked) == 1


async def test_a_write_that_the_service_can_tell_apart_is_sent_again(make: Make, shop: Served) -> None:
    shop[0].answers = [(502, ""), (200, '{"balance": 1}')]
    assert (await make(once=Once.HEADER).credit()).outcome == "ok"
    keys = {asked[2]["Idempotency-Key"] for asked in shop[0].asked}
    assert (len(shop[0].asked), keys) == (2, {"call/1"})


async def test_a_write_that_was_surely_not_done_is_sent_again(make: Make, shop: Served) -> None:
    shop[0].answers = [(503, ""), (429, ""), (503, "")]
    client = make()
    with pytest.raises(BackendUnavailable):
        await client.credit()
    shop[0].answers = [(200, '{"balance": 1}')]
    assert (await client.credit()).outcome == "ok"
    assert len(shop[0].asked) == 4


async def test_a_write_that_was_held_back_from_a_resting_system_is_done_later(make: Make, shop: Served) -> None:
    client = make()
    await fail_until_left_alone(client, shop[0])
    asked = len(shop[0].asked)
    with pytest.raises(BackendUnavailable, match="left alone"):
        await client.credit()
    assert len(shop[0].asked) == asked
    shop[0].answers = [(200, '{"balance": "5.00"}')]
    client.clock.now_s += 11
    assert (await client.credit()).result == {"balance": Decimal("5.00")}


async def test_a_write_that_cannot_be_noted_does_not_leave_and_an_answer_that_cannot_be_still_counts(
    make: Make, shop: Served, tmp_path: Path
) -> None:
    client, path = make(), tmp_path / "writes.sqlite"
    path.unlink()
    with pytest.raises(BackendUnavailable, match="journal of writes"):
        await client.credit()
    assert shop[0].asked == []

    async def lose_the_journal(_: web.Request) -> web.Response:
        path.unlink()
        return web.json_response({"balance": "5.00"})

    shop[0].answers = [lose_the_journal]
    assert (await make().credit("call/2")).result == {"balance": Decimal("5.00")}


async def test_a_named_failure_of_a_write_is_kept_too(make: Make, shop: Served) -> None:
    shop[0].answers = [(409, "{}")]
    client = make()
    assert (await client.credit()).outcome == "too_much"
    assert (await client.credit()).outcome == "too_much"
    assert len(shop[0].asked) == 1


async def test_a_write_cut_off_by_the_deadline_is_not_repeated(make: Make, shop: Served) -> None:
    arrived = asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        arrived.set()
        await asyncio.sleep(2)
        return web.Response()

    shop[0].answers = [hang]
    client = make()
    task = asyncio.create_task(client.credit())
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(BackendUnavailable, match="nobody knows"):
        await client.credit()


async def test_what_a_system_does_not_want_is_not_repeated_and_keeps_nobody_else_from_it(
    make: Make, shop: Served
) -> None:
    shop[0].answers = [(422, "{}")] * 6
    client = make()
    for _ in range(6):
        with pytest.raises(BackendUnavailable, match="status 422"):
            await client.status()
    assert len(shop[0].asked) == 6
    assert (await client.status()).outcome == "ok"


async def test_a_write_that_was_refused_may_be_tried_anew(make: Make, shop: Served) -> None:
    shop[0].answers = [(400, "{}"), (200, '{"balance": 1}')]
    client = make()
    with pytest.raises(BackendUnavailable, match="status 400"):
        await client.credit()
    assert (await client.credit()).outcome == "ok"


async def test_a_write_that_was_answered_by_a_redirect_may_have_been_done(make: Make, shop: Served) -> None:
    async def see_other(request: web.Request) -> web.Response:
        raise web.HTTPSeeOther("/orders/48213")

    shop[0].answers = [see_other]
    client = make()
    with pytest.raises(BackendUnavailable, match="status 303"):
        await client.credit()
    with pytest.raises(BackendUnavailable, match="nobody knows"):
        await client.credit()
    assert len(shop[0].asked) == 1


async def test_a_call_that_is_deleted_takes_its_writes_with_it_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "writes.sqlite"
    journal = WriteJournal(path)
    gone = ("call/1", "after:call/1", "undo:call/1/x")
    kept = ("call0/1", "call2/1", "call", "after:call2/1", "cal/1")
    for key in (*gone, *kept):
        await journal.begin(key, "orders.credit")
    forget_call(path, "call")
    assert [key for key in (*gone, *kept) if await journal.begin(key, "orders.credit") is None] == list(gone)


async def test_operations_of_a_key_do_not_mix(make: Make, shop: Served, tmp_path: Path) -> None:
    await WriteJournal(tmp_path / "writes.sqlite").begin("call/1", "orders.other")
    with pytest.raises(LocalProtocolError):
        await make().credit()


async def test_a_redirect_is_not_followed(make: Make, shop: Served) -> None:
    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPFound("http://127.0.0.1:1/elsewhere")

    shop[0].answers = [redirect] * 3
    with pytest.raises(BackendUnavailable, match="status 302"):
        await make().status()
