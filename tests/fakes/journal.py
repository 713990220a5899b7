"""A journal that keeps a call's entries in memory."""

from __future__ import annotations

from datetime import datetime

from voicebot.dialog.recording import Consent
from voicebot.records.record import Outcome, TurnRecord
from voicebot.telephony.leg import LegInfo


class MemoryJournal:
    def __init__(self) -> None:
        self.begun: list[str] = []
        self.turns: list[TurnRecord] = []
        self.goals: list[tuple[str, bool]] = []
        self.outcome: Outcome | None = None
        self.cause = ""
        self.consents: list[tuple[Consent, int]] = []
        self.ends = 0
        self.dictation = ""

    def begin_call(self, call_id: str, info: LegInfo, started_at: datetime, flow_version: str) -> None:
        self.begun.append(call_id)

    def note_recording(self, call_id: str, path: str) -> None:
        pass

    def note_consent(self, call_id: str, consent: Consent, at_ms: int) -> None:
        self.consents.append((consent, at_ms))

    def add_turn(self, call_id: str, turn: TurnRecord) -> None:
        self.turns.append(turn)

    def set_goal(self, call_id: str, goal: str, *, reached: bool) -> None:
        self.goals.append((goal, reached))

    def note_dictation(self, call_id: str, note: str) -> None:
        self.dictation = note

    def end_call(self, call_id: str, ended_at: datetime, outcome: Outcome, cause: str) -> None:
        self.outcome = outcome
        self.cause = cause
        self.ends += 1
