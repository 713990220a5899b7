"""Stopping a live call's recording: both lanes fall silent, and the record says when and by whom."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from voicebot.records.control import LiveRecordings
from voicebot.records.store import Store


class _Recorder:
    def __init__(self) -> None:
        self.switched: list[tuple[bool, float]] = []

    def pause(self, on: bool, at_s: float) -> None:
        self.switched.append((on, at_s))


async def test_pauses_go_into_the_record_with_who_asked_for_them(tmp_path: Path) -> None:
    now_s, recorder = [100.0], _Recorder()
    async with Store.open(tmp_path, on_failure=print, now=lambda: datetime(2026, 11, 21, tzinfo=UTC)) as store:
        live = LiveRecordings(store.journal, lambda: now_s[0])
        store.journal.note_recording("c1", "2026-11-21/c1")
        live.opened("c1", recorder, 90.0)
        assert live.stop("c1", "dana")
        assert live.stop("c1", "eve")  # it is stopped already
        now_s[0] = 105.5
        assert live.resume("c1")
        assert live.resume("c1")
        now_s[0] = 110.0
        assert live.stop("c1", "eve")
        await store.journal.flush()
        found = await store.recordings.get("c1")
        assert found is not None
        assert [(pause.start_ms, pause.end_ms, pause.by) for pause in found.pauses] == [
            (10_000, 15_500, "dana"),
            (20_000, None, "eve"),
        ]
        assert recorder.switched == [(True, 100.0), (False, 105.5), (True, 110.0)]
        live.closed("c1")
        assert not live.stop("c1", "dana")
        assert not live.resume("c1")
