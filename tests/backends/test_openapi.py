"""An OpenAPI document becomes operations that load, check and answer over HTTP."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.dialog.small_bot import write_bot
from voicebot import cli
from voicebot.backends.backends import BackendResult, Backends
from voicebot.backends.openapi import as_yaml, read_openapi
from voicebot.backends.opening import open_systems
from voicebot.dialog.events import SlotValue
from voicebot.dialog.loader import load_bot
from voicebot.dialog.values import ValueKind
from voicebot.errors import ConfigurationError

DOCUMENT = """\
openapi: 3.1.0
info: {title: Orders, version: "1"}
paths:
  /orders/{orderId}:
    parameters:
      - {name: orderId, in: path, required: true, schema: {type: string, pattern: "^[0-9]{5}$"}}
    get:
      operationId: getOrder
      summary: Where an order is.
      parameters:
        - {name: verbose, in: query, schema: {type: boolean}}
        - {name: onDay, in: query, required: true, schema: {type: string, format: date}}
      responses:
        "200":
          content:
            application/json:
              schema: {$ref: "#/components/schemas/Order"}
        "404": {description: none such}
        "429": {description: later}
  /orders/{orderId}/credits:
    post:
      operationId: creditOrder
      parameters:
        - {name: orderId, in: path, required: true, schema: {type: string}}
        - {name: X-Trace, in: header, schema: {type: string}}
      requestBody:
        content:
          application/json:
            schema:
              type: object
              properties:
                amount: {type: string, format: decimal}
                reason: {type: [string, "null"]}
      responses:
        "201":
          content:
            application/json:
              schema: {type: object, properties: {newBalance: {type: number}}}
        "409": {description: given before}
components:
  schemas:
    Base: {type: object, properties: {state: {type: string}}}
    Order:
      allOf:
        - {$ref: "#/components/schemas/Base"}
        - type: object
          properties:
            isLate: {type: boolean}
            delayDays: {type: integer}
            promised: {type: object, properties: {date: {type: string, format: date}}}
            lines: {type: array, items: {type: object}}
"""


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "orders.yaml"
    path.write_text(DOCUMENT, encoding="utf-8")
    return path


def test_arguments_results_and_failures_are_typed(document: Path) -> None:
    status, credit = read_openapi(document, "orders")
    assert (status.name, status.about, status.write) == ("orders.get_order", "Where an order is", False)
    assert status.arguments == {"order_id": ValueKind.DIGITS, "on_day": ValueKind.DATE}
    assert status.path == "/orders/{order_id}"
    assert status.query == {"on_day": "onDay"}
    assert status.results == {
        "state": ValueKind.TEXT,
        "is_late": ValueKind.YES_NO,
        "delay_days": ValueKind.NUMBER,
        "promised_date": ValueKind.DATE,
    }
    assert status.result_fields["promised_date"] == "promised.date"
    assert status.failures == {404: "not_found"}
    assert credit.write
    assert credit.arguments == {"order_id": ValueKind.TEXT, "amount": ValueKind.MONEY, "reason": ValueKind.TEXT}
    assert credit.body == {"amount": "amount", "reason": "reason"}
    assert credit.failures == {409: "conflict"}


async def test_what_is_written_is_loaded_and_answers(document: Path, tmp_path: Path) -> None:
    text = as_yaml(read_openapi(document, "orders"), "orders", "ORDERS_URL")
    declared, _, systems = text.partition("# systems.yaml")
    bot_folder = write_bot(tmp_path / "bot")
    (bot_folder / "orders.yaml").write_text(declared, encoding="utf-8")
    (bot_folder / "systems.yaml").write_text("#" + systems, encoding="utf-8")
    bot = load_bot(bot_folder)

    async def order(request: web.Request) -> web.Response:
        assert request.query["onDay"] == "2026-03-02"
        if request.match_info["id"] != "48213":
            return web.Response(status=404)
        return web.json_response(
            {"state": "shipped", "isLate": True, "delayDays": 5, "promised": {"date": "2026-03-01"}, "lines": [1]}
        )

    async def credit(request: web.Request) -> web.Response:
        assert (await request.json()) == {"amount": "15.00", "reason": "late"}
        assert request.headers["Idempotency-Key"] == "k1"
        return web.json_response({"newBalance": 27.5}, status=201)

    app = web.Application()
    app.router.add_get("/orders/{id}", order)
    app.router.add_post("/orders/{id}/credits", credit)
    server = TestServer(app)
    await server.start_server()
    (system,) = open_systems(
        bot_folder,
        bot.operations,
        data=tmp_path,
        environ={"ORDERS_URL": str(server.make_url("/"))},
        clock=lambda: 100.0,
        jitter=lambda: 0.0,
    )
    imported = {name: contract for name, contract in bot.operations.items() if name.startswith("orders.")}
    backends = Backends((system,), imported, timeout_s=5)
    asked: dict[str, SlotValue] = {"order_id": "48213", "on_day": date(2026, 3, 2)}
    found = await backends.call("orders.get_order", asked)
    assert found.result["promised_date"] == date(2026, 3, 1)
    assert (found.result["is_late"], found.result["delay_days"]) == (True, 5)
    missing = await backends.call("orders.get_order", {**asked, "order_id": "00000"})
    assert missing == BackendResult("not_found", missing.result)
    paid = await backends.call(
        "orders.credit_order",
        {"order_id": "48213", "amount": Decimal("15.00"), "reason": "late"},
        idempotency_key="k1",
    )
    assert paid.result == {"new_balance": Decimal("27.5")}
    await backends.close()
    await server.close()


def test_only_what_is_asked_for_is_written(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asking = ["flows", "import", str(document), "--system", "orders", "--url", "ORDERS_URL", "--only", "getOrder"]
    assert cli.main(asking) == 0
    written = capsys.readouterr().out
    assert "orders.get_order" in written
    assert "orders.credit_order" not in written


@pytest.mark.parametrize(
    ("text", "wanted", "finds"),
    [
        ("a: [", (), "no OpenAPI document"),
        ("swagger: '2.0'", (), "no OpenAPI 3 document"),
        (DOCUMENT, ("getOrders",), "There are: creditOrder, getOrder"),
        ("openapi: 3.0.0\npaths: {/a: {get: {operationId: x}}}", ("y",), "There are: x"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, text: str, wanted: tuple[str, ...], finds: str) -> None:
    path = tmp_path / "document.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=finds):
        read_openapi(path, "orders", wanted)
