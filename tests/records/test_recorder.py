"""A call's recording on disk: what was heard, what was really played, what must not be there, and disks that fail."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from voicebot import g711
from voicebot.errors import VoicebotError
from voicebot.g711 import Pcm
from voicebot.records.recorder import Recorder, Recordings
from voicebot.records.tape import Tape, is_being_written, read_blocks, read_tape
from voicebot.records.vault.keys import RecordingKey, RecordingKeys

FRAME = 160
START_S = 100.0
TWENTY_MS = 0.02
KEYS = RecordingKeys(RecordingKey.of(b"k" * 32))


def _now() -> datetime:
    return datetime(2026, 11, 21, 10, 30, tzinfo=UTC)


def _tone(level: int) -> bytes:
    """One frame whose samples all have a level, so that a test can tell frames apart."""
    return g711.encode(np.full(FRAME, level, dtype=np.int16))


def _level(coded: int) -> int:
    """What a level becomes in mu-law."""
    return int(g711.decode(g711.encode(np.array([coded], dtype=np.int16)))[0])


class _Failures(list[str]):
    def __call__(self, kind: str) -> None:
        self.append(kind)


def _opened(folder: Path, failures: Callable[[str], None], closed: list[Path] | None = None) -> Recordings:
    on_closed = (closed if closed is not None else []).append
    return Recordings(folder, keys=KEYS, now=_now, on_failure=failures, on_closed=on_closed)


def _lanes(path: Path) -> tuple[Pcm, Pcm]:
    """Return the caller's lane and the bot's as samples."""
    lanes = read_tape(path, KEYS).lanes
    return g711.decode(lanes[:, 0].tobytes()), g711.decode(lanes[:, 1].tobytes())


async def _recorded(folder: Path, call: Callable[[Recorder], None]) -> tuple[Pcm, Pcm]:
    """Record what `call` does; return the caller's lane and the bot's."""
    failures = _Failures()
    closed: list[Path] = []
    async with _opened(folder, failures, closed) as recordings:
        recorder = recordings.start("call-1", START_S)
        call(recorder)
        recorder.close()
    assert failures == []
    assert closed == [folder / "2026-11-21" / "call-1.tape"]
    return _lanes(closed[0])


async def test_both_lanes_share_one_clock(tmp_path: Path) -> None:
    def call(recorder: Recorder) -> None:
        for number in range(100):
            at_s = START_S + (number + 1) * TWENTY_MS
            recorder.heard(_tone(1000), at_s)
            if 20 <= number < 40:
                recorder.sent(_tone(-2000), at_s)
            if 30 <= number < 50:  # heard 200 ms after it was sent
                recorder.played((number - 29) * FRAME, at_s)

    caller, bot = await _recorded(tmp_path, call)
    assert len(caller) == 100 * FRAME
    assert set(caller.tolist()) == {_level(1000)}
    heard = np.flatnonzero(bot)
    assert (heard[0], heard[-1]) == (30 * FRAME, 50 * FRAME - 1)
    assert set(bot[heard].tolist()) == {_level(-2000)}


async def test_speech_cut_by_the_caller_is_recorded_as_far_as_it_was_heard(tmp_path: Path) -> None:
    def call(recorder: Recorder) -> None:
        for number in range(25):  # half a second of the first prompt
            recorder.sent(_tone(3000), START_S + number * TWENTY_MS)
        recorder.played(5 * FRAME, START_S + 0.1)
        recorder.played(10 * FRAME, START_S + 0.2)
        recorder.cut(12 * FRAME + 40, START_S + 0.245)
        for number in range(10):
            recorder.sent(_tone(-3000), START_S + 1 + number * TWENTY_MS)
        # Positions go on counting what was dropped.
        recorder.played(35 * FRAME, START_S + 1.2)
        recorder.heard(_tone(0), START_S + 3)

    _, bot = await _recorded(tmp_path, call)
    assert np.count_nonzero(bot == _level(3000)) == 12 * FRAME + 40
    assert np.count_nonzero(bot == _level(-3000)) == 10 * FRAME
    assert np.flatnonzero(bot == _level(-3000))[0] == 8000


async def test_speech_sent_and_never_heard_is_not_recorded(tmp_path: Path) -> None:
    def call(recorder: Recorder) -> None:
        for number in range(100):
            recorder.sent(_tone(3000), START_S + number * TWENTY_MS)
            recorder.heard(_tone(1000), START_S + (number + 1) * TWENTY_MS)

    _, bot = await _recorded(tmp_path, call)
    assert not bot.any()


async def test_a_secret_is_silence_from_its_begin_to_half_a_second_after_its_end(tmp_path: Path) -> None:
    def call(recorder: Recorder) -> None:
        for number in range(300):
            if number == 100:
                recorder.secret(True, START_S + number * TWENTY_MS)
            if number == 200:
                recorder.secret(False, START_S + number * TWENTY_MS)
            recorder.sent(_tone(500), START_S + number * TWENTY_MS)
            recorder.heard(_tone(1000), START_S + (number + 1) * TWENTY_MS)
            recorder.played((number + 1) * FRAME, START_S + (number + 1) * TWENTY_MS)

    caller, bot = await _recorded(tmp_path, call)
    assert not caller[100 * FRAME : 225 * FRAME].any()
    assert caller[: 100 * FRAME].all()
    assert caller[225 * FRAME :].all()
    assert bot.all()


async def test_a_secret_that_the_bot_would_repeat_is_silent_on_its_lane_too(tmp_path: Path) -> None:
    def call(recorder: Recorder) -> None:
        recorder.secret(True, START_S + 1, bot=True)
        for number in range(200):
            if number == 100:
                recorder.secret(False, START_S + 2)
            recorder.sent(_tone(500), START_S + number * TWENTY_MS)
            recorder.played((number + 1) * FRAME, START_S + (number + 1) * TWENTY_MS)

    _, bot = await _recorded(tmp_path, call)
    assert bot[:8000].all()
    assert not bot[8000:20_000].any()
    assert bot[20_000:].all()


async def test_secret_speech_that_a_stalled_network_delivers_late_is_silence_all_the_same(tmp_path: Path) -> None:
    def call(recorder: Recorder) -> None:
        for number in range(50):
            recorder.heard(_tone(1000), START_S + (number + 1) * TWENTY_MS)
        recorder.secret(True, START_S + 1.1)
        recorder.secret(False, START_S + 1.2)  # over, guard included, at 1.7 s
        for _ in range(50, 140):  # spoken from 1.0 to 2.8 s, delivered at once at 2.8 s
            recorder.heard(_tone(1000), START_S + 2.8)
        for number in range(140, 200):
            recorder.heard(_tone(1000), START_S + (number + 1) * TWENTY_MS)

    caller, _ = await _recorded(tmp_path, call)
    assert not caller[8800:13_600].any()
    assert caller[:8000].all()
    assert caller[2 * 13_600 :].all()


async def test_a_secret_never_reaches_the_disk_not_even_for_a_moment(tmp_path: Path) -> None:
    def call(recorder: Recorder) -> None:
        recorder.heard(_tone(1000), START_S + TWENTY_MS)
        recorder.secret(True, START_S + TWENTY_MS)
        for number in range(1, 500):
            recorder.heard(_tone(-7000), START_S + (number + 1) * TWENTY_MS)

    await _recorded(tmp_path, call)
    # A tape only grows, so everything that was ever written to it is still there.
    written = b"".join(block.lanes.tobytes() for block in read_blocks(tmp_path / "2026-11-21" / "call-1.tape", KEYS))
    assert len(written) > 2 * 500 * FRAME - 8000
    assert _tone(1000)[:1] in written
    assert _tone(-7000)[:1] not in written


async def test_what_is_on_the_disk_shows_nothing_of_the_audio(tmp_path: Path) -> None:
    await _recorded(tmp_path, lambda recorder: recorder.heard(_tone(1000) * 50, START_S + 1))
    assert _tone(1000) not in (tmp_path / "2026-11-21" / "call-1.tape").read_bytes()


async def test_while_recording_is_stopped_both_lanes_are_silent_and_the_clock_goes_on(tmp_path: Path) -> None:
    def call(recorder: Recorder) -> None:
        for number in range(200):
            if number in {50, 100}:
                recorder.pause(number == 50, START_S + number * TWENTY_MS)
            recorder.sent(_tone(500), START_S + number * TWENTY_MS)
            recorder.heard(_tone(1000), START_S + (number + 1) * TWENTY_MS)
            recorder.played((number + 1) * FRAME, START_S + (number + 1) * TWENTY_MS)

    for lane in await _recorded(tmp_path, call):
        assert lane[: 50 * FRAME].all()
        # As after a secret, tones are on the line a moment longer.
        assert not lane[50 * FRAME : 125 * FRAME].any()
        assert lane[125 * FRAME :].all()
        assert len(lane) == 200 * FRAME


async def test_the_file_belongs_to_its_user_alone(tmp_path: Path) -> None:
    await _recorded(tmp_path / "recordings", lambda recorder: recorder.heard(_tone(1), START_S + 1))
    path = tmp_path / "recordings" / "2026-11-21" / "call-1.tape"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("call_id", ["", "../../etc/passwd", "a/b", ".hidden", "a" * 200, "a\0b", "-x"])
async def test_a_call_id_that_is_no_file_name_is_refused(tmp_path: Path, call_id: str) -> None:
    async with _opened(tmp_path, _Failures()) as recordings:
        with pytest.raises(ValueError, match="call id"):
            recordings.start(call_id, START_S)


async def test_a_full_disk_is_counted_and_recording_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    full = threading.Event()

    def sometimes(file: int, data: bytes, offset: int) -> int:
        if full.is_set():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwrite(file, data, offset)

    monkeypatch.setattr(os, "pwrite", sometimes)
    failures = _Failures()
    closed: list[Path] = []
    async with _opened(tmp_path, failures, closed) as recordings:
        recorder = recordings.start("call-1", START_S)
        for number in range(300):
            if number == 100:
                await _drained(recordings, closed)
                full.set()
            if number == 200:
                await _drained(recordings, closed)
                full.clear()
            recorder.heard(_tone(1000), START_S + (number + 1) * TWENTY_MS)
        recorder.close()
    assert set(failures) == {"write"}
    caller = _lanes(recorder.path)[0]
    assert len(caller) == 300 * FRAME
    assert caller[: 100 * FRAME].all()
    assert not caller[110 * FRAME : 190 * FRAME].any()
    assert caller[200 * FRAME :].all()


async def _drained(recordings: Recordings, closed: list[Path]) -> None:
    """Wait until all that was given to the recorder so far is written: another call's tape is closed after that."""
    before = len(closed)
    async with asyncio.timeout(20):
        while len(closed) == before:
            # Again and again, as a queue that is full takes nothing.
            recordings.start("last", START_S).close()
            await asyncio.sleep(0.01)


