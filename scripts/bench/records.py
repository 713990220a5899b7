"""Measures how fast calls are found and read among many, on SQLite and on PostgreSQL.

The calls are made up, the same for the same seed: words of a vocabulary in which few are common and most are rare, as
in speech. They are written in bulk below the search index, which is then built by the migration that an upgrade runs.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from _report import Report, parser, percentile
from sqlalchemy import insert

from voicebot.records.database import Database, locate
from voicebot.records.record import Outcome, Speaker
from voicebot.records.search import CallSearch, Cursor
from voicebot.records.store import Store
from voicebot.records.tables import CALLS, RECORDINGS, TURNS

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
INTENTS = ("balance", "order_status", "appointment", "opening_hours", "card_blocked", "complaint", "refund", "address")
OUTCOMES = (Outcome.COMPLETED, Outcome.PERSON, Outcome.CALLER_HUNG_UP, Outcome.FAILED)
LONG_CALL = "long"
LONG_CALL_TURNS = 400
PAGE = 50
BATCH = 2000
#: Before the search index; what the index needs comes with the next revision.
BEFORE_SEARCH = "0002"


def vocabulary(chance: random.Random) -> tuple[list[str], list[float]]:
    """Return 8,000 words and their weights by Zipf's law; the first are real ones that searches ask for."""
    known = "the my please balance order card money refund appointment tomorrow".split()
    letters = "bcdfghklmnprstvw"
    made = {"".join(chance.choice(letters) + chance.choice("aeiou") for _ in range(3)) for _ in range(12_000)}
    words = known + sorted(made - set(known))[:7_990]
    return words, [1 / (rank + 5) for rank in range(len(words))]


