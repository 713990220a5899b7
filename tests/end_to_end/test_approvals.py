"""A keyed call on the real server whose credit a person must allow, and what follows it."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.server import BEARER, Server, has_prompt, is_over, running
from voicebot.simulation.line import CarrierLine

pytestmark = [pytest.mark.spoken, pytest.mark.timeout(300)]

ACCOUNT, PIN = "415620", "8264"
#: What the customer has ordered; whether a person allows the credit for it.
GRANTED = {"53018": True, "53027": False}


async def key(line: CarrierLine, server: Server, prompt: str, keys: str) -> None:
    await server.until(line.call_sid, has_prompt(prompt))
    for one in keys:
        line.press(one)
        await asyncio.sleep(0.15)


async def ask_for_the_credit(line: CarrierLine, server: Server, order: str) -> dict[str, Any]:
    """Come to where the credit for an order is written, and return the approval that waits."""
    await key(line, server, "welcome.first", "2")
    await key(line, server, "order_status.ask_order_number", order)
    await key(line, server, "order_status.ask_wants_credit", "1")
    await key(line, server, "authenticate.ask_account_number", ACCOUNT)
    await key(line, server, "authenticate.ask_pin", PIN)
    async with asyncio.timeout(60):
        while True:
            waiting = (await server.get("/api/approvals"))["approvals"]
            if ours := [one for one in waiting if one["arguments"]["order_number"] == order]:
                found: dict[str, Any] = ours[0]
                return found
            await asyncio.sleep(0.2)


def company(server: Server, question: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(server.data / "demo.sqlite") as connection:
        return connection.execute(question).fetchall()


def remedy(server: Server, order: str) -> str:
    ((found,),) = company(server, f"SELECT remedy FROM shop_order WHERE number = '{order}'")
    return str(found)


async def decide(server: Server, order: str, *, granted: bool) -> str:
    """Call, have a person decide about the credit for an order, hold the call against it, and return its id."""
    async with server.carrier.dial() as line:
        approval = await ask_for_the_credit(line, server, order)
        assert approval["operation"] == "orders.credit"
        assert approval["arguments"]["amount"] == "30.00"
        assert remedy(server, order) == "credit"
        path = f"{server.url}/api/approvals/{approval['id']}"
        async with server.http.post(path, json={"granted": granted}, headers=BEARER) as answer:
            assert answer.status == 200, await answer.text()
        await server.until(line.call_sid, has_prompt("welcome.more"))
        await line.hang_up()
        record = await server.until(line.call_sid, is_over)
    said = " ".join(turn["text"] for turn in record["turns"] if turn["speaker"] == "bot")
    assert ("I've credited" in said, "could not allow that credit" in said) == (granted, not granted)
    assert remedy(server, order) == ("done" if granted else "credit")
    return str(record["id"])


async def test_a_person_decides_about_a_credit_while_the_caller_waits(tmp_path: Path) -> None:
    """Two callers wait at once, and what is decided for one is not what the other gets."""
    async with running(tmp_path / "data", VOICEBOT_RECOGNIZER="off", VOICEBOT_DRAIN_S="1") as server:
        columns = "account_number, item, status, promised, expected, delivered, reason, remedy"
        company(
            server,
            f"INSERT INTO shop_order (number, {columns}) SELECT '53027', {columns} FROM shop_order"
            " WHERE number = '53018'",
        )
        company(server, "UPDATE shop_order SET credit_cents = 3000 WHERE remedy = 'credit'")
        calls = await asyncio.gather(*(decide(server, order, granted=granted) for order, granted in GRANTED.items()))

        # The work after each call: a note in the customer's file, found by the account that the record does not show.
        async with asyncio.timeout(60):
            while len(notes := company(server, "SELECT account_number, text FROM note")) < len(calls):
                await asyncio.sleep(0.2)
        assert [account for account, _ in notes] == [ACCOUNT] * len(calls)
        assert all("order status" in text for _, text in notes)
        assert sorted("orders credit" in text for _, text in notes) == [False, True]
        for call_id, granted in zip(calls, GRANTED.values(), strict=True):
            await check_actions(server, call_id, granted=granted)
        assert await server.terminate() == 0


async def check_actions(server: Server, call_id: str, *, granted: bool) -> None:
    """Hold what a call has done against what was decided, and what can be cancelled and undone of it."""
    states = {"customers.note": "done", "orders.credit": "done" if granted else "refused"}
    async with asyncio.timeout(60):  # that the note is written is known a moment after it is
        while True:
            actions = (await server.get(f"/api/actions?call={call_id}"))["actions"]
            if {action["name"]: action["state"] for action in actions} == states:
                break
            await asyncio.sleep(0.2)
    assert PIN not in str(actions)
    for action in actions:
        for verb, status in (("cancel", 409), ("undo", 202)) if action["state"] == "done" else (("undo", 200),):
            path = f"{server.url}/api/actions/{action['id']}/{verb}"
            async with server.http.post(path, headers=BEARER) as answer:
                assert answer.status == status, await answer.text()
