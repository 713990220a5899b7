"""Who may start how many calls over SIP."""

from __future__ import annotations

import asyncio

from tests.fakes.sip_server import SipBot, phone, sip_bot
from tests.telephony.sip.messages import SDP
from tests.telephony.sip.test_calls_in import establish
from voicebot.app.sip import PacedAdmission
from voicebot.web.limits import RateLimit


async def test_one_caller_can_start_only_so_many_calls_a_minute_and_is_told_busy() -> None:
    now_s = 0.0
    starts = RateLimit(max_events=2, window_s=60, clock=lambda: now_s)

    def paced(bot: SipBot) -> PacedAdmission:
        return PacedAdmission(bot, starts, bot.refused.append)

    async with sip_bot(admit=paced) as bot, phone(bot.port) as caller:
        for number in (1, 2):
            await establish(caller, call_id=f"call-{number}")
        caller.send(caller.raw(body=SDP, call_id="call-3", branch="z9hG4bKcall-3"))
        await caller.response(486)
        caller.send(caller.raw("OPTIONS", branch="z9hG4bKopt", call_id="options"))
        await caller.response(200)
        assert bot.refused == ["too_many_calls_of_caller"]
        now_s = 61.0
        await establish(caller, call_id="call-4")
        await asyncio.sleep(0.05)
        assert len(bot.calls) == 3


def test_callers_without_a_number_share_no_limit_and_places_are_given_up() -> None:
    house = _House()
    admission = PacedAdmission(house, RateLimit(max_events=1, window_s=60, clock=lambda: 0.0), lambda _why: None)
    assert [admission.admit("", str(number)) for number in range(3)] == [None] * 3
    assert [admission.admit("+1", "a"), admission.admit("+1", "b")] == [None, "too_many_calls_of_caller"]
    admission.withdraw("a")
    assert house.places == ["0", "1", "2"]
    assert not admission.is_open()


class _House:
    def __init__(self) -> None:
        self.places: list[str] = []

    def admit(self, caller: str, call_id: str) -> str | None:
        del caller
        self.places.append(call_id)
        return None

    def withdraw(self, call_id: str) -> None:
        self.places.remove(call_id)

    def is_open(self) -> bool:
        return len(self.places) < 3
