"""A whole call in virtual time: carrier, leg, line and session are the real ones, on a socket in memory.

What is made up is who hears and speaks: the voice hums, the recogniser and the end-of-turn model answer by chance, and
a caller's sound is a buzz of which the voice detector thinks what the test says.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry

from tests.calls.stage import PROMPTS, SilentTape, SlowSystems, say
from tests.fakes.buzz import buzz
from tests.fakes.dialog import Answer, Parrot, ScriptedDialog
from tests.fakes.journal import MemoryJournal
from tests.fakes.virtual_time import VirtualLoop
from tests.fakes.voice import HummingVoice
from voicebot.calls.plan import CallPlan
from voicebot.calls.session import CallSession
from voicebot.dialog.actions import Action, CallBackend, EndCall, Listen
from voicebot.dialog.events import CallerHungUp, CallerSilent, CallerTalkedTooLong, CallMustEnd, Event
from voicebot.dialog.expectation import AnswerKind, Expectation, KeyEntry
from voicebot.errors import EngineUnavailable
from voicebot.media.events import LineEvent
from voicebot.media.line import Line
from voicebot.records.metrics import Metrics
from voicebot.simulation.impairment import Impairment
from voicebot.simulation.line import CarrierLine
from voicebot.speech.asr import Final, Hypothesis, Partial
from voicebot.speech.listening.models import Floats
from voicebot.telephony.leg import Channel, Direction, LegInfo
from voicebot.telephony.socket_line import SocketLine
from voicebot.telephony.twilio.leg import TwilioLeg, await_start
from voicebot.telephony.twilio.messages import Connected, Start, serialise
from voicebot.telephony.twilio.stream import TwilioStream

NO_INPUT_S = 1.5
LONGEST_CALL_S = 200.0
_BEGAN = datetime(2026, 5, 4, 12, tzinfo=UTC)
_BUZZ = b"".join(buzz(4.0))
#: A voice that is not taken for the echo of ours.
_OTHER_BUZZ = b"".join(buzz(3.0, pitch_hz=87.0))
_START = Start(sequence=1, stream_sid="MZ1", account_sid="AC1", call_sid="CA1", parameters={})
_INFO = LegInfo("leg-1", Channel.TWILIO, Direction.INBOUND, caller="", called="", carrier_call_id="CA1")


class _End:
    """One end of a socket in memory; what is sent arrives after `delay_s`, in order."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._arrived: asyncio.Queue[aiohttp.WSMessage] = asyncio.Queue()
        #: On the way to the peer. Timers of one time run in any order, messages do not.
        self._travelling: deque[aiohttp.WSMessage] = deque()
        self.peer: _End = self
        self.close_code: int | None = None

    async def receive(self) -> aiohttp.WSMessage:
        return await self._arrived.get()

    async def send_str(self, data: str) -> None:
        if self.close_code is not None:
            raise ConnectionResetError("the socket is closed")
        self._post(aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, data, None))

    async def send_bytes(self, data: bytes) -> None:
        raise AssertionError("a media stream has no binary messages")

    async def close(self, *, code: int = 1000) -> bool:
        if self.close_code is None:
            self.close_code = self.peer.close_code = code
            closed = aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, code, None)
            self._post(closed)
            self._arrived.put_nowait(closed)
        return True

    def abort(self) -> None:
        self.close_code = self.peer.close_code = 1006

    def get_extra_info(self, name: str) -> Any:
        return None

    async def __aiter__(self) -> AsyncIterator[aiohttp.WSMessage]:
        while (message := await self.receive()).type is aiohttp.WSMsgType.TEXT:
            yield message

    def _post(self, message: aiohttp.WSMessage) -> None:
        self._travelling.append(message)
        asyncio.get_running_loop().call_later(self._delay_s, self._deliver)

    def _deliver(self) -> None:
        self.peer._arrived.put_nowait(self._travelling.popleft())


class Opinion:
    """A voice judge that thinks of every sound what the test says."""

    WINDOW_SAMPLES = 256

    def __init__(self) -> None:
        self.value = 1.0

    def probability(self, window: Floats) -> float:
        return self.value

    def forget(self) -> None: ...


@dataclass
class ChanceHearing:
    """Recogniser, end-of-turn model and understanding of a caller, by chance."""

    chance: random.Random

    async def start(self, expectation: Expectation) -> ChanceUtterance:
        await asyncio.sleep(self.chance.choice((0.0, 0.0, 0.05)))
        if self.chance.random() < 0.05:
            raise EngineUnavailable("by chance")
        return ChanceUtterance(self.chance)

    async def probability(self, pcm: bytes) -> float | None:
        await asyncio.sleep(self.chance.uniform(0.0, 0.3))
        return self.chance.choice((None, 0.1, 0.96, 0.99))

    def completeness(self, text: str, expectation: Expectation) -> float:
        return {"": 0.0, "and then": -1.0, "yes": 1.0}.get(text, 0.5)


