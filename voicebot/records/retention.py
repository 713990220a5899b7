"""How long what is kept of a call may be kept: a period for each kind of data, others for some outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, false, or_

from voicebot.records.record import Outcome
from voicebot.records.tables import CALLS


class DataKind(StrEnum):
    """`TRANSCRIPT` is what was said and read from it, `RECORD` the call with all of it, `AUDIT` what entries say."""

    AUDIO = "audio"
    TRANSCRIPT = "transcript"
    RECORD = "record"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True)
class Retention:
    """Days after a call's end, by kind; a kind without any is kept for ever. `by_outcome` goes before `days`."""

    days: Mapping[DataKind, int] = field(default_factory=dict)
    by_outcome: Mapping[Outcome, Mapping[DataKind, int]] = field(default_factory=dict)

    def due(self, kind: DataKind, now: datetime) -> ColumnElement[bool]:
        """Return the condition under which a call's data of this kind have been kept for long enough."""
        others = {outcome: days[kind] for outcome, days in self.by_outcome.items() if kind in days}
        parts = [
            and_(CALLS.c.outcome == outcome.value, CALLS.c.ended_at < now - timedelta(days=days))
            for outcome, days in others.items()
        ]
        if kind in self.days:
            before = CALLS.c.ended_at < now - timedelta(days=self.days[kind])
            parts.append(and_(CALLS.c.outcome.not_in([outcome.value for outcome in others]), before))
        return or_(false(), *parts)
