"""Many calls at once from one event loop, and what each of them measured on the wire.

The callers are as simple as can be, so that the server is measured and not they: they wait until the bot has paused,
say the next thing, every third time over the bot's reply, and never listen to words.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from voicebot.simulation.carrier import CallRefused, Network, Numbers
from voicebot.simulation.line import CarrierLine, LineReport, Utterance
from voicebot.simulation.playout import LATE_S, Arrival
from voicebot.telephony.leg import FRAME_MS

#: Silence after the bot's voice that callers take for its end; between its sentences there are 0.75 s.
PAUSE_S = 1.0
#: How far into a reply those who interrupt do so.
INTERRUPT_AFTER_S = 1.2
REPLY_TIMEOUT_S = 8.0
_LOOK_EVERY_S = 0.04
_RAMP_S = 3.0
#: After the last call was answered the load is taken to be steady.
_SETTLE_S = 2.0


class Said(StrEnum):
    """What a turn waits for decides how long the server may take."""

    REQUEST = "request"
    DIGITS = "digits"
    KEYS = "keys"


@dataclass(frozen=True, slots=True)
class Line:
    """Something a caller says (`mulaw`) or presses (`keys`)."""

    said: Said
    mulaw: bytes = b""
    keys: str = ""


#: Lines that are said one after the other, since each answers what the bot asks after the one before.
Topic = Sequence[Line]


@dataclass(frozen=True, slots=True)
class Turn:
    """`reply_s` is the time from the last sample of speech on the wire to the first of the reply; None: no reply."""

    said: Said
    asked_s: float
    reply_s: float | None
    interrupting: bool


@dataclass(slots=True)
class Call:
    """One call's measurements; times on the generator's monotonic clock."""

    turns: list[Turn] = field(default_factory=list)
    #: From the first sample spoken over the bot to the `clear` that stops it; None: it was not stopped in time.
    stops: list[tuple[float, float | None]] = field(default_factory=list)
    report: LineReport | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """The time during which all calls were up and speaking."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s

    def __contains__(self, at_s: float) -> bool:
        return self.start_s <= at_s <= self.end_s


@dataclass(frozen=True, slots=True)
class Load:
    """What all calls together measured within the window."""

    calls: tuple[Call, ...]
    window: Window

    @property
    def reports(self) -> list[LineReport]:
        return [call.report for call in self.calls if call.report is not None]

    @property
    def arrivals(self) -> list[Arrival]:
        return [a for report in self.reports for a in report.arrivals if a.at_s in self.window]

    def turns(self, said: Said) -> list[Turn]:
        return [t for call in self.calls for t in call.turns if t.said is said and t.asked_s in self.window]

    def replies_ms(self, said: Said) -> list[float]:
        return [turn.reply_s * 1000 for turn in self.turns(said) if turn.reply_s is not None]

    def stops_ms(self) -> list[float | None]:
        stops = [stop for call in self.calls for stop in call.stops if stop[0] in self.window]
        return [None if took_s is None else took_s * 1000 for _, took_s in stops]

    def set_up_ms(self) -> list[float]:
        return [(r.arrivals[0].at_s - r.dialled_s) * 1000 for r in self.reports if r.arrivals]

    def late(self) -> tuple[int, int]:
        """Return how many messages came over 10 ms behind their pace, and of how many."""
        arrivals = self.arrivals
        return sum(a.over_pace_s > LATE_S for a in arrivals), len(arrivals)

    def dry(self) -> tuple[int, int]:
        """Return how many messages came after the line had run dry for over 10 ms in mid-utterance, and of how many."""
        arrivals = self.arrivals
        return sum(a.late_s > LATE_S for a in arrivals), len(arrivals)

    def late_ms(self) -> list[float]:
        return [a.over_pace_s * 1000 for a in self.arrivals]

    def trips_ms(self) -> list[float]:
        """Return how long each frame took there and back, where the server sends every frame back in order."""
        return [
            (arrival.at_s - report.answered_s - place * FRAME_MS / 1000) * 1000
            for report in self.reports
            for place, arrival in enumerate(report.arrivals)
            if arrival.at_s in self.window
        ]

    def sent(self) -> tuple[int, int]:
        """Return how many of our own frames we sent late, and all."""
        reports = self.reports
        return sum(r.frames_sent_late for r in reports), sum(r.frames_sent for r in reports)