class ChanceUtterance:
    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._text = chance.choice(("", "okay", "uh huh", "yes", "and then", "I want to pay a bill"))
        self._over = asyncio.Event()

    def feed(self, pcm: bytes) -> None: ...
    def look_ahead(self) -> None: ...
    def go_on(self) -> None: ...

    async def partials(self) -> AsyncIterator[Partial]:
        await asyncio.sleep(self._chance.uniform(0.1, 0.8))
        if self._text:
            yield Partial(self._text)
        await self._over.wait()

    async def finish(self) -> Final:
        self._over.set()
        await asyncio.sleep(self._chance.choice((0.0, 0.05, 0.4, 2.5)))
        if self._chance.random() < 0.05:
            raise EngineUnavailable("by chance")
        return Final((Hypothesis(self._text, 0.9),) if self._text else (), "chance", 1.0)

    def cancel(self) -> None:
        self._over.set()


class NoWords:
    """A recogniser that finds no words in whatever it is given, and a model that does not know when it ends."""

    async def start(self, expectation: Expectation) -> WordlessUtterance:
        return WordlessUtterance()

    async def probability(self, pcm: bytes) -> float | None:
        return None

    def completeness(self, text: str, expectation: Expectation) -> float:
        return 0.0


class WordlessUtterance:
    def __init__(self) -> None:
        self._over = asyncio.Event()

    def feed(self, pcm: bytes) -> None: ...
    def look_ahead(self) -> None: ...
    def go_on(self) -> None: ...

    async def partials(self) -> AsyncIterator[Partial]:
        await self._over.wait()
        for partial in tuple[Partial, ...]():
            yield partial

    async def finish(self) -> Final:
        self._over.set()
        return Final((), "none", 1.0)

    def cancel(self) -> None:
        self._over.set()


class PaceVoice(HummingVoice):
    """Hums at once or, where the text says so, in pieces that come when they come, their end last."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance

    def ready(self, text: str) -> bytes | None:
        return None if "slow" in text else b"".join(_gapped(len(text.split())))

    async def render(self, text: str, *, cache: bool) -> AsyncIterator[bytes]:
        for word in _gapped(len(text.split())):
            await asyncio.sleep(self._chance.choice((0.0, 0.0, 0.3, 0.7)))
            yield word
        await asyncio.sleep(self._chance.choice((0.0, 0.0, 0.4, 1.0)))


def _gapped(words: int) -> list[bytes]:
    return [_BUZZ[:1760] + b"\xff" * 160] * words


class ChanceBot:
    """A dialog that always says something or asks a system, and gives up after three silences in a row."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._silences = 0
        self.takes_keys = False

    def __call__(self, event: Event) -> Sequence[Action]:
        chance = self._chance
        if isinstance(event, CallerHungUp):
            return [EndCall("hung_up")]
        if isinstance(event, CallMustEnd):
            return [say("time is up"), EndCall("too_long")]
        self._silences = self._silences + 1 if isinstance(event, CallerSilent) else 0
        if self._silences >= 3:
            return [say("goodbye then"), EndCall("silent")]
        says = [self._prompt() for _ in range(chance.choice((1, 1, 2, 3)))]
        if chance.random() < 0.15 and not isinstance(event, CallerTalkedTooLong):
            return [CallBackend(f"r{chance.random()}", "balance", {}), *says[1:]]
        return [*says, Listen(self._expectation())]

    def _prompt(self) -> Action:
        words = self._chance.choice((1, 2, 3, 5, 8))
        return say(" ".join(["slow" if self._chance.random() < 0.1 else "word"] * words))

    def _expectation(self) -> Expectation:
        kind = self._chance.choice((AnswerKind.OPEN, AnswerKind.YES_NO, AnswerKind.DIGITS))
        keys = KeyEntry(1, 2) if self._chance.random() < 0.5 else None
        self.takes_keys = keys is not None
        return Expectation(kind.value, (kind,), no_input_s=NO_INPUT_S, too_long_s=6.0, keys=keys)


