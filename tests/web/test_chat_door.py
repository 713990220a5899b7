"""The same flows in writing: over JSON for a company's pages, over Twilio for text messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from sqlalchemy.exc import OperationalError

from tests.fakes.chats import Office
from tests.fakes.web_server import API_TOKEN, RunningServer, serving, sign
from voicebot.backends.backends import BackendResult
from voicebot.calls.chats import Customer, WrittenChannel
from voicebot.dialog.events import Continuation
from voicebot.records.record import Outcome, Speaker

PHONE = "+12025550123"


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    office = Office(tmp_path)
    yield office
    await office.backends.close()


async def post(
    server: RunningServer, body: Mapping[str, Any], *, token: str | None = None
) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with server.http.post(server.base + "/api/chat", json=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def begin(server: RunningServer, **body: str) -> dict[str, Any]:
    status, reply = await post(server, body, token=API_TOKEN)
    assert status == 200, reply
    return reply


async def text(server: RunningServer, body: str, *, sid: str = "SM1", sender: str = PHONE) -> str:
    """Send a text message as Twilio does and return what is answered, joined."""
    form = [("MessageSid", sid), ("AccountSid", "AC1"), ("From", sender), ("To", "+15550100"), ("Body", body)]
    url = server.base + "/twilio/sms"
    async with server.http.post(url, data=form, headers={"X-Twilio-Signature": sign(url, form)}) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/xml"
        root = ET.fromstring(await answer.text())
    assert root.tag == "Response"
    return "\n".join(message.text or "" for message in root.iter("Message"))


async def test_what_a_supervisor_has_stopped_goes_to_a_person_in_a_chat_too(office: Office) -> None:
    async with serving(chats=office.chats) as server:
        begun_before = (await begin(server))["session"]
        office.paused = frozenset({"balance"})
        for session in ((await begin(server))["session"], begun_before):
            _, reply = await post(server, {"session": session, "text": "what's my balance"})
            assert reply["person"]
            assert "account number" not in " ".join(reply["messages"])
        assert len(office.wanted) == 2
        office.paused = frozenset()
        session = (await begin(server))["session"]
        _, reply = await post(server, {"session": session, "text": "what's my balance"})
        assert not reply["person"]


async def test_the_policy_knows_in_a_chat_too_what_a_customer_called_about_lately(office: Office) -> None:
    office.earlier[PHONE] = {"balance": 3}
    async with serving(chats=office.chats) as server:
        session = (await begin(server, customer=PHONE))["session"]
        await post(server, {"session": session, "text": "what's my balance"})
    ((_, turns),) = office.journal.turns.items()
    assert [turn.signals["earlier_calls"] for turn in turns if turn.speaker is Speaker.CALLER] == [3]


async def test_a_balance_is_read_in_a_chat_and_the_pin_is_kept_nowhere(office: Office) -> None:
    async with serving(chats=office.chats) as server:
        reply = await begin(server, customer=PHONE)
        session = reply["session"]
        assert "How can I help you today?" in reply["messages"][-1]
        assert {"label": "Your account balance", "button": "1"} in reply["buttons"]
        for message, expected in (
            ({"text": "what's my balance"}, "account number"),
            ({"text": "402938"}, "PIN"),
            ({"text": "1593"}, "Your balance is $312.07."),
        ):
            status, reply = await post(server, {"session": session, **message})
            assert status == 200
            assert expected in " ".join(reply["messages"])
        status, reply = await post(server, {"session": session, "button": "9"})
        assert reply["ended"] == "completed"
        assert (await post(server, {"session": session, "text": "hello"}))[0] == 410
    (call_id,) = office.journal.begun
    assert (office.journal.begun[call_id].channel, office.journal.begun[call_id].caller) == ("chat", PHONE)
    assert office.journal.goals[call_id] == ("balance", True)
    assert office.journal.ended == {call_id: Outcome.COMPLETED}
    turns = office.journal.turns[call_id]
    assert [turn.text for turn in turns if turn.speaker is Speaker.CALLER] == [
        "what's my balance",
        "402938",
        "",
        "[9]",
    ]
    asked = [(each.operation, each.outcome) for turn in turns for each in turn.backend_calls]
    assert ("accounts.balance", "ok") in asked
    first = next(turn for turn in turns if turn.speaker is Speaker.CALLER)
    assert first.intents[0].intent == "balance"
    assert turns[0].prompt == "welcome.say"
    assert "1593" not in str(turns)
    assert office.held == 0


async def test_a_pin_that_is_sent_before_it_is_asked_for_is_kept_nowhere(office: Office) -> None:
    """Two messages in quick succession: the second comes while the first is still being answered."""
    await office.chats.start("c1", Customer(WrittenChannel.CHAT, PHONE))
    await office.chats.write("c1", "what's my balance")
    _, reply = await asyncio.gather(office.chats.write("c1", "402938"), office.chats.write("c1", "1593"))
    assert "Your balance is $312.07." in " ".join(reply.messages)
    assert "402938" in str(office.journal.turns)
    assert "1593" not in str(office.journal.turns)


async def test_the_question_for_a_pin_says_that_its_answer_is_secret(office: Office) -> None:
    async with serving(chats=office.chats) as server:
        reply = await begin(server, button="1")
        assert not reply["secret"]
        _, reply = await post(server, {"session": reply["session"], "text": "402938"})
        assert reply["secret"]


async def test_yes_no_and_choices_can_be_tapped(office: Office) -> None:
    async with serving(chats=office.chats) as server:
        reply = await begin(server, button="7")
        assert [button["label"] for button in reply["buttons"]] == ["Password", "The app", "The website"]
        _, reply = await post(server, {"session": reply["session"], "button": "2"})
        assert [button["label"] for button in reply["buttons"]] == ["Yes", "No"]


async def test_who_called_goes_on_in_the_chat_where_the_call_ended(office: Office) -> None:
    await office.continuations.keep(PHONE, Continuation("appointment", "book_appointment", {"day": date(2026, 3, 10)}))
    async with serving(chats=office.chats) as server:
        stranger = await begin(server, customer="+12025550199")
        assert "Welcome back" not in " ".join(stranger["messages"])
        reply = await begin(server, customer=PHONE)
        assert "Welcome back. Let's go on with booking an appointment." in reply["messages"]
        assert "at what time on Tuesday, March 10" in reply["messages"][-1]
        # What is taken up is not offered a second time.
        assert "Welcome back" not in " ".join((await begin(server, customer=PHONE))["messages"])


async def test_a_chat_goes_on_after_a_restart_of_the_server(office: Office) -> None:
    async with serving(chats=office.chats) as server:
        reply = await begin(server, customer=PHONE, text="i'd like to book an appointment")
        session = reply["session"]
        await post(server, {"session": session, "text": "next tuesday"})
    for ends_in_peace in (False, True):
        before = office.chats
        if ends_in_peace:
            await before.close()
        office.chats = office.another()
        async with serving(chats=office.chats) as server:
            status, reply = await post(server, {"session": session, "text": "at ten thirty"})
        assert status == 200
        assert "Tuesday, March 10 at 10:30 AM" in reply["messages"][-1]
    assert len(office.journal.begun) == 3


async def test_a_chat_that_is_over_does_not_go_on_after_a_restart(office: Office) -> None:
    async with serving(chats=office.chats) as server:
        reply = await begin(server, customer=PHONE, text="goodbye")
        assert reply["ended"]
    office.chats = office.another()
    async with serving(chats=office.chats) as server:
        status, _ = await post(server, {"session": reply["session"], "text": "hello"})
    assert status == 410


async def test_who_leaves_a_chat_goes_on_in_a_text_message(office: Office) -> None:
    async with serving(chats=office.chats) as server:
        reply = await begin(server, customer=PHONE, text="i'd like to book an appointment")
        await post(server, {"session": reply["session"], "text": "next tuesday"})
        office.now_s += 3600
        await office.chats.sweep()
        assert list(office.journal.ended.values()) == [Outcome.CALLER_HUNG_UP]
        answer = await text(server, "hello again")
    assert "Let's go on with booking an appointment" in answer


async def test_who_writes_at_the_last_moment_is_not_taken_for_gone(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system that takes its time has the sweep come between the question and its answer."""
    answering = office.backends.call
    sweeping: list[asyncio.Task[None]] = []

    async def slow(*args: Any, **kwargs: Any) -> BackendResult:
        office.now_s += 30
        sweeping.append(asyncio.create_task(office.chats.sweep()))
        await asyncio.sleep(0)
        return await answering(*args, **kwargs)

    await office.chats.start("c1", Customer(WrittenChannel.CHAT, PHONE))
    await office.chats.write("c1", "where is my order")
    monkeypatch.setattr(office.backends, "call", slow)
    office.now_s += 1790
    assert "lamp" in " ".join((await office.chats.write("c1", "48213")).messages)
    await asyncio.gather(*sweeping)
    assert (len(sweeping), office.journal.ended) == (1, {})