def made_up(count: int) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield calls with their turns, a call every five minutes; the last has as many turns as one of half an hour."""
    chance = random.Random(6)  # noqa: S311  # the same calls every time
    words, weights = vocabulary(chance)
    said = chance.choices(words, weights, k=400_000)
    for number in range(count):
        intent = chance.choices(INTENTS, (30, 25, 20, 12, 6, 4, 2, 1))[0]
        duration_s = 1800 if number == count - 1 else min(1700, chance.expovariate(1 / 150))
        started = FIRST + timedelta(minutes=5 * number)
        call = {
            "id": LONG_CALL if number == count - 1 else f"call-{number}",
            "instance": "main",
            "channel": "twilio",
            "direction": "inbound",
            "caller": f"+1555{chance.randrange(20_000):07d}",
            "called": "+15550199",
            "carrier_call_id": f"CA{number}",
            "started_at": started,
            "ended_at": started + timedelta(seconds=duration_s),
            "outcome": chance.choices(OUTCOMES, (70, 18, 10, 2))[0].value,
            "cause": "we_hung_up",
            "goal": intent,
            "goal_reached": chance.random() < 0.7,
            "flow_version": f"v{number // 5000}",
        }
        turns = LONG_CALL_TURNS if call["id"] == LONG_CALL else chance.randint(4, 12)
        yield call, [turn(call["id"], index, intent, said, chance) for index in range(turns)]


def turn(call_id: str, number: int, intent: str, said: Sequence[str], chance: random.Random) -> dict[str, Any]:
    """Make up a turn; the bot and the caller take turns."""
    bot = number % 2 == 0
    start = chance.randrange(len(said) - 20)
    spoken = said[start : start + chance.randint(2, 12)]
    words = [] if bot else [{"text": word, "start_ms": 0, "end_ms": 300, "confidence": 0.8} for word in spoken]
    return {
        "call_id": call_id,
        "number": number,
        "speaker": Speaker.BOT if bot else Speaker.CALLER,
        "text": " ".join(spoken),
        "at_ms": number * 4000,
        "heard_ms": 3000,
        "heard_text": None,
        "prompt": "greeting" if bot else None,
        "engine": None if bot else "pocketsphinx",
        "secret": False,
        "over_prompt": False,
        "intent": None if bot else intent,
        "confidence": None if bot else 0.9,
        "slots": {} if bot else {"order": str(number)},
        "decision": None if bot else f"{intent}.start: asked for",
        "alternatives": [] if bot else [" ".join(spoken[1:])],
        "words": words,
        "timings_ms": {} if bot else {"end_of_turn": 310.5, "final": 350.0, "first_audio_sent": 402.0},
    }


async def fill(database: Database, count: int) -> tuple[float, float]:
    """Write the calls below the index, build it, and return how many seconds each took."""
    began = time.perf_counter()
    await database.migrate_down(BEFORE_SEARCH)
    calls: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []

    async def write() -> None:
        async with database.begin() as connection:
            await connection.execute(insert(CALLS), calls)
            await connection.execute(insert(TURNS), turns)
            recordings = [{"call_id": call["id"], "path": f"{call['id']}.wav", "rate_hz": 8000} for call in calls]
            await connection.execute(insert(RECORDINGS), recordings)
        calls.clear()
        turns.clear()

    for call, its_turns in made_up(count):
        calls.append(call)
        turns += its_turns
        if len(calls) == BATCH:
            await write()
    if calls:
        await write()
    written = time.perf_counter()
    await database.migrate()
    await database.purge()
    async with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        await connection.exec_driver_sql("ANALYZE")
    return written - began, time.perf_counter() - written


def searches(count: int, chance: random.Random) -> dict[str, Callable[[], tuple[CallSearch, Cursor | None]]]:
    """Return what is asked, by name; each call of one makes up another search of its kind."""
    words, weights = vocabulary(random.Random(6))  # noqa: S311  # the words of the calls
    rare = words[500:]
    middle = FIRST + timedelta(minutes=5 * count // 2)

    def ask(**wanted: Any) -> tuple[CallSearch, Cursor | None]:
        return CallSearch(**wanted), None

    def any_word() -> str:
        return chance.choices(words, weights)[0]

    return {
        "the latest calls": ask,
        "a page far back": lambda: (CallSearch(), Cursor(FIRST + timedelta(minutes=chance.randrange(5 * count)), "x")),
        "a word, as often as it is said": lambda: ask(words=any_word()),
        "the commonest word": lambda: ask(words="the"),
        "a rare word": lambda: ask(words=chance.choice(rare)),
        "two words": lambda: ask(words=f"{any_word()} {any_word()}"),
        "a phrase": lambda: ask(words='"my balance"'),
        "the beginning of a word": lambda: ask(words=f"{chance.choice(rare)[:4]}*"),
        "a word of the caller's": lambda: ask(words=any_word(), said_by=Speaker.CALLER),
        "a word never said": lambda: ask(words="xylophone"),
        "a common intent": lambda: ask(intent="balance"),
        "a rare intent": lambda: ask(intent="address"),
        "a caller": lambda: ask(caller=f"+1555{chance.randrange(20_000):07d}"),
        "an outcome": lambda: ask(outcome=Outcome.FAILED),
        "a flow version": lambda: ask(flow_version=f"v{chance.randrange(1 + count // 5000)}"),
        "a day": lambda: ask(since=middle, until=middle + timedelta(days=1)),
        "the longest calls": lambda: ask(min_duration_s=1200),
        "longer than there is": lambda: ask(min_duration_s=5000),
        "word, intent, outcome and month": lambda: ask(
            words=any_word(),
            intent="order_status",
            outcome=Outcome.PERSON,
            since=middle,
            until=middle + timedelta(days=30),
        ),
        "word and rare outcome": lambda: ask(words="the", outcome=Outcome.FAILED, intent="address"),
    }


async def timed_ms(work: Callable[[], Awaitable[object]]) -> float:
    """Return how many milliseconds it took."""
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1000


async def measure(store: Store, name: str, count: int, repeats: int, report: Report) -> None:
    """Ask every kind of search `repeats` times, and read calls."""
    chance = random.Random(7)  # noqa: S311  # the same questions every time
    everything: list[float] = []
    for kind, make in searches(count, chance).items():
        times = []
        for _ in range(repeats):
            wanted, after = make()
            times.append(await timed_ms(lambda: store.search(wanted, PAGE, after)))  # noqa: B023  # awaited at once
        everything += times
        report.figure(name, f"{kind}, p95", percentile(times, 0.95), "ms", n=repeats)
    report.figure(
        name, "all searches, p95", percentile(everything, 0.95), "ms", n=len(everything), yardstick="under 200"
    )
    report.figure(name, "the slowest search", max(everything), "ms", n=len(everything))
    usual = [await timed_ms(lambda: store.get(f"call-{chance.randrange(count - 1)}")) for _ in range(5 * repeats)]
    long = [await timed_ms(lambda: store.get(LONG_CALL)) for _ in range(5 * repeats)]
    report.figure(name, "read a call, p95", percentile(usual, 0.95), "ms", n=len(usual), yardstick="under 300")
    turns = f"read a call of {LONG_CALL_TURNS} turns, p95"
    report.figure(name, turns, percentile(long, 0.95), "ms", n=len(long), yardstick="under 300")


async def main() -> None:
    options = parser(__doc__.partition("\n")[0])
    options.add_argument("--calls", type=int, default=100_000)
    options.add_argument("--repeats", type=int, default=30, help="of each kind of search")
    options.add_argument("--postgresql", metavar="URL", help="an empty database, or one that an earlier run has filled")
    options.add_argument("--keep", type=Path, metavar="DIR", help="keep the SQLite file there, or use one made before")
    options.add_argument("--only-fill", action="store_true", help="make the databases and measure nothing")
    given = options.parse_args()
    report = Report("records")
    with tempfile.TemporaryDirectory() as made:
        folder = given.keep or Path(made)
        urls = {"SQLite": None, **({"PostgreSQL": given.postgresql} if given.postgresql else {})}
        for name, url in urls.items():
            where = locate(folder, url)
            async with Store.open(folder, url=url, instance="bench", on_failure=print) as store:
                there = await store.get(LONG_CALL) is not None
            if not there:
                async with Database.served(where, instance="bench") as database:
                    wrote_s, indexed_s = await fill(database, given.calls)
                report.figure(name, f"write {given.calls} calls in bulk", wrote_s, "s")
                report.figure(name, "build the index by migration", indexed_s, "s")
            if not given.only_fill:
                async with Store.open(folder, url=url, instance="bench", on_failure=print) as store:
                    await measure(store, name, given.calls, given.repeats, report)
    if not given.postgresql:
        report.missing("PostgreSQL", "no --postgresql URL was given")
    report.finish(given.json)


if __name__ == "__main__":
    asyncio.run(main())
