"""The search finds what was planted, however it is wrapped; only then does it count that it finds nothing else."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import pickle
import sqlite3
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tests.disk_search.search import sealed_audio, search
from voicebot.records.record import HeardWord, Outcome, Speaker, TurnRecord
from voicebot.records.recorder import Recordings
from voicebot.records.store import Store
from voicebot.records.vault.finishing import Finisher, FinishingPlan
from voicebot.records.vault.keys import RecordingKey, RecordingKeys
from voicebot.records.vault.objects import DiskObjects
from voicebot.records.vault.sealed import seal
from voicebot.telephony.leg import Channel, Direction, LegInfo

KEYS = RecordingKeys(RecordingKey.of(b"k" * 32))
PLANTED = "7391846205"
START = datetime(2026, 11, 21, 9, tzinfo=UTC)


def _zipped(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", content)
    return out.getvalue()


_WRAPPINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda content: content,
    "utf-16": lambda content: content.decode().encode("utf-16-le"),
    "base64": base64.b64encode,
    "url base64 after text": lambda content: b"x=" + base64.urlsafe_b64encode(content),
    "hex": lambda content: content.hex().encode(),
    "gzip": gzip.compress,
    "zlib inside something": lambda content: b"head" + zlib.compress(content) + b"tail",
    "bzip2": bz2.compress,
    "lzma": lzma.compress,
    "zip": _zipped,
    "pickle": lambda content: pickle.dumps({"said": content.decode()}),
    "pickled number": lambda _: pickle.dumps([int(PLANTED)]),
    "pickle in base64": lambda content: base64.b64encode(pickle.dumps(content)),
    "gzip in base64 in json": lambda content: json.dumps([base64.b64encode(gzip.compress(content)).decode()]).encode(),
}


@pytest.mark.parametrize("how", _WRAPPINGS)
def test_what_was_planted_is_found_through(how: str, tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    wrapped = _WRAPPINGS[how](f"it said {PLANTED} there".encode())
    (tmp_path / "deep" / "er" / "file").write_bytes(wrapped)
    assert search(tmp_path, PLANTED)
    assert not search(tmp_path, PLANTED[::-1])


@pytest.mark.parametrize(
    "text", ["seven three nine one eight four six two zero five", "7391 8462 05", "7391-8462-05", "7 3 9 1 8 4 6 2 0 5"]
)
def test_it_is_found_however_it_is_written(text: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text)
    assert search(tmp_path, PLANTED)


def test_it_is_found_in_a_sealed_file_and_in_a_database_that_was_not_checkpointed(tmp_path: Path) -> None:
    (tmp_path / "day").mkdir()
    (tmp_path / "day" / "a.flac").write_bytes(seal(gzip.compress(PLANTED.encode()), "day/a.flac", KEYS.current))
    assert not search(tmp_path, PLANTED)
    assert search(tmp_path, PLANTED, KEYS)
    (tmp_path / "day" / "a.flac").unlink()
    connection = sqlite3.connect(tmp_path / "x.sqlite3")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE said (text)")
    connection.execute("INSERT INTO said VALUES (?)", (PLANTED,))
    connection.commit()
    assert [hit.path.name for hit in search(tmp_path, PLANTED)] == ["x.sqlite3-wal"]
    connection.close()


CARD = "4539148803436467"
CARD_WORDS = "four five three nine one four eight eight zero three four three six four six seven"
PIN = "83517264"
RATE_HZ, FRAME = 8000, 160


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store.open(tmp_path / "data", on_failure=lambda _: None) as opened:
        yield opened


async def test_after_a_call_nothing_on_disk_holds_a_secret_or_a_card_said_where_nobody_asked(
    tmp_path: Path, store: Store
) -> None:
    """A card is said from 2 to 10 s, a secret one from 12 to 14 s; both loud, the rest of the call soft."""
    data = tmp_path / "data"
    journal = store.journal
    plan = FinishingPlan(data / "tapes", DiskObjects(data / "recordings"), KEYS)
    finisher = Finisher(plan, store.recordings, written=journal.flush, on_failure=lambda _: None)
    async with finisher.working():
        recorders = Recordings(
            plan.tapes, keys=KEYS, now=lambda: START, on_failure=lambda _: None, on_closed=finisher.tape_closed
        )
        async with recorders:
            recorder = recorders.start("c1", 100.0)
            for number in range(16 * 50):
                at_s = 100 + (number + 1) / 50
                if number in {12 * 50, 14 * 50}:
                    recorder.secret(number == 12 * 50, at_s)
                loud = 2 * 50 <= number < 10 * 50 or 12 * 50 < number < 14 * 50
                recorder.heard((b"\x80" if loud else b"\x70") * FRAME, at_s)
            journal.begin_call("c1", LegInfo("c1", Channel.TWILIO, Direction.INBOUND, "+15550100", "+1"), START, "f")
            journal.note_recording("c1", "2026-11-21/c1")
            words = [
                HeardWord(word, 2000 + 500 * at, 2500 + 500 * at, 0.9) for at, word in enumerate(CARD_WORDS.split())
            ]
            for half in (words[:6], words[6:]):  # split over two turns
                said = " ".join(word.text for word in half)
                turn = TurnRecord(
                    Speaker.CALLER,
                    said,
                    at_ms=half[0].start_ms,
                    heard_ms=500 * len(half),
                    words=tuple(half),
                    alternatives=(said,),
                    decision=f"welcome.more: not understood ({said})",
                )
                journal.add_turn("c1", turn)
                journal.add_turn("c1", TurnRecord(Speaker.BOT, "Go on.", prompt="pattern.go_on"))
            journal.add_turn("c1", TurnRecord(Speaker.CALLER, PIN, at_ms=12_000, secret=True, slots={"pin": PIN}))
            journal.end_call("c1", START, Outcome.COMPLETED, "we_hung_up")
            await journal.flush()
            recorder.close()

    record = await store.get("c1")
    assert record is not None
    assert [turn["text"] for turn in record["turns"]] == ["[number]", "Go on.", "[card number]", "Go on.", ""]
    for digits in (CARD, CARD[:6], CARD[6:], PIN):
        assert search(data, digits, KEYS) == []
    (_, samples), *others = sealed_audio(data, KEYS)
    assert others == []
    quiet = np.abs(samples[:, 0].astype(int))
    loudest = quiet.max()
    assert 0 < loudest < 1000  # the soft rest is there, and nothing of what was loud
    assert not quiet[2 * RATE_HZ : 10 * RATE_HZ].any()
    assert not quiet[12 * RATE_HZ + FRAME : 14 * RATE_HZ].any()
    (data / "planted").write_text(CARD)
    assert search(data, CARD, KEYS)
