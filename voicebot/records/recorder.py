"""Records calls: what the caller said and what they really heard of us, on one clock, written as the call goes on."""

from __future__ import annotations

import asyncio
import queue
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self, assert_never

import structlog

from voicebot.records.lane import RATE_HZ, SILENCE, WINDOW, Lane
from voicebot.records.tape import SUFFIX, Tape
from voicebot.records.vault.keys import RecordingKeys

log = structlog.get_logger(__name__)

#: Time between two writes; with the time to hand over, a crash loses less than a second.
_WRITE_EVERY = RATE_HZ // 2
#: What a caller says or keys is on the line a moment after the dialog has it: key tones, the carrier's delay.
_LATE_ON_THE_LINE = RATE_HZ // 2
#: Writes waiting for the disk; more means that it hangs.
_WAITING_WRITES = 1000
#: Writes are collected for so long, since waking the thread for each costs the event loop more than the write.
_COLLECT_S = 0.05
#: How long the end of the server waits for a disk that hangs.
_LAST_WRITES_S = 10.0
#: Audio sent and not yet reported as heard; a leg keeps far less.
_MOST_PENDING = RATE_HZ * 60
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


@dataclass(frozen=True, slots=True)
class _Write:
    recording: _Recording
    start: int
    left: bytes
    right: bytes


@dataclass(frozen=True, slots=True)
class _Close:
    recording: _Recording


@dataclass(slots=True)
class _Recording:
    """A recording as the writing thread sees it."""

    call_id: str
    path: Path
    tape: Tape | None = None
    failed: bool = False


_Job = _Write | _Close
_Submit = Callable[[_Job], bool]


class Recorder:
    """The recording of one call. Times are monotonic seconds. No method blocks or raises for the disk's sake."""

    def __init__(self, recording: _Recording, started_s: float, submit: _Submit) -> None:
        self._recording = recording
        self._started_s = started_s
        self._submit = submit
        self._caller = Lane()
        self._bot = Lane()
        self._caller_secrets = _Spans()
        self._bot_secrets = _Spans()
        self._pauses = _Spans()
        #: Sent and not yet known to be heard, and the position of its first sample.
        self._pending = bytearray()
        self._pending_from = 0
        #: What came since the last write, with its time. It is placed when it is written: many frames at once cost
        #: a fraction of what they cost one by one, each after everybody else's.
        self._heard: list[tuple[bytes, float]] = []
        self._played: list[tuple[int, float]] = []
        self._latest_s = started_s
        self._write_due_s = started_s + _WRITE_EVERY / RATE_HZ
        self._closed = False

    @property
    def path(self) -> Path:
        return self._recording.path

    def heard(self, frame: bytes, at_s: float) -> None:
        """Add mu-law that came from the caller, its last sample at `at_s`."""
        self._heard.append((frame, at_s))
        if at_s >= self._write_due_s:
            self._write_out(at_s)

    def sent(self, audio: bytes, at_s: float) -> None:
        """Note mu-law handed to the leg; it enters the recording when it has been `played`."""
        pending = self._pending
        pending += audio
        if len(pending) > _MOST_PENDING:
            self._pending_from += len(audio)
            del pending[: len(audio)]
        if at_s > self._latest_s:
            self._latest_s = at_s
            if at_s >= self._write_due_s:
                self._write_out(at_s)

    def played(self, position_samples: int, at_s: float) -> None:
        """The caller has heard what was sent up to `position_samples`, the last of it at `at_s`."""
        self._played.append((position_samples, at_s))
        if at_s >= self._write_due_s:
            self._write_out(at_s)

    def cut(self, position_samples: int, at_s: float) -> None:
        """What was sent after `position_samples` was dropped and never heard."""
        self.played(position_samples, at_s)
        self._place()
        self._pending_from += len(self._pending)
        self._pending.clear()

    def secret(self, on: bool, at_s: float, *, bot: bool = False) -> None:  # noqa: FBT001  # a switch
        """Record silence instead of the caller from `at_s` on, and of the bot too if it would repeat the secret.

        Switched off, the silence goes on for half a second, since tones and words are on the line a moment longer.
        """
        at = self._at(at_s)
        if on:
            self._caller_secrets.open(at)
            if bot:
                self._bot_secrets.open(at)
        else:
            self._caller_secrets.close(at + _LATE_ON_THE_LINE)
            self._bot_secrets.close(at + _LATE_ON_THE_LINE)

    def pause(self, on: bool, at_s: float) -> None:  # noqa: FBT001  # a switch
        """Record silence instead of both parties from `at_s` on, until half a second after it is switched off.

        The clock goes on. As after a secret, the last key's tone may be on the line a moment longer.
        """
        if on:
            self._pauses.open(self._at(at_s))
        else:
            self._pauses.close(self._at(at_s) + _LATE_ON_THE_LINE)

    def close(self) -> None:
        """Write the rest and finish the file. Idempotent."""
        if not self._closed:
            self._closed = True
            self._place()
            for lane in (self._caller, self._bot):
                # Nothing more will come that could tell jitter from a gap.
                lane.settle(self._at(self._latest_s) + RATE_HZ)
            self._write_out(self._latest_s)
            self._submit(_Close(self._recording))

    def _place(self) -> None:
        """Put everything that came in its place, but silence for what must not be kept."""
        heard, self._heard = self._heard, []
        played, self._played = self._played, []
        self._latest_s = max([self._latest_s, *(came[-1][1] for came in (heard, played) if came)])
        start_s = self._started_s
        caller = [(frame, max(0, round((at_s - start_s) * RATE_HZ))) for frame, at_s in heard]
        bot = [(chunk, self._at(at_s)) for position, at_s in played if (chunk := self._claim(position))]
        for lane, secrets, chunks in (
            (self._caller, self._caller_secrets, caller),
            (self._bot, self._bot_secrets, bot),
        ):
            if secrets.any or self._pauses.any:
                for chunk, arrived in chunks:
                    size = len(chunk)
                    is_silenced = self._is_silenced(secrets, lane.earliest(size, arrived), arrived)
                    lane.place(SILENCE * size if is_silenced else chunk, arrived)
            else:
                lane.place_all(chunks)

    def _is_silenced(self, secrets: _Spans, start: int, end: int) -> bool:
        return (secrets.any and secrets.touch(start, end)) or (self._pauses.any and self._pauses.touch(start, end))

    def _at(self, at_s: float) -> int:
        return max(0, round((at_s - self._started_s) * RATE_HZ))

    def _claim(self, position: int) -> bytes:
        """Take what was sent before `position` out of the pending audio."""
        claimed = bytes(self._pending[: max(0, position - self._pending_from)])
        self._pending_from += len(claimed)
        del self._pending[: len(claimed)]
        return claimed

    def _write_out(self, at_s: float) -> None:
        """Hand everything that changed to the writing thread; if that is busy, it stays and is tried again."""
        self._place()
        self._latest_s = max(self._latest_s, at_s)
        self._write_due_s = self._latest_s + _WRITE_EVERY / RATE_HZ
        now = self._at(self._latest_s)
        lanes = (self._caller, self._bot)
        for lane in lanes:
            lane.settle(now)
        start = max(0, min(lane.changed_from for lane in lanes))
        if self._submit(_Write(self._recording, start, *(lane.take(start, now) for lane in lanes))):
            for lane in lanes:
                lane.taken(now)
        for lane in lanes:
            lane.forget(now)
        for spans in (self._caller_secrets, self._bot_secrets, self._pauses):
            spans.forget_before(now - 2 * WINDOW)