async def place_calls(
    network: Network,
    count: int,
    topics: Sequence[Topic],
    *,
    seconds: float,
    on_window: Callable[[], None],
    ramp_s: float | None = None,
    pace_s: float = 0.0,
    seed: int = 0,
) -> Load:
    """Place `count` calls, have all of them up for `seconds`, and hang up.

    They begin within `ramp_s`, by default within as short a time as any server of ours takes them.

    Each caller goes through `topics` in an order of its own, and only listens where there are none. Who does not
    interrupt begins `pace_s` after beginning before, or when the bot has paused, if that is later: a server that
    answers sooner is not asked more for it. `on_window` is called when the window begins and when it ends.
    """
    chance = random.Random(seed)  # noqa: S311  # when calls begin is no secret
    over = asyncio.Event()
    up = asyncio.Semaphore(0)
    ramp_s = min(_RAMP_S, count * 0.2) if ramp_s is None else ramp_s
    calls = tuple(Call() for _ in range(count))
    async with asyncio.TaskGroup() as tasks:
        for place, call in enumerate(calls):
            mine = list(topics)
            chance.shuffle(mine)
            wait_s = place * ramp_s / count + chance.random() * 0.02
            numbers = Numbers(caller=f"+1555{place:07d}")
            says = [line for topic in mine for line in topic]
            tasks.create_task(_one(network, call, numbers, says, wait_s=wait_s, pace_s=pace_s, up=up, over=over))
        for _ in calls:
            await up.acquire()
        await asyncio.sleep(_SETTLE_S)
        on_window()
        start_s = time.monotonic()
        await asyncio.sleep(seconds)
        window = Window(start_s, time.monotonic())
        on_window()
        over.set()
    return Load(calls, window)


async def _one(
    network: Network,
    call: Call,
    numbers: Numbers,
    lines: Sequence[Line],
    *,
    wait_s: float,
    pace_s: float,
    up: asyncio.Semaphore,
    over: asyncio.Event,
) -> None:
    await asyncio.sleep(wait_s)
    try:
        async with network.dial(numbers=numbers) as line:
            up.release()
            talking = asyncio.create_task(_talk(line, call, lines, pace_s))
            ended = asyncio.create_task(line.ended.wait())
            waiting = asyncio.create_task(over.wait())
            await asyncio.wait({ended, waiting}, return_when=asyncio.FIRST_COMPLETED)
            for task in (talking, ended, waiting):
                task.cancel()
            await asyncio.gather(talking, ended, waiting, return_exceptions=True)
        call.report = line.report()
    except CallRefused:
        call.refused = True
        up.release()


async def _talk(line: CarrierLine, call: Call, lines: Sequence[Line], pace_s: float) -> None:
    due_s = line.now_s()
    for turn in range(10_000 if lines else 0):
        saying = lines[turn % len(lines)]
        interrupting = turn % 3 == 2 and saying.said is Said.REQUEST
        if interrupting:
            await _bot_began(line)
            await asyncio.sleep(INTERRUPT_AFTER_S)
        else:
            await asyncio.sleep(max(0.0, due_s - line.now_s()))
            await _bot_paused(line)
        due_s = line.now_s() + pace_s
        if saying.keys:
            await _press(line, call, saying)
        else:
            await _say(line, call, saying, interrupting=interrupting)


async def _say(line: CarrierLine, call: Call, saying: Line, *, interrupting: bool) -> None:
    spoke = interrupting and _speaks(line)
    utterance = line.speak(saying.mulaw)
    await utterance.finished.wait()
    if utterance.speech_started_s is None or utterance.speech_ended_s is None:
        return
    await _until_reply(line, call, saying.said, utterance.speech_ended_s, interrupting=interrupting)
    if spoke:
        _note_stop(line, call, utterance)


async def _press(line: CarrierLine, call: Call, saying: Line) -> None:
    for key in saying.keys:
        line.press(key)
        await asyncio.sleep(0.15)
    await _until_reply(line, call, saying.said, line.now_s() - 0.15, interrupting=False)


async def _until_reply(line: CarrierLine, call: Call, said: Said, asked_s: float, *, interrupting: bool) -> None:
    while (replied_s := line.reply_arrived_after(asked_s)) is None and line.now_s() - asked_s < REPLY_TIMEOUT_S:
        await asyncio.sleep(_LOOK_EVERY_S)  # an event for every message would cost more than looking
    call.turns.append(Turn(said, asked_s, None if replied_s is None else replied_s - asked_s, interrupting))
    if replied_s is None:
        return
    # What has arrived is heard a moment later; until then the bot seems to have paused long ago.
    while line.heard_s[-1:] < [replied_s] and not line.ended.is_set():
        await asyncio.sleep(_LOOK_EVERY_S)


def _note_stop(line: CarrierLine, call: Call, utterance: Utterance) -> None:
    started_s, ended_s = utterance.speech_started_s, utterance.speech_ended_s
    if started_s is None or ended_s is None:
        return
    cleared = next((at_s for at_s in line.report().clears_s if started_s <= at_s <= ended_s + 1.0), None)
    call.stops.append((started_s, None if cleared is None else cleared - started_s))


def _speaks(line: CarrierLine) -> bool:
    return bool(line.heard_s) and line.now_s() - line.heard_s[-1] < 0.2


async def _bot_began(line: CarrierLine) -> None:
    heard = len(line.heard_s)
    while len(line.heard_s) == heard:
        await asyncio.sleep(_LOOK_EVERY_S)


async def _bot_paused(line: CarrierLine) -> None:
    waiting_s = line.now_s()
    # A bot that says nothing for long has lost the thread; speaking to it brings it back.
    while line.now_s() - waiting_s < 2 * REPLY_TIMEOUT_S:
        if line.heard_s and line.now_s() - line.heard_s[-1] > PAUSE_S:
            return
        await asyncio.sleep(_LOOK_EVERY_S)
