from __future__ import annotations

from pathlib import Path

import pytest

from voicebot.backends.opening import open_systems
from voicebot.backends.systems import HeaderAuth, HttpSpec, OAuthClient, Once, SqlSpec, read_systems
from voicebot.dialog.flow import Operation
from voicebot.dialog.values import ValueKind
from voicebot.errors import ConfigurationError

CONTRACTS = {
    "stock.level": Operation("stock.level", {"item": ValueKind.TEXT}, {"pieces": ValueKind.NUMBER}, ("unknown",)),
    "stock.reserve": Operation("stock.reserve", {"item": ValueKind.TEXT}, {}, ("sold_out",), write=True),
    "orders.status": Operation("orders.status", {"number": ValueKind.DIGITS}, {"due": ValueKind.DATE}, ("not_found",)),
}
GOOD = """\
systems:
  - name: warehouse
    sql: WAREHOUSE_URL
    operations:
      stock.level:
        select: SELECT pieces FROM stock WHERE item = :item
        nothing: unknown
      stock.reserve:
        write: UPDATE stock SET pieces = pieces - 1 WHERE item = :item AND pieces > 0
        nothing: sold_out
  - name: shop
    http: https://shop.example/api/
    auth: {header: Authorization, prefix: Bearer, from: SHOP_TOKEN}
    timeout_s: 2
    retries: 1
    operations:
      orders.status:
        get: /orders/{number}
        query: {order: number}
        result: {due: promised.date}
        failures: {404: not_found}
"""


ORDERS = "orders.status:\n        get: /orders/{number}"


def write(directory: Path, text: str) -> Path:
    (directory / "systems.yaml").write_text(text, encoding="utf-8")
    return directory


def test_a_good_file_is_read_whole(tmp_path: Path) -> None:
    warehouse, shop = read_systems(write(tmp_path, GOOD), CONTRACTS)
    assert isinstance(warehouse, SqlSpec)
    assert warehouse.statements["stock.reserve"].nothing == "sold_out"
    assert isinstance(shop, HttpSpec)
    assert shop.url == "https://shop.example/api"
    assert shop.auth == HeaderAuth("Authorization", "Bearer ", "SHOP_TOKEN")
    assert (shop.patience.timeout_s, shop.patience.retries) == (2.0, 1)
    request = shop.requests["orders.status"]
    assert (request.method, request.failures, request.once) == ("GET", {404: "not_found"}, Once.JOURNAL)


def test_no_file_means_no_systems(tmp_path: Path) -> None:
    assert read_systems(tmp_path, CONTRACTS) == ()


def test_oauth_names_its_variables(tmp_path: Path) -> None:
    text = GOOD.replace(
        "{header: Authorization, prefix: Bearer, from: SHOP_TOKEN}",
        "{token_url: https://shop.example/token, client_id: SHOP_ID, client_secret: SHOP_SECRET, scope: orders}",
    )
    shop = read_systems(write(tmp_path, text), CONTRACTS)[1]
    assert isinstance(shop, HttpSpec)
    assert shop.auth == OAuthClient("https://shop.example/token", "SHOP_ID", "SHOP_SECRET", "orders")