async def test_text_messages_are_one_conversation_until_they_fall_silent(office: Office) -> None:
    async with serving(chats=office.chats) as server:
        first = await text(server, "when are you open", sid="SM1")
        assert first.startswith("Hello, and thank you")
        assert "open" in first
        second = await text(server, "my balance please", sid="SM2")
        assert "account number" in second
        assert "Hello, and thank you" not in second
        assert office.chats.count == 1
        office.now_s += 13 * 3600
        await office.chats.sweep()
        assert office.chats.count == 0
        assert "Hello, and thank you" in await text(server, "hi", sid="SM3", sender="+12025550999")
    assert {customer.channel for customer in office.journal.begun.values()} == {"sms"}


async def test_two_text_messages_at_once_are_one_conversation(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    async def take(identity: str) -> None:
        del identity
        await asyncio.sleep(0.05)  # as long as a database may take

    monkeypatch.setattr(office.continuations, "take", take)
    async with serving(chats=office.chats) as server:
        answers = await asyncio.gather(text(server, "hello", sid="SM1"), text(server, "my balance please", sid="SM2"))
    assert sum("Hello, and thank you" in answer for answer in answers) == 1
    assert len(office.journal.begun) == 1


async def test_a_message_that_is_delivered_twice_is_taken_once(office: Office) -> None:
    async with serving(chats=office.chats) as server:
        once = await text(server, "my balance please", sid="SM1")
        assert await text(server, "my balance please", sid="SM1") == once
    (turns,) = office.journal.turns.values()
    assert sum(turn.speaker is Speaker.CALLER for turn in turns) == 1


async def test_a_text_message_that_twilio_did_not_sign_is_refused(office: Office) -> None:
    form = [("MessageSid", "SM1"), ("AccountSid", "AC1"), ("From", PHONE), ("To", "+15550100"), ("Body", "hello")]
    async with serving(chats=office.chats) as server:
        async with server.http.post(
            server.base + "/twilio/sms", data=form, headers={"X-Twilio-Signature": "no"}
        ) as answer:
            assert answer.status == 403
        assert server.violations == [("twilio", "bad_signature")]
    assert office.chats.count == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"text": ""}, 400),
        ({"text": "x" * 1001}, 400),
        ({"text": "hello", "button": "1"}, 400),
        ({"button": "one"}, 400),
        ({"customer": "Robert'); DROP TABLE"}, 400),
        ({"hello": "there"}, 400),
        ({"session": "forged", "text": "hello"}, 403),
    ],
)
async def test_a_message_that_is_none_is_refused_with_a_reason(
    office: Office, body: Mapping[str, Any], status: int
) -> None:
    async with serving(chats=office.chats) as server:
        answered, reply = await post(server, body, token=API_TOKEN)
    assert answered == status
    assert reply["error"]
    assert "DROP TABLE" not in reply["error"]


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_only_who_has_the_token_begins_a_chat(office: Office, token: str | None) -> None:
    async with serving(chats=office.chats) as server:
        assert (await post(server, {}, token=token))[0] == 401
    assert office.chats.count == 0