class _Spans:
    """Stretches of the sample clock that are secret."""

    def __init__(self) -> None:
        self._spans: list[tuple[int, int | None]] = []
        #: False while there is nothing to compare with, which is nearly always.
        self.any = False

    def open(self, at: int) -> None:
        if not self._spans or self._spans[-1][1] is not None:
            self._spans.append((at, None))
            self.any = True

    def close(self, at: int) -> None:
        if self._spans and self._spans[-1][1] is None:
            self._spans[-1] = (self._spans[-1][0], at)

    def touch(self, start: int, end: int) -> bool:
        return any(low < end and (high is None or start < high) for low, high in self._spans)

    def forget_before(self, at: int) -> None:
        if self.any:
            self._spans = [span for span in self._spans if span[1] is None or span[1] >= at]
            self.any = bool(self._spans)


class Recordings:
    """Owns the folder of tapes and the one thread that writes them. Use with `async with`.

    `on_failure` is called, in either thread, with a short constant for everything that failed: ``"write"``,
    ``"close"`` or ``"queue_full"``. `on_closed` is called in the writing thread with the path of each tape whose call
    has ended, whether or not anything could be written to it. `now` gives the time of day that names the folders.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keys: RecordingKeys,
        now: Callable[[], datetime],
        on_failure: Callable[[str], None],
        on_closed: Callable[[Path], None],
    ) -> None:
        self._folder = folder
        self._keys = keys
        self._on_closed = on_closed
        self._now = now
        self._on_failure = on_failure
        # The simple queue is bounded here, by hand: a `Queue` with its locks in Python takes a twentieth of the loop.
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._finishing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="recording writer", daemon=True)

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write everything that is waiting."""
        if not await asyncio.to_thread(self._finish):
            log.error("recordings left unfinished", waiting=self._jobs.qsize())

    def start(self, call_id: str, started_s: float) -> Recorder:
        """Begin a recording whose first sample is `started_s` on the monotonic clock.

        The tape is ``YYYY-MM-DD/CALL_ID.tape``. ValueError if `call_id` could not be a file's name.
        """
        if not _SAFE_ID.fullmatch(call_id):
            raise ValueError("a call id is letters, digits, hyphens and underscores, 128 at most")
        recording = _Recording(call_id, self._folder / f"{self._now():%Y-%m-%d}" / f"{call_id}{SUFFIX}")
        return Recorder(recording, started_s, self._submit)

    def _finish(self) -> bool:
        self._jobs.put(None)
        self._finishing.set()
        self._thread.join(_LAST_WRITES_S)
        return not self._thread.is_alive()

    def _submit(self, job: _Job) -> bool:
        if self._jobs.qsize() >= _WAITING_WRITES:
            self._on_failure("queue_full")
            return False
        self._jobs.put(job)
        return True

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                self._carry_out(job)
            except Exception as error:  # noqa: BLE001  # whatever one call's tape has, this thread writes all others
                self._on_failure(type(job).__name__.strip("_").lower())
                if not job.recording.failed:
                    job.recording.failed = True
                    reason = error.strerror if isinstance(error, OSError) else type(error).__name__
                    log.error("recording failed", call_id=job.recording.call_id, error=reason)
            if self._jobs.empty():
                self._finishing.wait(_COLLECT_S)

    def _carry_out(self, job: _Job) -> None:
        recording = job.recording
        match job:
            case _Write(_, start, left, right):
                # Opened by the first write, and again by a later one if the disk was full.
                recording.tape = recording.tape or Tape(recording.path, self._keys)
                recording.tape.write(start, left, right)
            case _Close():
                tape, recording.tape = recording.tape, None
                try:
                    if tape:
                        tape.close()
                finally:
                    self._on_closed(recording.path)
            case _:
                assert_never(job)