async def test_a_disk_full_from_the_start_leaves_no_file_behind_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    attempts = []

    def first_fails(file: int, data: bytes, offset: int) -> int:
        attempts.append(offset)
        if len(attempts) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwrite(file, data, offset)

    monkeypatch.setattr(os, "pwrite", first_fails)
    failures = _Failures()
    async with _opened(tmp_path, failures) as recordings:
        recorder = recordings.start("call-1", START_S)
        for number in range(100):
            recorder.heard(_tone(1000), START_S + (number + 1) * TWENTY_MS)
        recorder.close()
    assert failures == ["write"]
    caller = _lanes(recorder.path)[0]
    assert caller[50 * FRAME :].all()


async def test_a_tape_that_breaks_down_leaves_those_of_other_calls_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Tape.write

    def choosy(tape: Tape, start: int, left: bytes, right: bytes) -> None:
        if left[:1] == _tone(1000)[:1]:
            raise ZeroDivisionError("nobody foresaw it")
        write(tape, start, left, right)

    monkeypatch.setattr(Tape, "write", choosy)
    failures = _Failures()
    async with _opened(tmp_path, failures) as recordings:
        broken, other = recordings.start("call-1", START_S), recordings.start("call-2", START_S)
        broken.heard(_tone(1000), START_S + TWENTY_MS)
        broken.close()
        other.heard(_tone(3000), START_S + TWENTY_MS)
        other.close()
    assert failures == ["write"]
    assert _lanes(other.path)[0].any()


