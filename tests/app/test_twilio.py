"""What the settings make of Twilio: nothing, its API, calls out, and what cannot work and says so."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.fakes.leg import FakeLeg
from tests.fakes.twilio import AGENT, account_served
from tests.fakes.web_server import AUTH_TOKEN
from voicebot.app.sip import CallsOut
from voicebot.app.twilio import TwilioServing, say_what_is_unusable, serving_twilio
from voicebot.errors import ConfigurationError
from voicebot.routing.destinations import Conference, Dial, Refer, TaskQueue
from voicebot.routing.queues import Queue, Routing
from voicebot.setting_tables import TwilioSettings
from voicebot.settings import Settings, load_settings
from voicebot.simulation.twilio_exchange import Phone
from voicebot.telephony.dialing import DialFailed
from voicebot.web.tickets import Tickets

ACCOUNT = {"TWILIO_ACCOUNT_SID": "AC" + "5" * 32, "TWILIO_AUTH_TOKEN": AUTH_TOKEN}
WHOLE = {"public_url": "https://bot.example.com", "twilio": TwilioSettings(caller="+15550100100")}


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_API_KEY", "TWILIO_API_SECRET"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[TwilioServing]:
    tickets = Tickets(b"s" * 32, clock=time.time, new_id=lambda: "id")
    calls_out = CallsOut.of(settings.sip, time.monotonic)
    async with serving_twilio(settings, tickets, calls_out, lambda _why: None, lambda: "id") as twilio:
        yield twilio


async def test_without_an_account_there_are_only_callers_who_come_in() -> None:
    async with opened(load_settings()) as twilio:
        assert (twilio.dialer, twilio.number_dialer, twilio.rest) == (None, None, None)


async def test_an_account_without_a_number_to_call_from_can_send_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    async with opened(load_settings()) as twilio:
        assert twilio.rest is not None
        assert twilio.dialer is None


@pytest.mark.parametrize(
    ("environment", "settings", "what"),
    [
        ({}, WHOLE, "nothing to use Twilio's API with"),
        (ACCOUNT, {"twilio": WHOLE["twilio"]}, "but not `public_url`"),
        (ACCOUNT | {"TWILIO_API_KEY": "SK1"}, WHOLE, "belong together"),
        (
            {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_API_KEY": "SK1", "TWILIO_API_SECRET": "s"},
            WHOLE,
            "but not TWILIO_AUTH_TOKEN",
        ),
    ],
    ids=["no account", "no address", "half a key", "nothing to check with"],
)
async def test_what_cannot_work_is_said_at_the_start(
    environment: dict[str, str], settings: dict[str, Any], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=what):
        async with opened(load_settings(**settings)):
            pass


@pytest.mark.parametrize(
    ("numbers", "proxy", "by_twilio"),
    [(None, None, True), (None, "sip:trunk.example", False), (True, "sip:trunk.example", True), (False, None, False)],
)
async def test_numbers_are_called_by_the_trunk_where_there_is_one_unless_told(
    numbers: bool | None, proxy: str | None, by_twilio: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(
        public_url="https://bot.example.com",
        twilio=TwilioSettings(caller="+15550100100", numbers=numbers),
        sip={"outbound_proxy": proxy},
    )
    async with opened(settings) as twilio:
        assert (twilio.number_dialer is not None) == by_twilio
        (way,) = twilio.ways(lambda _leg: None, "?")  # type: ignore[arg-type,return-value]  # nobody is called
        assert not way.takes(FakeLeg(), Dial(AGENT)), "a call that this server does not have"


async def test_calls_are_placed_with_the_settings_account_number_and_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    async with account_served({AGENT: Phone("busy")}) as account:
        for name, value in ACCOUNT.items():
            monkeypatch.setenv(name, value)
        settings = load_settings(
            public_url="https://bot.example.com",
            twilio=TwilioSettings(
                caller="+15550100100", api_url=account.url, callback_url="http://127.0.0.1:9", edge="dublin"
            ),
            sip={"dial_prefixes": ["+1555"], "max_dials_per_hour": 1},
        )
        async with opened(settings) as twilio:
            assert twilio.dialer is not None
            with pytest.raises(DialFailed, match=r"no_answer|unreachable"):
                await twilio.dialer.dial(AGENT, timeout_s=0.1)
            (asked,) = account.asked("CreateCall")
            assert asked.form["From"] == "+15550100100"
            assert asked.form["StatusCallback"] == "http://127.0.0.1:9/twilio/call?id=id"
            assert 'url="ws://127.0.0.1:9/twilio/media"' in asked.form["Twiml"]
            with pytest.raises(DialFailed, match="not_allowed"):
                await twilio.dialer.dial(AGENT, timeout_s=0.1)


async def test_a_destination_that_nobody_can_be_sent_to_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    far, tasks = Conference(AGENT, "+4912345"), TaskQueue("WS" + "1" * 32, "WW" + "2" * 32)
    async with opened(load_settings()) as twilio:
        assert twilio.why_unusable(Refer("sip:a@b")) is None
        assert twilio.why_unusable(tasks) == "twilio.caller is not set"
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)
    sip = {"dial_prefixes": ["+1555"], "dial_hosts": ["pbx.example"]}
    async with opened(load_settings(**WHOLE, sip=sip)) as twilio:
        for usable in (tasks, Dial(AGENT), Dial("sip:desk@PBX.example:5070"), Conference(AGENT)):
            assert twilio.why_unusable(usable) is None
        for destination in (far, Dial("+4912345"), Dial("sip:desk@elsewhere.example")):
            assert "do not allow it" in (twilio.why_unusable(destination) or "")
        queue = Queue("service", "service", elsewhere=(far,))
        with capture_logs() as logs:
            say_what_is_unusable(twilio, Routing({"service": queue}, {}, "service"))
        assert [(entry["queue"], entry["kind"]) for entry in logs] == [("service", "Conference")]


def test_secrets_of_twilio_are_not_taken_from_a_file(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "voicebot.toml").write_text('twilio_api_secret = "s"\n')
    with pytest.raises(ConfigurationError, match="is a secret"):
        load_settings()
