"""One utterance of one caller, recognised by whichever worker can hear it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass

import numpy as np
import structlog
from wyoming.asr import Transcript, TranscriptChunk
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event

from voicebot.errors import EngineUnavailable, RemoteProtocolError
from voicebot.speech.asr import Final, Partial
from voicebot.speech.recognition.upsample import Upsampler, to_int16
from voicebot.speech.recognition.wire import (
    GO_ON,
    LOOK_AHEAD,
    PARTIAL,
    PROVISIONAL,
    SAMPLE_BYTES,
    SAMPLE_RATE_HZ,
    Heard,
    Request,
    parse_transcript,
    request_event,
)
from voicebot.speech.workers.capabilities import Feature
from voicebot.speech.workers.line import Line, PeerLost
from voicebot.speech.workers.pool import WorkerPool

_log = structlog.get_logger()

_LONGEST_BYTES = SAMPLE_RATE_HZ * SAMPLE_BYTES * 120
_ATTEMPTS = 3
_PLAIN_RATE_HZ = 16000
"""What plain servers are built for; not all of them resample."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long hearing may take: to find a worker (again) while the caller speaks, and to answer after `finish`.

    Beside an engine that has not answered `late_s` after `finish` the next one hears the utterance too, and whoever
    is first counts. `next_engine_s` is the wait for one engine before the next one in the list is tried.
    """

    worker_s: float = 2.0
    finish_s: float = 2.0
    late_s: float = 1.0
    next_engine_s: float = 0.3
    prepare_s: float = 20.0


class _Feed:
    """Sends one line the audio, from the first byte; at 16 kHz to a server that is not ours.

    It goes in packets, the rest as soon as the server is to answer.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._sent_bytes = 0
        self._looking_ahead = False
        self._packet_bytes = SAMPLE_RATE_HZ * SAMPLE_BYTES * line.capabilities.packet_ms // 1000
        self._upsampler = None if Feature.EXPECTATION in line.capabilities.features else Upsampler()
        self._rate_hz = SAMPLE_RATE_HZ if self._upsampler is None else _PLAIN_RATE_HZ
        line.send(AudioStart(rate=self._rate_hz, width=SAMPLE_BYTES, channels=1).event())

    def catch_up(self, audio: bytearray) -> None:
        """Send what `audio` has beyond what was sent; `PeerLost` when the line is gone."""
        piece = bytes(audio[self._sent_bytes :])
        self._sent_bytes = len(audio)
        if self._upsampler is not None:
            piece = to_int16(self._upsampler.double(np.frombuffer(piece, dtype=np.int16))).tobytes()
        if piece:
            self._line.send(AudioChunk(rate=self._rate_hz, width=SAMPLE_BYTES, channels=1, audio=piece).event())

    def due(self, audio: bytearray) -> bool:
        return len(audio) - self._sent_bytes >= self._packet_bytes

    def look_ahead(self, audio: bytearray, pause: int) -> None:
        """Ask for a provisional transcript of all of `audio`, if the worker makes such."""
        if Feature.SPECULATIVE in self._line.capabilities.features:
            self.catch_up(audio)
            self._line.send(Event(LOOK_AHEAD, {"pause": pause}))
            self._looking_ahead = True

    def go_on(self) -> None:
        if self._looking_ahead:
            self._line.send(Event(GO_ON))
            self._looking_ahead = False

    def stop(self) -> None:
        self._line.send(AudioStop().event())


@dataclass(frozen=True, slots=True)
class _Hearer:
    """Who hears an utterance now; who took it over from another can be blamed for no delay."""

    pool: WorkerPool
    line: Line
    took_over: bool