@pytest.mark.parametrize(
    ("old", "new", "finds"),
    [
        ("sql: WAREHOUSE_URL", "sql: postgresql://user:secret@host/db", "not its value"),
        ("from: SHOP_TOKEN", "from: abc123", "not its value"),
        ("    sql: WAREHOUSE_URL\n", "", "no way to reach it"),
        ("stock.level:", "stock.levle:", "'stock.levle' is not known"),
        (":item\n", ":itme\n", "argument of 'stock.level' named 'itme'"),
        ("select: SELECT", "write: SELECT", "'select' is missing"),
        ("nothing: unknown", "nothing: gone", "failure of 'stock.level' named 'gone'"),
        ("/orders/{number}", "/orders/{nubmer}", "argument of 'orders.status' named 'nubmer'"),
        ("{order: number}", "{order: nr}", "argument of 'orders.status' named 'nr'"),
        ("{due: promised.date}", "{duw: promised.date}", "result of 'orders.status' named 'duw'"),
        ("/orders/{number}", "/orders/{number", "brace in this path"),
        ("https://shop.example/api/", "shop.example/api", "'shop.example/api' is no address of a web service"),
        ("https://shop.example/api/", "ftp://shop.example", "no address of a web service"),
        (
            "{header: Authorization, prefix: Bearer, from: SHOP_TOKEN}",
            "{token_url: shop.example, client_id: SHOP_ID, client_secret: SHOP_SECRET}",
            "'shop.example' is no web address",
        ),
        ("{404: not_found}", "{200: not_found}", "no status of a failure"),
        ("{404: not_found}", "{404: nowhere}", "failure of 'orders.status' named 'nowhere'"),
        ("get: /orders", "fetch: /orders", "makes one request"),
        ("get: /orders/{number}\n", "get: /orders/{number}\n        once: surely\n", "how a write stays single"),
        ("auth: {header: Authorization, prefix: Bearer, from: SHOP_TOKEN}", "auth: {password: X}", "no known way"),
        (
            "orders.status:\n        get: /orders/{number}",
            "stock.level:\n        get: /stock/{item}",
            "done by 'warehouse'",
        ),
        (
            "orders.status:\n        get: /orders/{number}",
            "stock.reserve:\n        get: /stock/{item}",
            "GET only reads",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, old: str, new: str, finds: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigurationError) as caught:
        read_systems(write(tmp_path, GOOD.replace(old, new, 1)), CONTRACTS)
    found = [problem for problem in caught.value.problems if finds in f"{problem.what} {problem.fix}"]
    assert found, str(caught.value)
    assert all(problem.file == "systems.yaml" and problem.line for problem in found)
    assert "secret@host" not in str(caught.value)


def test_every_missing_variable_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_systems(write(tmp_path, GOOD), CONTRACTS, data=tmp_path, environ={}, clock=lambda: 0.0, jitter=lambda: 0.0)
    assert "WAREHOUSE_URL" in str(caught.value)
    assert "SHOP_TOKEN" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "finds"),
    [
        ("warehouse.sqlite", "WAREHOUSE_URL, where 'warehouse' is, holds no URL of a database"),
        ("postgres://bot:hush@db/stock", "holds no URL of a database"),
        ("mysql://bot:hush@db/stock", "for which 'MySQLdb' is not installed here"),
    ],
)
def test_a_variable_that_holds_no_database_is_told_without_its_value(tmp_path: Path, url: str, finds: str) -> None:
    environ = {"WAREHOUSE_URL": url, "SHOP_TOKEN": "t"}
    with pytest.raises(ConfigurationError, match=finds) as caught:
        open_systems(
            write(tmp_path, GOOD), CONTRACTS, data=tmp_path, environ=environ, clock=lambda: 0.0, jitter=lambda: 0.0
        )
    assert [problem.line for problem in caught.value.problems] == [2]
    assert "hush" not in str(caught.value)


def test_a_statement_with_a_time_of_day_in_it_asks_for_no_argument(tmp_path: Path) -> None:
    text = GOOD.replace("WHERE item = :item\n", "WHERE item = :item AND to_char(due, 'HH24:mi') < '12:30'\n", 1)
    assert len(read_systems(write(tmp_path, text), CONTRACTS)) == 2


async def test_systems_open_with_what_the_environment_holds(tmp_path: Path) -> None:
    environ = {"WAREHOUSE_URL": f"sqlite:///{tmp_path / 'w.sqlite'}", "SHOP_TOKEN": "t"}
    systems = open_systems(
        write(tmp_path, GOOD), CONTRACTS, data=tmp_path, environ=environ, clock=lambda: 0.0, jitter=lambda: 0.0
    )
    assert [sorted(system.operations) for system in systems] == [["stock.level", "stock.reserve"], ["orders.status"]]
    for system in systems:
        await system.close()
