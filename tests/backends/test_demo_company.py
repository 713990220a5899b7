from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.dialog.strategies import FLOWS, shipped_bot
from voicebot.backends.backends import BackendResult, Backends
from voicebot.backends.demo.bank import TRIES_MOST
from voicebot.backends.demo.company import demo_company
from voicebot.backends.demo.data import CUSTOMERS, ORDERS, ensure_demo_data, make_demo_data
from voicebot.backends.knowledge import KnowledgeSystem
from voicebot.dialog.events import SlotValue
from voicebot.errors import BackendUnavailable

ZONE = ZoneInfo("America/New_York")
MONDAY = date(2026, 3, 2)
WEDNESDAY = date(2026, 3, 11)


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 10, 0, tzinfo=ZONE)

    def __call__(self) -> datetime:
        return self.now


class Company:
    """The demo company with a clock to set."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        systems = (demo_company(path, self.clock), KnowledgeSystem(FLOWS / "knowledge"))
        self.backends = Backends(systems, shipped_bot().operations, timeout_s=10)
        self._keys = 0

    async def call(self, operation: str, *, key: str | None = None, **arguments: SlotValue) -> BackendResult:
        if shipped_bot().operations[operation].write and key is None:
            self._keys += 1
            key = f"test/{self._keys}"
        return await self.backends.call(operation, arguments, idempotency_key=key)


@pytest.fixture
async def company(tmp_path: Path) -> AsyncIterator[Company]:
    make_demo_data(tmp_path / "demo.sqlite", MONDAY)
    company = Company(tmp_path / "demo.sqlite")
    yield company
    await company.backends.close()


@pytest.mark.parametrize("customer", CUSTOMERS, ids=lambda customer: customer.account_number)
async def test_every_demo_customer_is_let_in_by_their_pin_only(company: Company, customer: object) -> None:
    known = next(one for one in CUSTOMERS if one is customer)
    right = await company.call("customers.authenticate", account_number=known.account_number, pin=known.pin)
    assert right == BackendResult("ok", {"customer_name": known.name, "tier": known.tier or None})
    wrong = await company.call("customers.authenticate", account_number=known.account_number, pin="0000")
    assert wrong.outcome == "mismatch"


async def test_an_unknown_account_looks_like_a_wrong_pin(company: Company) -> None:
    assert (await company.call("customers.authenticate", account_number="999999", pin="4071")).outcome == "mismatch"


@pytest.mark.parametrize("customer", CUSTOMERS, ids=lambda customer: customer.account_number)
async def test_who_has_no_pin_is_let_in_by_date_of_birth_and_zip_code(company: Company, customer: object) -> None:
    known = next(one for one in CUSTOMERS if one is customer)

    async def told(born: date, zip_code: str) -> BackendResult:
        return await company.call(
            "customers.identify", account_number=known.account_number, birth_date=born, zip_code=zip_code
        )

    assert await told(known.born, known.zip_code) == BackendResult(
        "ok", {"customer_name": known.name, "tier": known.tier or None}
    )
    assert (await told(known.born, "99999")).outcome == "mismatch"
    assert (await told(date(1999, 1, 1), known.zip_code)).outcome == "mismatch"


async def test_too_many_wrong_pins_lock_the_account_for_a_while(company: Company) -> None:
    for _ in range(TRIES_MOST):
        assert (await company.call("customers.authenticate", account_number="400121", pin="1")).outcome == "mismatch"
    assert (await company.call("customers.authenticate", account_number="400121", pin="4071")).outcome == "locked"
    assert (await company.call("customers.authenticate", account_number="402938", pin="1593")).outcome == "ok"
    company.clock.now += timedelta(minutes=16)
    assert (await company.call("customers.authenticate", account_number="400121", pin="4071")).outcome == "ok"


async def test_the_right_pin_forgives_the_wrong_ones_before(company: Company) -> None:
    for _ in range(2):
        for _ in range(TRIES_MOST - 1):
            await company.call("customers.authenticate", account_number="400121", pin="1")
        assert (await company.call("customers.authenticate", account_number="400121", pin="4071")).outcome == "ok"


def test_no_pin_lies_readable_in_the_file(tmp_path: Path) -> None:
    make_demo_data(tmp_path / "demo.sqlite", MONDAY)
    with closing(sqlite3.connect(tmp_path / "demo.sqlite")) as connection:
        rows = connection.execute("SELECT * FROM customer").fetchall()
    assert len(rows) == len(CUSTOMERS)
    assert not any(customer.pin in repr(rows) for customer in CUSTOMERS)


async def test_balances_are_exact(company: Company) -> None:
    answer = await company.call("accounts.balance", account_number="402938")
    assert answer.result == {"balance": Decimal("312.07"), "pending": Decimal("45.00")}
    assert (await company.call("accounts.balance", account_number="427713")).result["balance"] == Decimal("-58.20")
    assert (await company.call("accounts.balance", account_number="450974")).outcome == "closed"


async def test_the_late_order_is_as_late_as_its_days_say(company: Company) -> None:
    answer = await company.call("orders.status", order_number="48213")
    assert answer.result["late"] is True
    assert answer.result["delay_days"] == 5
    assert answer.result["promised"] == MONDAY - timedelta(days=3)
    assert answer.result["expected"] == MONDAY + timedelta(days=2)
    assert answer.result["reason"] == "because the carrier had a breakdown"


async def test_an_order_that_was_expected_yesterday_is_expected_today_and_later_than_before(company: Company) -> None:
    company.clock.now += timedelta(days=4)
    answer = await company.call("orders.status", order_number="48213")
    assert answer.result["expected"] == company.clock.now.date()
    assert answer.result["delay_days"] == 7


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.number)
async def test_every_demo_order_can_be_found(company: Company, order: object) -> None:
    known = next(one for one in ORDERS if one is order)
    answer = await company.call("orders.status", order_number=known.number)
    assert answer.result["status"] == known.status
    assert answer.result["item"] == known.item


async def test_an_unknown_order_is_not_found(company: Company) -> None:
    assert (await company.call("orders.status", order_number="00000")).outcome == "not_found"


async def test_a_free_appointment_is_booked_once_and_then_taken(company: Company) -> None:
    free: dict[str, Any] = {"day": WEDNESDAY, "time": time(16)}
    assert (await company.call("calendar.find", **free)).outcome == "ok"
    booked = await company.call("calendar.book", **free, phone="+12025550123")
    assert booked.outcome == "ok"
    assert str(booked.result["reference"]).isdecimal()
    assert (await company.call("calendar.find", **free)).outcome == "taken"
    assert (await company.call("calendar.book", **free, phone="+12025550199")).outcome == "taken"


async def test_two_callers_who_want_the_same_appointment_get_one(company: Company) -> None:
    wanted = [company.call("calendar.book", day=WEDNESDAY, time=time(16), phone=str(n)) for n in range(8)]
    outcomes = [answer.outcome for answer in await asyncio.gather(*wanted)]
    assert sorted(outcomes) == ["ok", *["taken"] * 7]


async def test_a_booking_repeated_with_its_key_is_one_booking(company: Company) -> None:
    first = await company.call("calendar.book", key="k", day=WEDNESDAY, time=time(16), phone="1")
    assert await company.call("calendar.book", key="k", day=WEDNESDAY, time=time(16), phone="1") == first
    with closing(sqlite3.connect(company.path)) as connection:
        assert connection.execute("SELECT count(*) FROM appointment WHERE phone = '1'").fetchone() == (1,)


async def test_a_taken_time_comes_with_the_nearest_free_ones(company: Company) -> None:
    answer = await company.call("calendar.find", day=WEDNESDAY, time=time(15))
    assert answer.outcome == "taken"
    first, second = answer.result["alternative_1"], answer.result["alternative_2"]
    assert isinstance(first, time)
    assert isinstance(second, time)
    assert first < second
    for alternative in (first, second):
        assert (await company.call("calendar.find", day=WEDNESDAY, time=alternative)).outcome == "ok"


async def test_a_time_off_the_half_hour_is_not_offered(company: Company) -> None:
    answer = await company.call("calendar.find", day=WEDNESDAY, time=time(16, 10))
    assert answer.outcome == "not_offered"
    assert answer.result["alternative_1"]


async def test_a_closed_day_names_the_next_open_one(company: Company) -> None:
    answer = await company.call("calendar.find", day=date(2026, 3, 8), time=time(11))
    assert answer == BackendResult("closed", {"next_day": date(2026, 3, 9)})


async def test_today_has_no_appointments_in_the_past(company: Company) -> None:
    company.clock.now = company.clock.now.replace(hour=16, minute=45)
    assert (await company.call("calendar.find", day=MONDAY, time=time(16))).outcome == "full"


async def test_a_lost_card_is_blocked_and_one_new_card_is_sent(company: Company) -> None:
    found = await company.call("cards.find", account_number="400121")
    assert found.result["last_digits"] == "3302"
    assert found.result["address"] == "18 Harbour Street, New York"
    ordered = await company.call("cards.replace", account_number="400121", reason="lost")
    assert ordered.result == {"arrives": MONDAY + timedelta(days=5), "blocked": True}
    assert (await company.call("cards.replace", account_number="400121", reason="lost")).outcome == "already_ordered"
    again = await company.call("cards.find", account_number="400121")
    assert (again.outcome, again.result["blocked"]) == ("already_ordered", True)
    assert (await company.call("cards.find", account_number="433086")).outcome == "no_card"


async def test_a_damaged_card_stays_in_use_until_the_new_one_comes(company: Company) -> None:
    assert (await company.call("cards.replace", account_number="400121", reason="damaged")).result["blocked"] is False


async def test_a_bill_is_paid_in_parts_from_the_balance_and_never_more_than_it_is(company: Company) -> None:
    bill = (await company.call("bills.due", account_number="400121")).result
    assert (bill["payee"], bill["due_amount"]) == ("City Power and Light", Decimal("84.20"))

    async def pay(amount: str) -> BackendResult:
        payee = "City Power and Light"
        return await company.call("bills.pay", account_number="400121", payee=payee, amount=Decimal(amount))

    assert (await pay("50")).result["balance"] == Decimal("1234.50")
    assert (await pay("50")).outcome == "not_due"
    assert (await pay("0.001")).outcome == "not_due"
    assert (await pay("34.20")).outcome == "ok"
    assert (await company.call("bills.due", account_number="400121")).outcome == "nothing_due"
    assert (await company.call("accounts.balance", account_number="400121")).result["balance"] == Decimal("1200.30")


async def test_a_payment_over_the_limit_or_the_balance_moves_no_money(company: Company) -> None:
    with pytest.raises(BackendUnavailable, match="a person's to decide"):
        await company.call("bills.pay", account_number="415620", payee="Meridian Insurance", amount=Decimal("500.01"))
    assert (await company.call("accounts.balance", account_number="415620")).result["balance"] == Decimal("20451.99")
    poor = await company.call("bills.pay", account_number="402938", payee="Northside Water", amount=Decimal("415.60"))
    assert poor.outcome == "not_enough_money"
    assert (await company.call("accounts.balance", account_number="402938")).result["balance"] == Decimal("312.07")
    assert (await company.call("bills.due", account_number="402938")).result["due_amount"] == Decimal("415.60")


async def test_the_same_payment_asked_for_ten_times_at_once_is_made_once(company: Company) -> None:
    payee = "City Power and Light"
    payments = [
        company.call("bills.pay", key="k", account_number="400121", payee=payee, amount=Decimal(20)) for _ in range(10)
    ]
    assert {answer.result["balance"] for answer in await asyncio.gather(*payments)} == {Decimal("1264.50")}
    assert (await company.call("accounts.balance", account_number="400121")).result["balance"] == Decimal("1264.50")


async def test_a_changed_address_is_where_the_next_card_goes(company: Company) -> None:
    assert (await company.call("places.find", zip_code="11215")).result == {"city": "Brooklyn"}
    assert (await company.call("places.find", zip_code="99999")).outcome == "unknown"
    moved: dict[str, Any] = {"street": "Ocean Avenue", "house_number": "42", "zip_code": "11215"}
    assert (await company.call("customers.change_address", account_number="400121", **moved)).outcome == "ok"
    assert (await company.call("cards.find", account_number="400121")).result["address"] == "42 Ocean Avenue, Brooklyn"


async def test_tickets_are_numbered(company: Company) -> None:
    first = await company.call("tickets.create", topic="app", phone="1")
    second = await company.call("tickets.create", topic="app", phone="1")
    assert first.result != second.result


async def test_express_is_offered_once_and_brings_the_order_tomorrow(company: Company) -> None:
    status = (await company.call("orders.status", order_number="70291")).result
    assert (status["remedy"], status["express_day"]) == ("express", MONDAY + timedelta(days=1))
    sent = await company.call("orders.expedite", order_number="70291")
    assert sent.result == {"expected": MONDAY + timedelta(days=1)}
    after = (await company.call("orders.status", order_number="70291")).result
    assert (after["expected"], after["remedy"]) == (MONDAY + timedelta(days=1), "done")
    assert (await company.call("orders.expedite", order_number="70291")).outcome == "not_possible"
    assert (await company.call("orders.expedite", order_number="48213")).outcome == "not_possible"


async def test_a_credit_goes_once_to_the_account_that_ordered(company: Company) -> None:
    status = (await company.call("orders.status", order_number="53018")).result
    assert (status["remedy"], status["credit"]) == ("credit", Decimal("15.00"))
    other = await company.call("orders.credit", order_number="53018", account_number="400121", amount=Decimal("15.00"))
    assert other.outcome == "not_yours"
    mine = await company.call("orders.credit", order_number="53018", account_number="415620", amount=Decimal("15.00"))
    assert mine.result == {"credit": Decimal("15.00")}
    again = await company.call("orders.credit", order_number="53018", account_number="415620", amount=Decimal("15.00"))
    assert again.outcome == "not_possible"
    assert (await company.call("accounts.balance", account_number="415620")).result["balance"] == Decimal("20466.99")


async def test_an_appointment_can_be_moved_and_cancelled_by_who_booked_it(company: Company) -> None:
    assert (await company.call("calendar.mine", phone="1")).outcome == "nothing_booked"
    booked = await company.call("calendar.book", day=WEDNESDAY, time=time(16), phone="1")
    reference = str(booked.result["reference"])
    mine = await company.call("calendar.mine", phone="1")
    assert mine.result == {"reference": reference, "day": WEDNESDAY, "time": time(16)}
    taken = await company.call("calendar.move", reference=reference, day=WEDNESDAY, time=time(15))
    assert taken.outcome == "taken"
    thursday = WEDNESDAY + timedelta(days=1)
    assert (await company.call("calendar.move", reference=reference, day=thursday, time=time(16))).outcome == "ok"
    assert (await company.call("calendar.mine", phone="1")).result["day"] == thursday
    assert (await company.call("calendar.find", day=WEDNESDAY, time=time(16))).outcome == "ok"
    assert (await company.call("calendar.cancel", reference=reference)).outcome == "ok"
    assert (await company.call("calendar.cancel", reference=reference)).outcome == "gone"
    assert (await company.call("calendar.mine", phone="1")).outcome == "nothing_booked"


async def test_a_caller_without_a_number_finds_nobodys_appointment(company: Company) -> None:
    await company.call("calendar.book", day=WEDNESDAY, time=time(16), phone="")
    assert (await company.call("calendar.mine", phone="")).outcome == "nothing_booked"


async def test_making_the_data_again_keeps_what_callers_booked(company: Company) -> None:
    await company.call("calendar.book", day=WEDNESDAY, time=time(16), phone="1")
    make_demo_data(company.path, MONDAY + timedelta(days=1))
    assert (await company.call("calendar.find", day=WEDNESDAY, time=time(16))).outcome == "taken"


def test_the_data_are_made_when_missing_or_stale_and_left_alone_when_fresh(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "demo.sqlite"
    assert ensure_demo_data(path, MONDAY)
    assert not ensure_demo_data(path, MONDAY + timedelta(days=3))
    assert ensure_demo_data(path, MONDAY + timedelta(days=30))
    assert not ensure_demo_data(path, MONDAY + timedelta(days=30))
