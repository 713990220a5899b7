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

ORDER, ACCOUNT, PIN = "53018", "415620", "8264"


async def key(line: CarrierLine, server: Server, prompt: str, keys: str) -> None:
    await server.until(line.call_sid, has_prompt(prompt))
    for one in keys:
        line.press(one)
        await asyncio.sleep(0.15)


async def ask_for_the_credit(line: CarrierLine, server: Server) -> dict[str, Any]:
    """Come to where the credit is written, and return the approval that waits."""
    await key(line, server, "welcome.first", "2")
    await key(line, server, "order_status.ask_order_number", ORDER)
    await key(line, server, "order_status.ask_wants_credit", "1")
    await key(line, server, "authenticate.ask_account_number", ACCOUNT)
    await key(line, server, "authenticate.ask_pin", PIN)
    async with asyncio.timeout(30):
        while not (waiting := (await server.get("/api/approvals"))["approvals"]):
            await asyncio.sleep(0.2)
    found: dict[str, Any] = waiting[0]
    return found


def company(server: Server, question: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(server.data / "demo.sqlite") as connection:
        return connection.execute(question).fetchall()


@pytest.mark.parametrize("granted", [True, False])
async def test_a_person_decides_about_a_credit_while_the_caller_waits(tmp_path: Path, *, granted: bool) -> None:
    async with running(tmp_path / "data", VOICEBOT_RECOGNIZER="off", VOICEBOT_DRAIN_S="1") as server:
        company(server, "UPDATE shop_order SET credit_cents = 3000 WHERE remedy = 'credit'")
        async with server.carrier.dial() as line:
            approval = await ask_for_the_credit(line, server)
            assert approval["operation"] == "orders.credit"
            assert approval["arguments"]["amount"] == "30.00"
            assert company(server, "SELECT remedy FROM shop_order WHERE credit_cents = 3000") == [("credit",)]
            path = f"{server.url}/api/approvals/{approval['id']}"
            async with server.http.post(path, json={"granted": granted}, headers=BEARER) as answer:
                assert answer.status == 200, await answer.text()
            record = await server.until(line.call_sid, has_prompt("welcome.more"))
            await line.hang_up()
            record = await server.until(line.call_sid, is_over)
        said = " ".join(turn["text"] for turn in record["turns"] if turn["speaker"] == "bot")
        assert ("I've credited" in said, "could not allow that credit" in said) == (granted, not granted)
        remedy = company(server, "SELECT remedy FROM shop_order WHERE credit_cents = 3000")
        assert remedy == [("done" if granted else "credit",)]

        # The work after the call: a note in the customer's file, found by the account that the record does not show.
        async with asyncio.timeout(30):
            while not (notes := company(server, "SELECT account_number, text FROM note")):
                await asyncio.sleep(0.2)
        ((account, text),) = notes
        assert account == ACCOUNT
        assert "order status" in text
        assert ("orders credit" in text) is granted
        actions = (await server.get(f"/api/actions?call={record['id']}"))["actions"]
        assert {action["name"]: action["state"] for action in actions} == {"customers.note": "done"} | {
            "orders.credit": "done" if granted else "refused"
        }
        assert PIN not in str(actions)
        for action in actions:
            for verb, status in (("cancel", 409), ("undo", 202)) if action["state"] == "done" else (("undo", 200),):
                path = f"{server.url}/api/actions/{action['id']}/{verb}"
                async with server.http.post(path, headers=BEARER) as answer:
                    assert answer.status == status, await answer.text()
        assert await server.terminate() == 0