class WorkerUtterance:
    """See `voicebot.speech.asr.Utterance`. Keeps the audio, so that another worker can take over at any moment.

    `avoid` are workers of the pools that others go before, if there is a choice.
    """

    def __init__(
        self, pools: Sequence[WorkerPool], *, request: Request, names: tuple[str, ...], deadlines: Deadlines,
        assumed_confidence: float,
        ended: Callable[[asyncio.Task[Final]], None],
        avoid: Collection[str] = (),
    ) -> None:  # fmt: skip
        self._pools = pools
        self._request = request
        self._names = names
        self._deadlines = deadlines
        self._assumed_confidence = assumed_confidence
        self._audio = bytearray()
        #: By pool, since workers of two engines have the same names: who could not hear this utterance.
        self._lost = {pool: set(avoid) for pool in self._pools}
        self._hearer: _Hearer | None = None
        self._feed: _Feed | None = None
        self._finished_at: float | None = None
        self._finished = asyncio.Event()
        self._leased = asyncio.Event()
        self._news = asyncio.Event()
        self._latest: Partial | None = None
        #: The number of the latest pause, and what was heard ahead at it; None once the caller went on.
        self._pause = 0
        self._pausing = False
        self._ahead: Final | None = None
        self._ahead_there = asyncio.Event()
        self.task = asyncio.create_task(self._hear(), name="utterance")
        self.task.add_done_callback(ended)
        self.task.add_done_callback(self._over)

    def feed(self, pcm: bytes) -> None:
        if len(self._audio) >= _LONGEST_BYTES:
            return
        self._audio += pcm
        if self._feed is not None and self._feed.due(self._audio):
            self._pass_on(self._feed)

    async def partials(self) -> AsyncIterator[Partial]:
        given: Partial | None = None
        while True:
            await self._news.wait()
            if self._finished_at is not None or self.task.done():
                return
            self._news.clear()
            if self._latest is not None and self._latest != given:
                given = self._latest
                yield given

    def look_ahead(self) -> None:
        self._pause += 1
        self._pausing = True
        self._ahead = None
        if self._feed is not None:
            with self._unless_lost():
                self._feed.look_ahead(self._audio, self._pause)

    async def heard_ahead(self) -> Final:
        """Wait for what is heard at this pause; for ever where the worker does not look ahead."""
        while self._ahead is None:
            self._ahead_there.clear()
            await self._ahead_there.wait()
        return self._ahead

    def go_on(self) -> None:
        # A provisional transcript that is still on its way belongs to a pause that is over.
        self._pause += 1
        self._pausing = False
        self._ahead = None
        if self._feed is not None:
            with self._unless_lost():
                self._feed.go_on()

    async def finish(self) -> Final:
        self._finished_at = time.perf_counter()
        self._finished.set()
        self._news.set()
        if self._ahead is not None:
            if self._hearer is not None:
                self._hearer.line.punctuality.answered(in_time=True)
            self.task.cancel()
            return self._ahead
        if self._feed is not None:
            self._pass_on(self._feed)
        try:
            async with asyncio.timeout(self._deadlines.finish_s):
                return await asyncio.shield(self.task)
        except TimeoutError as error:
            raise EngineUnavailable("No speech worker gave a transcript in time.") from error
        finally:
            self.task.cancel()

    def cancel(self) -> None:
        self.task.cancel()

    def _over(self, task: asyncio.Task[Final]) -> None:
        self._news.set()
        if not task.cancelled():
            # Retrieved here too, for an utterance that is cancelled after its engines failed.
            task.exception()

    def _pass_on(self, feed: _Feed) -> None:
        with self._unless_lost():
            feed.catch_up(self._audio)
            if self._finished_at is not None:
                feed.stop()

    @contextmanager
    def _unless_lost(self) -> Iterator[None]:
        try:
            yield
        except PeerLost:
            # `_hear` meets the same loss in `receive` and finds another worker.
            self._feed = None

    async def _hear(self) -> Final:
        """Return what the first engine hears; where that is late the next one hears it too, and may come first."""
        hearing = [asyncio.create_task(self._hear_in_turn(), name="hear")]
        try:
            if await self._is_late(hearing[0]):
                hearing.append(asyncio.create_task(self._hear_in_turn(), name="hear beside"))
            for heard in asyncio.as_completed(hearing):
                with suppress(EngineUnavailable):
                    return await heard
            return hearing[0].result()
        finally:
            for task in hearing:
                task.cancel()
            await asyncio.gather(*hearing, return_exceptions=True)

    async def _is_late(self, hearing: asyncio.Task[Final]) -> bool:
        """Wait until it has heard the utterance or is late, and say whether it is and somebody else is there."""
        asked = asyncio.create_task(self._until_asked(), name="asked")
        try:
            await asyncio.wait({hearing, asked}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({hearing}, timeout=self._deadlines.late_s)
        finally:
            asked.cancel()
        if hearing.done() or self._hearer is None:
            return False
        pool, line = self._hearer.pool, self._hearer.line
        if not self._hearer.took_over:
            line.punctuality.answered(in_time=False)
        self._lost[pool].add(line.peer)
        if not any(pool.offers(lost, punctual=True) for pool, lost in self._lost.items()):
            return False
        _log.warning("utterance goes to another worker too", late=line.peer, limit_ms=self._deadlines.late_s * 1000)
        return True

    async def _until_asked(self) -> None:
        """Wait until the caller has finished and somebody hears them."""
        await self._finished.wait()
        await self._leased.wait()

    async def _hear_in_turn(self) -> Final:
        for attempt in range(_ATTEMPTS):
            async with AsyncExitStack() as stack:
                pool, line = await self._lease(stack)
                self._hearer = _Hearer(pool, line, took_over=attempt > 0)
                self._leased.set()
                try:
                    heard = await self._hear_on(line)
                except (PeerLost, RemoteProtocolError) as error:
                    self._lost[pool].add(line.peer)
                    _log.warning("utterance moves to another worker", lost=line.peer, reason=str(error))
                else:
                    return self._final(heard, line)
                finally:
                    self._feed = None
        raise EngineUnavailable(f"None of {_ATTEMPTS} speech workers could hear the utterance.")

    async def _lease(self, stack: AsyncExitStack) -> tuple[WorkerPool, Line]:
        """Lease a line from the first engine in order that has a worker not yet lost, nor left as too slow."""
        *preferred, last = sorted(self._pools, key=self._reluctance)
        for pool in preferred:
            with suppress(EngineUnavailable):
                lease = pool.lease(avoid=self._lost[pool], timeout_s=self._deadlines.next_engine_s)
                return pool, await stack.enter_async_context(lease)
        lease = last.lease(avoid=self._lost[last], timeout_s=self._deadlines.worker_s)
        return last, await stack.enter_async_context(lease)

    def _reluctance(self, pool: WorkerPool) -> tuple[bool, bool]:
        return not pool.offers(self._lost[pool]), pool.status().slow

    async def _hear_on(self, line: Line) -> Heard:
        line.send(request_event(self._request, self._names))
        self._feed = _Feed(line)
        if self._pausing and self._finished_at is None:
            self._feed.look_ahead(self._audio, self._pause)
        else:
            self._pass_on(self._feed)
        streamed = ""
        while True:
            event = await line.receive()
            if Transcript.is_type(event.type):
                if self._finished_at is not None:
                    return parse_transcript(event, assumed_confidence=self._assumed_confidence)
                # A server with voice activity of its own may end early; our turn taking decides, so ask again.
                raise RemoteProtocolError("early_transcript", "A speech server ended an utterance by itself.")
            if event.type == PARTIAL:
                self._show(str(event.data.get("text", "")))
            elif event.type == PROVISIONAL:
                self._take_ahead(event)
            elif TranscriptChunk.is_type(event.type):
                streamed += TranscriptChunk.from_event(event).text
                self._show(streamed)
            elif Error.is_type(event.type):
                raise PeerLost(f"The speech worker {line.peer} gave up: {event.data.get('code')}.")

    def _take_ahead(self, event: Event) -> None:
        """Keep what was heard at this pause; the turn's final, if nothing more is said."""
        heard = parse_transcript(event, assumed_confidence=self._assumed_confidence)
        if event.data.get("pause") == self._pause and heard.engine is not None and heard.decode_ms is not None:
            self._ahead = Final(heard.hypotheses, heard.engine, heard.decode_ms)
            self._ahead_there.set()
            if heard.hypotheses:
                text, *others = (hypothesis.text for hypothesis in heard.hypotheses)
                self._show(text, tuple(others))

    def _show(self, text: str, others: tuple[str, ...] = ()) -> None:
        self._latest = Partial(text.strip(), others)
        self._news.set()

    def _final(self, heard: Heard, line: Line) -> Final:
        assert self._finished_at is not None
        waited_ms = (time.perf_counter() - self._finished_at) * 1000
        if waited_ms <= self._deadlines.late_s * 1000:
            line.punctuality.answered(in_time=True)
        return Final(
            heard.hypotheses,
            heard.engine or line.capabilities.engine,
            waited_ms if heard.decode_ms is None else heard.decode_ms,
        )