async def test_a_hanging_disk_holds_nobody_up_and_memory_stays_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    go = threading.Event()

    def hang(file: int, data: bytes, offset: int) -> int:
        go.wait(60)
        return pwrite(file, data, offset)

    monkeypatch.setattr(os, "pwrite", hang)
    monkeypatch.setattr("voicebot.records.recorder._WAITING_WRITES", 4)
    failures = _Failures()
    closed: list[Path] = []
    async with _opened(tmp_path, failures, closed) as recordings:
        recorder = recordings.start("call-1", START_S)
        for number in range(50 * 60):
            recorder.heard(_tone(1000), START_S + (number + 1) * TWENTY_MS)
        assert "queue_full" in failures
        assert len(recorder._caller._audio) <= 11 * 8000
        go.set()
        await _drained(recordings, closed)
        recorder.heard(_tone(1000), START_S + 61)
        recorder.close()
    caller = _lanes(recorder.path)[0]
    assert caller[-FRAME:].all()
    assert caller[-5 * 8000 : -8000].all()  # what memory still held was written


async def test_closing_twice_does_no_harm(tmp_path: Path) -> None:
    def call(recorder: Recorder) -> None:
        recorder.heard(_tone(1000), START_S + TWENTY_MS)
        recorder.close()

    caller, _ = await _recorded(tmp_path, call)
    assert len(caller) == FRAME


