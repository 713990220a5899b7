"""The demo company's data, the same on every machine and laid out around a given day."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import date, time, timedelta
from pathlib import Path

from voicebot.backends.demo.bank import hash_pin
from voicebot.backends.demo.branch import opening_on
from voicebot.backends.demo.schema import TABLES, VERSION

#: Data older than this are laid out anew around today; bookings that callers made are kept.
FRESH_FOR = timedelta(days=7)
#: Stands for a caller in the appointments that the calendar has from the start.
OWN_PHONE = "demo"
_CALENDAR_DAYS = 120
#: Of 100 appointments, how many are taken from the start. Those of the demo calls are always free or always taken.
_TAKEN_OF_100 = 30


@dataclass(frozen=True, slots=True)
class DemoCustomer:
    account_number: str
    pin: str
    name: str
    balance_cents: int
    pending_cents: int = 0
    closed: bool = False
    street: str = "Harbour Street"
    house_number: str = "1"
    zip_code: str = "10001"
    card_digits: str | None = None
    born: date = date(1970, 1, 1)
    tier: str = ""


@dataclass(frozen=True, slots=True)
class DemoOrder:
    """Days are relative to the day the data are made for: `promised` and `expected`, or `delivered`."""

    number: str
    account_number: str
    item: str
    status: str
    promised: int
    expected: int
    delivered: int | None = None
    reason: str | None = None
    remedy: str = "none"
    credit_cents: int = 0


@dataclass(frozen=True, slots=True)
class DemoBill:
    """Due so many days after the day the data are made for."""

    account_number: str
    payee: str
    amount_cents: int
    due: int


CUSTOMERS = (
    DemoCustomer(
        "400121", "4071", "Maria Keller", 1_284_50, house_number="18", card_digits="3302", born=date(1981, 3, 15)
    ),
    DemoCustomer(
        "402938",
        "1593",
        "James Okafor",
        312_07,
        pending_cents=45_00,
        zip_code="11215",
        card_digits="7719",
        born=date(1992, 11, 2),
        tier="gold",
    ),
    DemoCustomer(
        "415620",
        "8264",
        "Aiko Tanaka",
        20_451_99,
        house_number="240",
        zip_code="07302",
        card_digits="5048",
        born=date(1967, 7, 30),
    ),
    DemoCustomer(
        "427713",
        "3350",
        "Samuel Ortiz",
        -58_20,
        street="Mill Lane",
        house_number="7",
        card_digits="9166",
        born=date(1988, 1, 9),
    ),
    DemoCustomer(
        "433086", "9127", "Grace Lindqvist", 7_00, street="Orchard Road", house_number="52", born=date(1954, 5, 21)
    ),
    DemoCustomer(
        "448205",
        "6018",
        "Omar Haddad",
        1_905_33,
        pending_cents=250_00,
        zip_code="11101",
        card_digits="2475",
        born=date(1979, 9, 12),
    ),
    DemoCustomer("450974", "2746", "Ellen Brandt", 0, closed=True, born=date(1990, 12, 24)),
    DemoCustomer(
        "461358",
        "5482",
        "Peter Novak",
        88_64,
        street="Station Road",
        house_number="33",
        card_digits="6083",
        born=date(1961, 2, 8),
    ),
)

ORDERS = (
    DemoOrder("48213", "400121", "a desk lamp", "shipped", -3, 2, reason="because the carrier had a breakdown"),
    DemoOrder("48377", "400121", "a wool blanket", "processing", 4, 4),
    DemoOrder("51904", "402938", "a coffee grinder", "shipped", 1, 1),
    DemoOrder("52660", "402938", "two bookends", "delivered", -6, -5, delivered=-5),
    DemoOrder(
        "53018",
        "415620",
        "a garden chair",
        "processing",
        -1,
        6,
        reason="because it's out of stock",
        remedy="credit",
        credit_cents=15_00,
    ),
    DemoOrder("60482", "427713", "a bicycle pump", "cancelled", 3, 3),
    DemoOrder("61735", "433086", "a tea kettle", "delivered", -1, -1, delivered=-1),
    DemoOrder(
        "70291", "448205", "a rain jacket", "shipped", -10, 4, reason="because it was held at customs", remedy="express"
    ),
)

BILLS = (
    DemoBill("400121", "City Power and Light", 84_20, 4),
    DemoBill("402938", "Northside Water", 415_60, 2),
    DemoBill("415620", "Meridian Insurance", 1_240_00, 9),
    DemoBill("448205", "City Power and Light", 132_75, 1),
)

#: Where letters and cards can be sent.
PLACES = (
    ("07302", "Jersey City"),
    ("10001", "New York"),
    ("10027", "New York"),
    ("10301", "Staten Island"),
    ("10451", "the Bronx"),
    ("11101", "Long Island City"),
    ("11215", "Brooklyn"),
    ("11354", "Flushing"),
)

#: Weekday (0 is Monday), opening and closing.
OPENING_HOURS = (
    *((weekday, time(9), time(17)) for weekday in range(5)),
    (5, time(10), time(14)),
)

#: Month and day of each holiday, on which the branches are closed.
HOLIDAYS = ((1, 1, "New Year's Day"), (7, 4, "Independence Day"), (12, 25, "Christmas"))


def make_demo_data(path: Path, today: date) -> None:
    """Write the file anew, laid out around `today`; only bookings made by callers and done writes are kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # readers never wait for a writer
        connection.execute("BEGIN IMMEDIATE")  # readers see the old data or the new, nothing between
        # Dropped rather than emptied: the tables may be an older version's.
        for table in ("made", "shop_order", "card", "bill", "customer", "place", "opening", "holiday"):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in TABLES:
            connection.execute(statement)
        connection.execute("DELETE FROM appointment WHERE phone = ?", (OWN_PHONE,))
        connection.execute(f"PRAGMA user_version = {VERSION}")
        _fill(connection, today)
        connection.execute("COMMIT")


