"""What is due is deleted once a day at its time, on a clock that a test turns."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.exc import OperationalError

from voicebot.app.retention import retain_daily
from voicebot.dialog.outcome import Outcome
from voicebot.errors import ConfigurationError
from voicebot.records.disposal import Disposal
from voicebot.records.retention import DataKind, Retention
from voicebot.settings import load_settings


class _Days(Disposal):
    """A disposal that only notes when it ran, and fails on the second day."""

    def __init__(self, trouble: Exception) -> None:
        self.trouble = trouble
        self.clock = datetime(2026, 11, 21, 1, 30, tzinfo=UTC)
        self.ran: list[datetime] = []

    def now(self) -> datetime:
        return self.clock

    async def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 600
        self.clock += timedelta(seconds=seconds)
        if self.clock > datetime(2026, 11, 24, tzinfo=UTC):
            raise asyncio.CancelledError

    async def retain(self, retention: Retention, *, instance: str | None = None) -> Counter[DataKind]:
        self.ran.append(self.clock)
        if len(self.ran) == 2:
            raise self.trouble
        return Counter(dict.fromkeys(DataKind, 0))


@pytest.mark.parametrize("trouble", [OperationalError("", None, OSError("gone")), ZeroDivisionError("not foreseen")])
async def test_it_runs_at_its_time_every_day_and_a_day_that_fails_stops_none(trouble: Exception) -> None:
    days, failures = _Days(trouble), Counter[str]()
    with pytest.raises(asyncio.CancelledError):
        await retain_daily(
            days,
            Retention(),
            at=time(3),
            zone=ZoneInfo("Europe/Berlin"),
            instance=None,
            now=days.now,
            on_failure=lambda: failures.update(["failed"]),
            sleep=days.sleep,
        )
    assert days.ran == [datetime(2026, 11, day, 2, tzinfo=UTC) for day in (21, 22, 23)]
    assert failures == {"failed": 1}


def test_the_settings_name_periods_by_kind_and_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("voicebot.toml").write_text(
        "[retention]\naudio_days = 90\naudit_days = 3650\n[retention.outcomes.failed]\naudio_days = 365\n"
    )
    monkeypatch.setenv("VOICEBOT_RETENTION__TRANSCRIPT_DAYS", "180")
    assert load_settings().retention.policy == Retention(
        {DataKind.AUDIO: 90, DataKind.TRANSCRIPT: 180, DataKind.AUDIT: 3650}, {Outcome.FAILED: {DataKind.AUDIO: 365}}
    )


@pytest.mark.parametrize("line", ["audio_day = 3", "audio_days = -1", "outcomes.odd.audio_days = 3"])
def test_a_period_that_makes_no_sense_is_refused(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("voicebot.toml").write_text(f"[retention]\n{line}\n")
    with pytest.raises(ConfigurationError, match=r"`retention\."):
        load_settings()
