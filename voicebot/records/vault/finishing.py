"""After a call: what must not be heard is silenced, the recording encoded, sealed and stored, and only then playable.

Speech that no turn holds is listened to once more before, and silence unless it certainly holds no number.

The tapes themselves are the list of what is to be done: one that is there and that nobody writes to is finished, now or
at the next start. Finishing twice does no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog
from sqlalchemy.exc import DBAPIError

from voicebot import g711
from voicebot.records.lane import RATE_HZ
from voicebot.records.overheard import Stretch
from voicebot.records.record import UnheardSpeech
from voicebot.records.tape import SUFFIX, Lanes, is_being_written, read_tape
from voicebot.records.unheard import Searched
from voicebot.records.vault.codec import Codec, encode
from voicebot.records.vault.index import FinishedRecording, SilentSpan
from voicebot.records.vault.keys import RecordingKeys, UnknownKeyError
from voicebot.records.vault.listening import LANES, Ear, EarAwayError, listen
from voicebot.records.vault.objects import Objects, StoreUnavailableError
from voicebot.records.vault.sealed import SealBrokenError, seal
from voicebot.records.vault.waveform import to_json, waveform_of

log = structlog.get_logger(__name__)

#: Ends the name of a recording's waveform.
WAVEFORM = ".waveform"
_SILENCE = 0xFF
#: An entry is taken to begin a little before its first key was noticed, and to end a little later.
_KEYED_MARGIN_MS = 300
#: A tone is found in windows of 20 ms, and its edges lie in those beside.
_TONE_MARGIN_MS = 20
_FIRST_RETRY_S = 1.0
_LAST_RETRY_S = 60.0
#: Speech that no turn holds is silence once it could not be heard so often, with so long in between.
_HEARINGS = 3
_NEXT_HEARING_S = 90.0


class CallIndex(Protocol):
    """What finishing reads and notes."""

    async def silences(self, call_id: str) -> Sequence[SilentSpan]: ...
    async def searched(self, call_id: str) -> Searched: ...
    async def keyed(self, call_id: str) -> Sequence[tuple[int, int]]: ...
    async def finished(self, call_id: str, recording: FinishedRecording) -> bool: ...
    async def lost(self, call_id: str) -> bool: ...


#: Finds the tones of keys in audio at 8 kHz: where each begins and ends, in samples.
FindTones = Callable[[g711.Pcm], Sequence[tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class FinishingPlan:
    """Where tapes come from and recordings go to, and in what form.

    Speech that was not written down is heard by the `ear`, and silence without one. With `keeps_unheard` it stays, with
    whatever was said. The `tones` of keys that stand in no turn are silence all the same: what they were is unknown.
    """

    tapes: Path
    objects: Objects
    keys: RecordingKeys
    codec: Codec = Codec.FLAC
    keeps_unheard: bool = False
    ear: Ear | None = None
    tones: FindTones | None = None


class Finisher:
    """Finishes one recording after the other.

    `written` returns once everything said so far of any call is in the index. `on_failure` is called with a short
    constant for every recording that could not be finished, or not yet.
    """

    def __init__(
        self,
        plan: FinishingPlan,
        index: CallIndex,
        *,
        written: Callable[[], Awaitable[None]],
        on_failure: Callable[[str], None],
        last_work_s: float = 10.0,
    ) -> None:
        self._plan = plan
        self._index = index
        self._written = written
        self._on_failure = on_failure
        self._last_work_s = last_work_s
        self._tapes: asyncio.Queue[Path] = asyncio.Queue()
        #: How often nothing could hear what no turn of a call holds.
        self._unheard: Counter[Path] = Counter()
        self._loop = asyncio.get_running_loop()

    def tape_closed(self, path: Path) -> None:
        """Finish this tape soon; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended; the next start finds the tape
            self._loop.call_soon_threadsafe(self._tapes.put_nowait, path)

    async def idle(self) -> None:
        """Return once every tape closed so far is finished or given up."""
        await self._tapes.join()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Take up what a dead server left, and finish tapes while the context lasts and, for a while, at its end."""
        for path in await asyncio.to_thread(_abandoned, self._plan.tapes):
            self._tapes.put_nowait(path)
        worker = asyncio.create_task(self._work(), name="recording finisher")
        try:
            yield
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._last_work_s):
                    await self.idle()
            worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await worker

    async def _work(self) -> None:
        while True:
            path = await self._tapes.get()
            try:
                await self._finish(path)
            except Exception:  # whatever one tape holds, those of all other calls wait behind it; it stays where it is
                self._on_failure("unreadable")
                log.exception("recording cannot be finished", call_id=path.name.removesuffix(SUFFIX))
            finally:
                self._tapes.task_done()

    async def _finish(self, path: Path) -> None:
        """Finish one tape, for as long as the store or the database is away."""
        call_id, retry_s = path.name.removesuffix(SUFFIX), _FIRST_RETRY_S
        told = False
        while True:
            try:
                await self._finish_once(path, call_id)
            except (SealBrokenError, UnknownKeyError) as error:
                # The tape stays: with its key, the next start can finish it.
                self._on_failure("unreadable")
                log.error("recording cannot be finished", call_id=call_id, error=str(error))
                return
            except FileNotFoundError:
                if await self._index.lost(call_id):
                    self._on_failure("lost")
                    log.error("recording lost", call_id=call_id)
                else:
                    log.info("recording deleted before it was finished", call_id=call_id)
                return
            except EarAwayError:
                # Others need not wait for it.
                self._unheard[path] += 1
                self._on_failure("unheard")
                log.warning("recording waits to be heard", call_id=call_id, times=self._unheard[path])
                self._loop.call_later(_NEXT_HEARING_S, self._tapes.put_nowait, path)
                return
            except (StoreUnavailableError, DBAPIError, OSError) as error:
                self._on_failure("waiting")
                if not told:
                    told = True
                    log.error("recording waits to be finished", call_id=call_id, error=type(error).__name__)
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, _LAST_RETRY_S)
            else:
                return

    async def _finish_once(self, path: Path, call_id: str) -> None:
        await self._written()
        silences = await self._index.silences(call_id)
        lanes = await asyncio.to_thread(read_silenced, path, self._plan.keys, silences)
        if self._plan.tones is not None:
            await asyncio.to_thread(silence_tones, lanes, self._plan.tones, await self._index.keyed(call_id))
        stretches: tuple[Stretch, ...] = ()
        if not self._plan.keeps_unheard:
            ear = self._plan.ear if self._unheard[path] < _HEARINGS else None
            stretches = await listen(lanes, await self._index.searched(call_id), ear)
        finished = await asyncio.to_thread(store_recording, path, self._plan, lanes, stretches)
        if not await self._index.finished(call_id, finished):
            await asyncio.to_thread(_take_back, self._plan.objects, finished.path)
            await asyncio.to_thread(_remove, path)
            log.info("recording deleted before it was finished", call_id=call_id)
            return
        await asyncio.to_thread(_remove, path)
        del self._unheard[path]
        log.info(
            "recording finished", call_id=call_id, duration_ms=finished.duration_ms, stored_bytes=finished.stored_bytes
        )


def read_silenced(path: Path, keys: RecordingKeys, silences: Sequence[SilentSpan]) -> Lanes:
    """Return what a tape holds with the spans silenced; it blocks.

    FileNotFoundError, SealBrokenError, UnknownKeyError.
    """
    content = read_tape(path, keys)
    if content.lost_bytes:
        log.warning("a crash tore the end of a tape", tape=path.name, lost_bytes=content.lost_bytes)
    silence(content.lanes, silences)
    return content.lanes


def store_recording(
    path: Path, plan: FinishingPlan, lanes: Lanes, stretches: Sequence[Stretch] = ()
) -> FinishedRecording:
    """Store what the tape at `path` held, sealed, with its waveform; it blocks, and leaves the tape.

    Those of the `stretches` that must not be kept are silenced first, and named in what is returned.
    StoreUnavailableError.
    """
    hidden = silence_stretches(lanes, stretches)
    samples = g711.decode(lanes.tobytes()).reshape(-1, 2)
    stem = f"{path.parent.name}/{path.name.removesuffix(SUFFIX)}"
    name = stem + plan.codec.suffix
    key = plan.keys.current
    sealed = seal(encode(samples, plan.codec), name, key)
    waveform = waveform_of(samples)
    plan.objects.put(stem + WAVEFORM, seal(to_json(waveform), stem + WAVEFORM, key))
    plan.objects.put(name, sealed)
    return FinishedRecording(
        path=name,
        codec=plan.codec.value,
        stored_bytes=len(sealed),
        sha256=hashlib.sha256(sealed).hexdigest(),
        key_id=key.id,
        duration_ms=waveform.duration_ms,
        unheard=hidden,
        stretches=tuple(stretches),
    )


def silence(lanes: Lanes, spans: Sequence[SilentSpan]) -> None:
    """Put silence over the spans, in the caller's lane, and in the bot's where a span says so."""
    for span in spans:
        start, end = _samples(span.start_ms, span.end_ms)
        lanes[start:end, : 2 if span.bot_too else 1] = _SILENCE


def silence_tones(lanes: Lanes, find: FindTones, keyed: Sequence[tuple[int, int]]) -> None:
    """Put silence over the tones of keys in both lanes, but for the caller's that were `keyed` as the record says.

    Nobody collected them: keyed while the bot talked, or to an agent, they may be any number. It blocks.
    """
    kept = [_samples(start_ms - _KEYED_MARGIN_MS, end_ms + _KEYED_MARGIN_MS) for start_ms, end_ms in keyed]
    margin = _TONE_MARGIN_MS * RATE_HZ // 1000
    for lane in range(len(LANES)):
        for start, end in find(g711.decode(lanes[:, lane].tobytes())):
            if lane == 0 and any(first <= start and end <= last for first, last in kept):
                continue
            lanes[max(0, start - margin) : end + margin, lane] = _SILENCE


def silence_stretches(lanes: Lanes, stretches: Sequence[Stretch]) -> tuple[UnheardSpeech, ...]:
    """Put silence over those that must not be kept, each in its lane, and return where."""
    hidden = []
    for each in stretches:
        if not each.kept:
            start, end = _samples(each.start_ms, each.end_ms)
            lanes[start:end, LANES.index(each.lane)] = _SILENCE
            hidden.append(UnheardSpeech(each.start_ms, each.end_ms, each.lane))
    return tuple(hidden)


def _samples(start_ms: int, end_ms: int) -> tuple[int, int]:
    return max(0, start_ms) * RATE_HZ // 1000, -(-end_ms * RATE_HZ // 1000)


def _abandoned(tapes: Path) -> list[Path]:
    """Return the tapes that nobody writes to, oldest day first."""
    return [path for path in sorted(tapes.glob(f"*/*{SUFFIX}")) if not is_being_written(path)]


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # another tape's day
        path.parent.rmdir()


def _take_back(objects: Objects, path: str) -> None:
    for name in (path, waveform_name(path)):
        objects.delete(name)


def waveform_name(path: str) -> str:
    """Return the name of the waveform beside the recording of that name."""
    return path.rsplit(".", 1)[0] + WAVEFORM
