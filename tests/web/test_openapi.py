"""The API's description agrees with its routes, and the API with its description, whatever is sent."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.chats import Office
from tests.fakes.contact_centre import Centre
from tests.fakes.web_server import API_TOKEN, serving
from voicebot.records.access.roles import Right
from voicebot.records.record import Outcome, Speaker, TurnRecord
from voicebot.records.schema import call_schema
from voicebot.records.store import Store
from voicebot.web.access.declared import access_of, is_public
from voicebot.web.openapi import openapi_document
from voicebot.web.server import WebLimits

#: Requests of each operation that schemathesis makes up; what it makes is settled by the seed.
_EXAMPLES = "15"
_SEED = "20261121"


def _described() -> dict[tuple[str, str], dict[str, Any]]:
    document = openapi_document(call_schema())
    return {
        (method.upper(), path): operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


async def test_every_route_of_the_api_is_described_with_its_right_and_nothing_else_is(tmp_path: Path) -> None:
    office = Office(tmp_path)
    async with serving(chats=office.chats, desks=lambda database: Centre(database).parts) as server:
        routes = {
            (route.method, route.resource.canonical): route
            for route in server.app.router.routes()
            if route.resource and route.resource.canonical.startswith("/api/") and route.method != "HEAD"
        }
    await office.backends.close()
    described = _described()
    assert set(described) == set(routes)
    for place, operation in described.items():
        access = access_of(routes[place].handler)
        if access is not None:
            assert operation["x-right"] == access.right, place
            assert {"401", "403", "429"} <= set(operation["responses"]), place
        else:
            assert is_public(routes[place]), place
            # The one that asks inside for a right or a signed session.
            assert operation["security"] == ([] if place != ("POST", "/api/chat") else [{"token": []}, {}]), place


def test_the_rights_in_the_description_exist() -> None:
    named = {operation["x-right"] for operation in _described().values() if "x-right" in operation}
    assert named <= set(Right)
    assert Right.READ_CALLS in named


class _Party:
    channel, direction, caller, called, carrier_call_id = "sip", "inbound", "+15550100", "+15550199", "x"


def _write_calls(store: Store) -> None:
    began = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
    for number in range(3):
        started = began + timedelta(minutes=number)
        store.journal.begin_call(f"call-{number}", _Party(), started, "v1")
        turn = TurnRecord(Speaker.CALLER, "where is my <b>order</b>?", intent="order_status", decision="asked")
        store.journal.add_turn(f"call-{number}", turn)
        store.journal.end_call(f"call-{number}", started + timedelta(seconds=30), Outcome.COMPLETED, "caller_hung_up")


@pytest.mark.timeout(240)
async def test_the_api_survives_schemathesis(tmp_path: Path) -> None:
    """Run its examples, coverage and fuzzing phases with every check, against the real store."""
    office = Office(tmp_path)
    many = 1_000_000
    limits = WebLimits(max_requests_per_minute=many, max_wrong_tokens_per_minute=many, max_chats_per_minute=many)
    async with (
        Store.open(tmp_path, on_failure=lambda _: None) as store,
        serving(
            store=store,
            schema=call_schema(),
            chats=office.chats,
            limits=limits,
            desks=lambda database: Centre(database).parts,
        ) as server,
    ):
        _write_calls(store)
        await store.journal.flush()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "run", server.base + "/api/openapi.json"),
            *("--header", f"Authorization: Bearer {API_TOKEN}"),
            *("--phases", "examples,coverage,fuzzing", "--checks", "all", "--max-examples", _EXAMPLES),
            # What a schema cannot say: a cursor is one that the API gave, and words to search for hold a letter.
            *("--exclude-checks", "positive_data_acceptance"),
            *("--seed", _SEED, "--continue-on-failure", "--no-color"),
            *("--request-timeout", "20", "--suppress-health-check", "all", "--warnings", "off"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await process.communicate()
        report = printed.decode()
    await office.backends.close()

    assert process.returncode == 0, report[-12_000:]
    # Every operation but the one that the description itself came from.
    assert f"Tested: {len(_described()) - 1}\n" in report, report[-4000:]