_CRASHING = """
import asyncio, os, sys, time
from datetime import UTC, datetime
from pathlib import Path
from voicebot.records.recorder import Recordings
from voicebot.records.vault.keys import RecordingKey, RecordingKeys

async def main():
    day = lambda: datetime(2026, 11, 21, tzinfo=UTC)
    keys = RecordingKeys(RecordingKey.of(b"k" * 32))
    async with Recordings(Path(sys.argv[1]), keys=keys, now=day, on_failure=print, on_closed=print) as recordings:
        started = time.monotonic()
        recorder = recordings.start("crash", started)
        for number in range(1, 10_000):
            await asyncio.sleep(max(0, started + number * 0.02 - time.monotonic()))
            recorder.heard(bytes([0x10]) * 160, started + number * 0.02)
            print(number, flush=True)

asyncio.run(main())
"""


def test_a_killed_process_leaves_a_playable_file_that_misses_less_than_a_second(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", _CRASHING, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    heard = 0
    for line in process.stdout:
        heard = int(line)
        if heard == 140:
            process.send_signal(signal.SIGKILL)
            break
    process.wait(10)
    tape = tmp_path / "2026-11-21" / "crash.tape"
    assert not is_being_written(tape)
    caller, _ = _lanes(tape)
    assert len(caller) / 8000 > heard * TWENTY_MS - 1.0
    assert caller.all()


def test_a_hole_in_a_tape_is_silence(tmp_path: Path) -> None:
    tape = Tape(tmp_path / "t.tape", KEYS)
    tape.write(100, b"\x10" * 10, b"\x20" * 10)
    tape.write(50, b"\x30" * 10, b"\xff" * 10)
    assert is_being_written(tmp_path / "t.tape")
    tape.close()
    assert not is_being_written(tmp_path / "t.tape")
    caller, bot = _lanes(tmp_path / "t.tape")
    assert len(caller) == 110
    assert np.flatnonzero(caller).tolist() == [*range(50, 60), *range(100, 110)]
    assert np.flatnonzero(bot).tolist() == [*range(100, 110)]


def test_a_tape_does_not_overwrite_an_older_one(tmp_path: Path) -> None:
    Tape(tmp_path / "t.tape", KEYS).close()
    with pytest.raises(FileExistsError):
        Tape(tmp_path / "t.tape", KEYS)


def test_a_tape_torn_anywhere_keeps_every_whole_block_before(tmp_path: Path) -> None:
    tape = Tape(tmp_path / "t.tape", KEYS)
    for number in range(3):
        tape.write(10 * number, bytes([number + 1]) * 10, bytes([number + 1]) * 10)
    tape.close()
    whole = (tmp_path / "t.tape").read_bytes()
    header, block = 32, (len(whole) - 32) // 3
    for end in range(header, len(whole)):
        (tmp_path / "t.tape").write_bytes(whole[:end])
        content = read_tape(tmp_path / "t.tape", KEYS)
        assert len(content.lanes) == 10 * ((end - header) // block)
        assert content.lost_bytes == (end - header) % block


@pytest.mark.parametrize("at", [0, 9, 20, 33, 45, 60, 90])
def test_a_tape_that_was_changed_is_not_believed(tmp_path: Path, at: int) -> None:
    tape = Tape(tmp_path / "t.tape", KEYS)
    tape.write(0, b"\x10" * 20, b"\x20" * 20)
    tape.close()
    changed = bytearray((tmp_path / "t.tape").read_bytes())
    changed[at] ^= 1
    (tmp_path / "t.tape").write_bytes(changed)
    try:
        lanes = read_tape(tmp_path / "t.tape", KEYS).lanes
    except VoicebotError:
        return
    assert not lanes.size