def ensure_demo_data(path: Path, today: date) -> bool:
    """Make the data where they are missing or stale; returns whether they were made."""
    if path.exists():
        with closing(sqlite3.connect(path)) as connection:
            try:
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                row = connection.execute("SELECT on_day FROM made").fetchone() if version == VERSION else None
            except sqlite3.OperationalError:  # another program's file, or one that was never finished
                row = None
            if row and timedelta(0) <= today - date.fromisoformat(row[0]) < FRESH_FOR:
                return False
    make_demo_data(path, today)
    return True


def _fill(connection: sqlite3.Connection, today: date) -> None:
    connection.execute("INSERT INTO made VALUES (?)", (today.isoformat(),))
    for customer in CUSTOMERS:
        salt = hashlib.sha256(f"demo {customer.account_number}".encode()).digest()[:16]
        connection.execute(
            "INSERT INTO customer (account_number, name, pin_salt, pin_hash, balance_cents, pending_cents, closed,"
            " street, house_number, zip, born, tier) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                customer.account_number,
                customer.name,
                salt,
                hash_pin(customer.pin, salt),
                customer.balance_cents,
                customer.pending_cents,
                customer.closed,
                customer.street,
                customer.house_number,
                customer.zip_code,
                customer.born.isoformat(),
                customer.tier,
            ),
        )
        if customer.card_digits:
            connection.execute(
                "INSERT INTO card (account_number, last_digits) VALUES (?, ?)",
                (customer.account_number, customer.card_digits),
            )
    for order in ORDERS:
        connection.execute(
            "INSERT INTO shop_order VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                order.number,
                order.account_number,
                order.item,
                order.status,
                _days_on(today, order.promised),
                _days_on(today, order.expected),
                _days_on(today, order.delivered),
                order.reason,
                order.remedy,
                order.credit_cents,
            ),
        )
    for bill in BILLS:
        connection.execute(
            "INSERT INTO bill (account_number, payee, amount_cents, due) VALUES (?, ?, ?, ?)",
            (bill.account_number, bill.payee, bill.amount_cents, _days_on(today, bill.due)),
        )
    connection.executemany("INSERT INTO place VALUES (?, ?)", PLACES)
    for weekday, opens, closes in OPENING_HOURS:
        connection.execute("INSERT INTO opening VALUES (?, ?, ?)", (weekday, opens.isoformat(), closes.isoformat()))
    for year in (today.year, today.year + 1):
        for month, day, name in HOLIDAYS:
            connection.execute("INSERT INTO holiday VALUES (?, ?)", (date(year, month, day).isoformat(), name))
    _fill_calendar(connection, today)


def _days_on(today: date, days: int | None) -> str | None:
    return None if days is None else (today + timedelta(days=days)).isoformat()


def _fill_calendar(connection: sqlite3.Connection, today: date) -> None:
    for ahead in range(_CALENDAR_DAYS):
        opening = opening_on(connection, today + timedelta(days=ahead))
        for begin in opening.times() if opening else ():
            if opening and is_taken(opening.day, begin):
                connection.execute(
                    "INSERT OR IGNORE INTO appointment (day, time, phone) VALUES (?, ?, ?)",
                    (opening.day.isoformat(), begin.isoformat(), OWN_PHONE),
                )


def is_taken(day: date, begin: time) -> bool:
    """Whether the demo calendar holds an appointment there from the start: chosen by a hash, so alike everywhere.

    Three o'clock is always taken on a Wednesday, and four o'clock always free, so that a demo call can count on it.
    """
    if begin == time(16):
        return False
    if begin == time(15):
        return day.weekday() == 2
    digest = hashlib.sha256(f"{day.isoformat()} {begin.isoformat()}".encode()).digest()
    return digest[0] % 100 < _TAKEN_OF_100
