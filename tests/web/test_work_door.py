"""What people decide about what the bot does, by the API and on the page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import aiohttp
import pytest

from tests.fakes.recorded_call import short_call
from tests.fakes.recordings import FakeRecordings
from tests.fakes.web_server import API_TOKEN, FakeCalls, RunningServer, serving
from voicebot.backends.sqlite import to_json
from voicebot.records.access.roles import Role
from voicebot.records.deeds import ApprovalState
from voicebot.records.schema import call_document
from voicebot.records.tables import APPROVALS, CALLS, DEEDS
from voicebot.work.durable import Errand

BEARER = {"Authorization": f"Bearer {API_TOKEN}"}
APPROVAL, DEED = "a" * 32, "b" * 32


@asynccontextmanager
async def office(
    *, calls: FakeCalls | None = None, recordings: FakeRecordings | None = None
) -> AsyncIterator[RunningServer]:
    """A server with a call, an approval that waits, something that was done and something still to do."""
    async with serving(calls=calls, recordings=recordings) as server:
        deeds = server.work.deeds
        names = ("id", "instance", "channel", "direction", "caller", "called", "carrier_call_id", "flow_version")
        call = dict.fromkeys(names, "c1") | {"started_at": datetime(2026, 3, 2, tzinfo=UTC), "goal_reached": False}
        async with deeds._database.begin() as connection:
            await connection.execute(CALLS.insert().values(call))
        await deeds.ask(APPROVAL, "c1", "orders.credit", to_json({"amount": 30}), 600)
        await deeds.note(DEED, "c1", "calendar.book", to_json({"day": date(2026, 3, 6)}), to_json({"reference": "472"}))
        await deeds.note_follow_up("c1/call_back", "c1", "Call <b>back</b>.", timedelta(hours=4))
        yield server


async def test_an_approval_is_listed_and_granted_once() -> None:
    async with office() as server:
        listed = await (await server.http.get(server.base + "/api/approvals", headers=BEARER)).json()
        (approval,) = listed["approvals"]
        assert (approval["id"], approval["arguments"]) == (APPROVAL, {"amount": "30"})
        path = f"{server.base}/api/approvals/{APPROVAL}"
        granted = await server.http.post(path, json={"granted": True}, headers=BEARER)
        assert (granted.status, (await granted.json())["state"]) == (200, "granted")
        refused = await server.http.post(path, json={"granted": False}, headers=BEARER)
        assert refused.status == 409
        assert "somebody else" in (await refused.json())["error"]
        assert (await (await server.http.get(server.base + "/api/approvals", headers=BEARER)).json())["approvals"] == []


@pytest.mark.parametrize("body", ["no json", "[]", '{"granted": "yes"}', "{}"])
async def test_a_decision_that_cannot_be_read_decides_nothing(body: str) -> None:
    async with office() as server:
        headers = BEARER | {"Content-Type": "application/json"}
        answer = await server.http.post(f"{server.base}/api/approvals/{APPROVAL}", data=body, headers=headers)
        assert answer.status == 400
        found = await server.work.deeds.approval(APPROVAL)
        assert found is not None
        assert found.state is ApprovalState.WAITING


async def test_a_supervisor_decides_on_the_page_and_others_cannot_see_it() -> None:
    async with office() as server:
        await server.signed_in_as(Role.SUPERVISOR)
        page = await (await server.http.get(server.base + "/approvals")).text()
        assert "orders.credit" in page
        form = {"csrf": await server.csrf(), "approval": APPROVAL, "decision": "refuse"}
        done = await server.http.post(server.base + "/approvals", data=form, headers={"Origin": server.base})
        assert "Refused." in await done.text()
        found = await server.work.deeds.approval(APPROVAL)
        assert found is not None
        assert (found.state, found.decided_by) == (ApprovalState.REFUSED, "the-supervisor")
        late = await server.http.post(
            server.base + "/approvals", data=form | {"decision": "grant"}, headers={"Origin": server.base}
        )
        assert "Too late" in await late.text()
    async with office() as server:
        await server.signed_in_as(Role.AGENT)
        assert (await server.http.get(server.base + "/approvals")).status == 403
        assert (await server.http.get(server.base + "/api/approvals")).status == 403


async def test_without_the_pages_own_token_nothing_is_decided() -> None:
    async with office() as server:
        await server.signed_in_as(Role.SUPERVISOR)
        form = {"approval": APPROVAL, "decision": "grant"}
        answer = await server.http.post(server.base + "/approvals", data=form, headers={"Origin": server.base})
        assert answer.status == 403


async def actions_of(server: RunningServer) -> dict[str, dict[str, object]]:
    answer = await server.http.get(server.base + "/api/actions?call=c1", headers=BEARER)
    return {action["name"]: action for action in (await answer.json())["actions"]}


async def test_an_action_is_listed_and_undone_once() -> None:
    async with office() as server:
        listed = await actions_of(server)
        assert set(listed) == {"orders.credit", "calendar.book"}
        assert listed["calendar.book"]["arguments"] == {"day": "2026-03-06"}
        for _ in range(2):
            undone = await server.http.post(f"{server.base}/api/actions/{DEED}/undo", headers=BEARER)
            assert (undone.status, (await undone.json())["state"]) == (200, "undone")
        assert server.work.systems.done == [("calendar.cancel", {"reference": "472"})]
        for unknown in ("0" * 32, "other"):
            assert (await server.http.post(f"{server.base}/api/actions/{unknown}/undo", headers=BEARER)).status == 404
        assert (await server.http.get(server.base + "/api/actions?call=../x", headers=BEARER)).status == 400


ACCOUNT = "40293817"


@asynccontextmanager
async def banking() -> AsyncIterator[RunningServer]:
    """A server with a write that was done on an account, and one that waits for approval."""
    async with office() as server:
        arguments = to_json({"account_number": ACCOUNT, "amount": 30})
        await server.work.deeds.note("c" * 32, "c1", "accounts.credit", arguments, to_json({"iban": "DE" + ACCOUNT}))
        await server.work.deeds.ask("d" * 32, "c1", "accounts.close", arguments, 600)
        yield server


async def test_account_numbers_are_named_in_every_list_and_kept_sealed() -> None:
    async with banking() as server:
        listed = await actions_of(server)
        for name in ("accounts.credit", "accounts.close"):
            assert listed[name]["arguments"] == {"account_number": "[account number]", "amount": "30"}
            assert listed[name]["masked"] is True
        assert listed["calendar.book"]["masked"] is False
        assert listed["accounts.credit"]["result"] == {"iban": "[account number]"}
        approvals = await (await server.http.get(server.base + "/api/approvals", headers=BEARER)).text()
        await server.signed_in_as(Role.SUPERVISOR)
        pages = [await (await server.http.get(server.base + path)).text() for path in ("/actions", "/approvals")]
        assert all("[account number]" in text and ACCOUNT not in text for text in (approvals, *pages))
        async with server.work.deeds._database.connect() as connection:
            for table in (DEEDS, APPROVALS):
                rows = [list(row) for row in await connection.execute(table.select())]
                assert ACCOUNT not in str(rows)
                assert ACCOUNT.encode().hex() not in str(rows)


async def test_who_may_undo_an_action_is_shown_its_numbers_and_that_is_noted() -> None:
    async with banking() as server:
        for action, result in (("c" * 32, {"iban": "DE" + ACCOUNT}), ("d" * 32, {})):
            path = f"{server.base}/api/actions/{action}/reveal"
            shown = await (await server.http.post(path, headers=BEARER)).json()
            assert (shown["arguments"]["account_number"], shown["result"]) == (ACCOUNT, result)
        assert [entry.action for entry in server.audited] == ["action_revealed"] * 2
        assert server.audited[0].content["path"] == {"action": "c" * 32}
        assert ACCOUNT not in str(server.audited)
        for unknown in ("0" * 32, "other"):
            answer = await server.http.post(f"{server.base}/api/actions/{unknown}/reveal", headers=BEARER)
            assert answer.status == 404
        await server.signed_in_as(Role.SUPERVISOR)
        path = f"{server.base}/actions/{'c' * 32}/reveal"
        answer = await server.http.post(path, data={"csrf": await server.csrf()}, headers={"Origin": server.base})
        page = await answer.text()
        assert ACCOUNT in page
        assert "[account number]" in page  # of the other action, which was not asked for
        assert (await server.http.post(path, headers={"Origin": server.base})).status == 403


@pytest.mark.parametrize("role", [Role.QA, Role.AGENT, Role.AUDITOR])
async def test_others_are_shown_no_numbers(role: Role) -> None:
    async with banking() as server:
        await server.signed_in_as(role)
        form, origin = {"csrf": await server.csrf()}, {"Origin": server.base}
        answer = await server.http.post(f"{server.base}/actions/{'c' * 32}/reveal", data=form, headers=origin)
        assert answer.status == 403


async def test_what_waits_for_approval_is_cancelled_and_no_longer_asked() -> None:
    async with office() as server:
        for _ in range(2):
            cancelled = await server.http.post(f"{server.base}/api/actions/{APPROVAL}/cancel", headers=BEARER)
            body = await cancelled.json()
            assert (cancelled.status, body["state"]) == (200, "cancelled")
            assert body["told"]
        approvals = await (await server.http.get(server.base + "/api/approvals", headers=BEARER)).json()
        assert approvals == {"approvals": []}


async def test_what_a_person_must_undo_is_left_to_them_and_what_nobody_can_is_refused_with_the_reason() -> None:
    async with office() as server:
        letter, cancelled = "c" * 32, "e" * 32
        await server.work.deeds.note(letter, "c1", "letters.send", "{}", "{}")
        await server.work.deeds.note(cancelled, "c1", "calendar.cancel", "{}", "{}")
        refused = await server.http.post(f"{server.base}/api/actions/{letter}/cancel", headers=BEARER)
        assert refused.status == 409
        assert "Run after the postman." in (await refused.json())["error"]
        asked = await server.http.post(f"{server.base}/api/actions/{letter}/undo", headers=BEARER)
        assert (asked.status, (await asked.json())["state"]) == (202, "with_person")
        left = (await (await server.http.get(server.base + "/api/follow-ups", headers=BEARER)).json())["follow_ups"]
        (task,) = [one["id"] for one in left if "postman" in one["text"]]
        done = await server.http.post(f"{server.base}/api/follow-ups/{task}", json={"state": "done"}, headers=BEARER)
        assert done.status == 200
        assert (await actions_of(server))["letters.send"]["state"] == "undone"
        never = await server.http.post(f"{server.base}/api/actions/{cancelled}/undo", headers=BEARER)
        assert never.status == 409
        assert "somebody else's by now" in (await never.json())["error"]


async def test_the_page_does_what_its_buttons_say_and_needs_its_token() -> None:
    async with office() as server:
        await server.signed_in_as(Role.SUPERVISOR)
        page = await (await server.http.get(server.base + "/actions")).text()
        assert "calendar · book" in page
        form = {"action": DEED, "verb": "undo"}
        headers = {"Origin": server.base}
        assert (await server.http.post(server.base + "/actions", data=form, headers=headers)).status == 403
        (token,) = set(re.findall(r'name="csrf" value="([^"]+)"', page))
        undone = await server.http.post(server.base + "/actions", data={**form, "csrf": token}, headers=headers)
        assert undone.status == 200
        assert "It is undone." in await undone.text()
        wrong = {"action": DEED, "verb": "burn", "csrf": token}
        assert (await server.http.post(server.base + "/actions", data=wrong, headers=headers)).status == 400


@pytest.mark.parametrize(("role", "sees"), [(Role.SUPERVISOR, True), (Role.QA, False)])
async def test_the_page_of_a_call_has_its_actions_for_those_who_may_undo_them(role: Role, *, sees: bool) -> None:
    call = replace(short_call(), id="c1")
    async with office(calls=FakeCalls([call_document(call)])) as server:
        await server.signed_in_as(role)
        answer = await server.http.get(server.base + "/calls/c1")
        assert answer.status == 200
        assert ("calendar · book" in await answer.text()) is sees


async def test_who_may_not_undo_sees_no_actions() -> None:
    async with office() as server:
        await server.signed_in_as(Role.QA)
        assert (await server.http.get(server.base + "/actions")).status == 403
        assert (await server.http.get(server.base + "/api/actions")).status == 403


async def test_an_intent_is_paused_and_goes_on() -> None:
    async with office() as server:
        path = server.base + "/api/pauses/order_status"
        assert (await server.http.put(path, json={"reason": "the shop moves"}, headers=BEARER)).status == 200
        listed = await (await server.http.get(server.base + "/api/pauses", headers=BEARER)).json()
        assert [(one["subject"], one["reason"]) for one in listed["pauses"]] == [("order_status", "the shop moves")]
        assert (await server.http.delete(path, headers=BEARER)).status == 204
        assert (await server.http.delete(path, headers=BEARER)).status == 404
        assert (await server.http.put(server.base + "/api/pauses/A%20B", json={}, headers=BEARER)).status == 400


@pytest.mark.parametrize(
    "body",
    [b'{"reason": "\\u0000"}', b'{"reason": "\\ud800"}', b'{"reason": "' + b"x" * 501 + b'"}', b"[" * 60_000, b"\xff"],
    ids=["NUL", "half a pair", "too long", "too deep", "no text"],
)
async def test_a_reason_that_cannot_be_kept_pauses_nothing(body: bytes) -> None:
    async with office() as server:
        headers = BEARER | {"Content-Type": "application/json; charset=unheard-of"}
        answer = await server.http.put(server.base + "/api/pauses/all", data=body, headers=headers)
        assert answer.status == 400
        assert await server.work.deeds.pauses() == []


async def test_what_is_still_to_do_is_listed_and_closed() -> None:
    async with office() as server:
        listed = await (await server.http.get(server.base + "/api/follow-ups", headers=BEARER)).json()
        assert [one["id"] for one in listed["follow_ups"]] == ["c1/call_back"]
        path = server.base + "/api/follow-ups/c1/call_back"
        assert (await server.http.post(path, json={"state": "open"}, headers=BEARER)).status == 400
        assert (await server.http.post(path, json={"state": "done"}, headers=BEARER)).status == 200
        assert (await server.http.post(path, json={"state": "done"}, headers=BEARER)).status == 404


async def test_failed_work_is_listed_and_taken_up_again() -> None:
    async with office() as server:
        server.work.errands.given_up.append(Errand("task", "c1/note"))
        path = server.base + "/api/failed-work"
        failed = (await (await server.http.get(path, headers=BEARER)).json())["failed"]
        assert failed == [{"job": "task", "subject": "c1/note"}]
        other = await server.http.post(path, json={"job": "task", "subject": "c2/note"}, headers=BEARER)
        assert other.status == 404
        again: aiohttp.ClientResponse = await server.http.post(path, json=failed[0], headers=BEARER)
        assert again.status == 202
        assert server.work.errands.begun_again == [Errand("task", "c1/note")]
