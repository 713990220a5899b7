"""Stopping a live call's recording: both lanes fall silent, and the record says when and by whom."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from voicebot.dialog.actions import NoteConsent, ResumeRecording, StopRecording
from voicebot.dialog.recording import Consent, RecordingHold
from voicebot.records.control import LiveRecordings
from voicebot.records.record import RecordingPause
from voicebot.records.store import Store
from voicebot.records.tables import AUDIT


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


async def test_a_consent_goes_into_the_record_with_its_moment_and_into_the_audit_trail(tmp_path: Path) -> None:
    now_s = [100.0]
    async with Store.open(tmp_path, on_failure=print, now=lambda: datetime(2026, 11, 21, tzinfo=UTC)) as store:
        live = LiveRecordings(store.journal, lambda: now_s[0])
        store.journal.note_recording("c1", "2026-11-21/c1")
        live.opened("c1", _Recorder(), 90.0)
        live.steer("c1", NoteConsent(Consent.ANNOUNCED))
        now_s[0] = 104.25
        live.steer("c1", NoteConsent(Consent.AGREED))
        live.steer("nobody", NoteConsent(Consent.REFUSED))
        await store.journal.flush()
        found = await store.recordings.get("c1")
        assert found is not None
        assert (found.consent, found.consent_ms) == (Consent.AGREED, 14_250)
        async with store.database.connect() as connection:
            entries = (await connection.execute(select(AUDIT.c.action, AUDIT.c.subject))).all()
        assert [tuple(entry) for entry in entries] == [("recording_consent", "call:c1")] * 2


async def test_what_the_flow_stopped_no_person_resumes_and_the_other_way_round(tmp_path: Path) -> None:
    now_s, recorder = [100.0], _Recorder()
    async with Store.open(tmp_path, on_failure=print, now=lambda: datetime(2026, 11, 21, tzinfo=UTC)) as store:
        live = LiveRecordings(store.journal, lambda: now_s[0])
        store.journal.note_recording("c1", "2026-11-21/c1")
        live.opened("c1", recorder, 90.0)
        live.steer("c1", StopRecording(RecordingHold.POLICY))
        assert live.resume("c1")
        assert live.stop("c1", "dana")
        now_s[0] = 101.0
        live.steer("c1", ResumeRecording())
        assert recorder.switched == [(True, 100.0)]
        now_s[0] = 102.0
        assert live.resume("c1")
        assert recorder.switched == [(True, 100.0), (False, 102.0)]
        await store.journal.flush()
        found = await store.recordings.get("c1")
        assert found is not None
        assert found.pauses == (RecordingPause(10_000, 12_000, "policy"),)