class WholeCall:
    """A call that runs until it ends; `act` does by chance what callers do."""

    def __init__(
        self, seed: int, *, answer: Answer | None = None, hearing: ChanceHearing | NoWords | None = None
    ) -> None:
        """Without `answer` and `hearing` the dialog says, and the recogniser hears, whatever chance has it."""
        self._chance = random.Random(seed)
        self._seed = seed
        loop = asyncio.get_running_loop()
        delay_s = self._chance.choice((0.0, 0.003, 0.02, 0.05))
        server, carrier = _End(delay_s), _End(delay_s)
        server.peer, carrier.peer = carrier, server
        self._server, self._carrier_end = server, carrier
        self.carrier = CarrierLine(
            carrier,
            _START,
            impairment=Impairment(jitter_ms=self._chance.choice((0.0, 15.0)), seed=seed),
            listener=None,
            clock=loop.time,
            dialled_s=0.0,
        )
        self._opinion = Opinion()
        self._bot = ChanceBot(random.Random(seed + 1))
        self.dialog = ScriptedDialog(answer or self._bot)
        self.journal = MemoryJournal()
        self._hearing = hearing or ChanceHearing(random.Random(seed + 2))
        self.silent_from_s = 0.0

    async def run(self, act: Callable[[WholeCall], Any] | None = None) -> float:
        """Carry the call to its end, and return how long the caller had been silent then, in seconds."""
        loop = asyncio.get_running_loop()
        await self._carrier_end.send_str(serialise(Connected()))
        await self._carrier_end.send_str(serialise(_START))
        stream = TwilioStream()
        await await_start(self._server, stream, timeout_s=5.0)
        line = SocketLine(
            self._server, _INFO, clock=loop.time, on_violation=lambda kind: None, abort=self._server.abort
        )
        leg = TwilioLeg(line, stream)
        self.tape = SilentTape()
        session = CallSession(
            CallPlan("call-1", None, "UTC", 1, LONGEST_CALL_S, PROMPTS),
            leg,
            dialog=self.dialog,
            understanding=Parrot(),
            operations=SlowSystems(),
            make_line=lambda on_event: self._line(leg, on_event),
            journal=self.journal,
            meter=Metrics(CollectorRegistry()),
            recording=self.tape,
            clock=loop.time,
            now=lambda: _BEGAN + timedelta(seconds=loop.time()),
        )
        acting = asyncio.create_task((act or WholeCall.behave)(self))
        stalling = asyncio.create_task(self._stall())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.carrier.carry())
            tasks.create_task(leg.run())
            await session.run()
            acted = acting.done()
            acting.cancel()
            stalling.cancel()
        await asyncio.gather(acting, stalling, return_exceptions=True)
        return loop.time() - self.silent_from_s if acted else 0.0

    def _line(self, leg: TwilioLeg, on_event: Callable[[LineEvent], None]) -> Line:
        return Line(
            leg,
            transcriber=self._hearing,
            turn_model=self._hearing,
            completeness=self._hearing.completeness,
            voice_judge=self._opinion,
            voice=PaceVoice(random.Random(self._seed + 4)),
            tap=SilentTape(),
            on_event=on_event,
            clock=asyncio.get_running_loop().time,
            on_late=lambda: None,
        )

    async def _stall(self) -> None:
        """Hold everything up now and then, in every second call."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        chance = random.Random(self._seed + 3)
        while self._seed % 2:
            await asyncio.sleep(chance.uniform(0.01, 0.6))
            loop.stall(chance.choice((0.01, 0.03, 0.08, 0.25, 0.9)))

    @property
    def takes_keys(self) -> bool:
        """Whether the dialog has asked for something that may be keyed."""
        return self._bot.takes_keys

    async def behave(self) -> None:
        """Speak, hum, cough and press keys at any moment for some seconds."""
        chance = self._chance
        for _ in range(chance.randint(3, 12)):
            await asyncio.sleep(chance.choice((0.02, 0.1, 0.3, 0.8, 2.0)) * chance.uniform(0.5, 1.5))
            if chance.random() < 0.12:
                self.carrier.press(chance.choice("0123456789#"))
                continue
            self._opinion.value = chance.choice((0.1, 0.2, 0.35, 0.6, 1.0, 1.0))
            duration_ms = chance.choice((40, 80, 120, 160, 240, 400, 700, 1500))
            start = chance.randrange(0, 8000)
            await self.carrier.speak(_BUZZ[start : start + duration_ms * 8]).finished.wait()
        self.silent_from_s = asyncio.get_running_loop().time()

    async def sound(self, sounding_ms: int, silent_ms: int) -> None:
        """Sound like a voice for so long, be silent for so long, and so on for ever."""
        while True:
            left_ms = sounding_ms
            while left_ms > 0:
                at_once_ms = min(left_ms, 3000)
                left_ms -= at_once_ms
                await self.carrier.speak(_OTHER_BUZZ[: at_once_ms * 8]).finished.wait()
            await asyncio.sleep(silent_ms / 1000)