async def test_a_flood_of_messages_is_held_back(office: Office) -> None:
    async with serving(chats=office.chats) as server:
        session = (await begin(server))["session"]
        statuses = [(await post(server, {"session": session, "button": "*"}))[0] for _ in range(32)]
    assert statuses.count(200) == 30
    assert statuses[-1] == 429


async def test_a_full_server_says_so(tmp_path: Path) -> None:
    office = Office(tmp_path, most=1)
    async with serving(chats=office.chats) as server:
        await begin(server)
        assert (await post(server, {}, token=API_TOKEN))[0] == 503
    await office.backends.close()


async def test_conversations_end_with_the_server(office: Office) -> None:
    async with serving(chats=office.chats) as server:
        await begin(server)
        await office.chats.close()
    assert list(office.journal.ended.values()) == [Outcome.SHUTTING_DOWN]
    assert office.held == 0


async def test_a_database_that_is_away_keeps_no_conversation_open(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("c1", "c2", "c3"):
        await office.chats.start(name, Customer(WrittenChannel.CHAT, PHONE))

    async def away(*_: object) -> None:
        raise OperationalError("INSERT", {}, Exception("no connection"))

    monkeypatch.setattr(office.continuations, "keep_chat", away)
    monkeypatch.setattr(office.continuations, "keep", away)
    office.now_s = 3600.0
    await office.chats.sweep()
    assert (office.chats.count, office.held) == (0, 0)
    assert set(office.journal.ended) == {"c1", "c2", "c3"}
