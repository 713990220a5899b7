"""A made-up call with everything that a call's page can show, and a recording in which tones stand for speech."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from pydantic import JsonValue
from sqlalchemy import insert

from tests.fakes.recordings import FakeRecording
from voicebot.records.record import (
    BackendCall,
    CallRecord,
    Consent,
    HeardWord,
    IntentReading,
    Outcome,
    RecordingPause,
    RecordingRecord,
    RecordingState,
    Redaction,
    Speaker,
    TurnRecord,
)
from voicebot.records.schema import call_document
from voicebot.records.store import Store
from voicebot.records.tables import RECORDINGS
from voicebot.records.vault.codec import Codec, encode
from voicebot.records.vault.waveform import to_json, waveform_of

BEGAN = datetime(2026, 3, 5, 14, 5, tzinfo=UTC)
_RATE_HZ = 8000
_PLEA = "well I really want to know where my order is please".split()
_ACTED: dict[str, JsonValue] = {
    "policy": "0a1b2c3d4e5f6071",
    "about": "order_status",
    "type": "default",
    "score": 0.62,
    "parts": [["negativity", 0.7, 0.5, 0.35], ["uncertainty", 0.41, 0.66, 0.27]],
    "threshold": 0.6,
    "rung": "callback",
    "rule": "score",
    "held": None,
}
_HELD = _ACTED | {
    "score": 0.1,
    "rung": None,
    "rule": "",
    "threshold": 0.35,
    "held": "the score is below every rung that is left",
}
_SIGNALS: dict[str, JsonValue] = {"uncertainty": 0.41, "negativity": 0.7, "angry_turns": 2, "decision": _ACTED}
_CALM: dict[str, JsonValue] = {"uncertainty": 0.066, "decision": _HELD}


def short_call() -> CallRecord:
    """Return a call of 40 s: an interruption, a secret, a redaction, an escalation, and 12 s of silence."""
    return _call(
        "short",
        40_000,
        (
            TurnRecord(
                Speaker.BOT,
                "Welcome to Harbour and Finch. How can I help you today? You can say balance, order or appointment.",
                at_ms=200,
                heard_ms=3800,
                heard_text="Welcome to Harbour and Finch. How can I help you",
                prompt="welcome.first",
                decision="welcome.say: started (twilio)",
            ),
            TurnRecord(
                Speaker.CALLER,
                "where is my order",
                at_ms=3600,
                heard_ms=1600,
                over_prompt=True,
                intent="order_status",
                confidence=0.934,
                intents=(IntentReading("order_status", 0.934), IntentReading("return_item", 0.041)),
                backend_calls=(BackendCall("orders.status", "ok", 37.9),),
                decision="welcome.first: intent; order_status.say: started",
                engine="whisper",
                alternatives=("where is my aunt", "where's my order"),
                words=tuple(
                    HeardWord(text, 3600 + 400 * n, 3900 + 400 * n, 0.3 if text == "my" else 0.9)
                    for n, text in enumerate("where is my order".split())
                ),
                timings_ms=_timings(0),
                signals=_CALM,
            ),
            TurnRecord(Speaker.BOT, "And the four digit PIN?", at_ms=5900, heard_ms=1500, prompt="auth.pin"),
            TurnRecord(Speaker.CALLER, "", at_ms=8000, heard_ms=1500, secret=True, engine="keys"),
            TurnRecord(Speaker.BOT, "One moment, I look it up.", at_ms=10_000, heard_ms=1500),
            TurnRecord(Speaker.BOT, "Your order leaves our house tomorrow.", at_ms=23_500, heard_ms=2500),
            TurnRecord(
                Speaker.CALLER,
                "you said that last week my card is [card] this is a joke",
                at_ms=27_000,
                heard_ms=4000,
                intent="complaint",
                confidence=0.71,
                intents=(IntentReading("complaint", 0.71), IntentReading("order_status", 0.17)),
                backend_calls=(BackendCall("orders.status", "no_such_order", 41.6),),
                slots={"order_number": "4711"},
                decision="order_status.more: intent",
                engine="whisper",
                timings_ms=_timings(80),
                signals=_SIGNALS,
                redactions=(Redaction("card", 28_500, 30_000),),
            ),
            TurnRecord(
                Speaker.BOT,
                "I am sorry. Shall somebody call you back this afternoon?",
                at_ms=32_000,
                heard_ms=4000,
                decision="escalation.offer: callback",
            ),
        ),
        pauses=(RecordingPause(8000, 9500, "flow"),),
    )


def long_call(*, minutes: int = 30, turns: int = 300) -> CallRecord:
    """Return a call of many turns, each with words, timings, signals and a decision."""
    step_ms = minutes * 60_000 // turns
    made = []
    for number in range(turns):
        at_ms = number * step_ms
        if number % 2 == 0:
            text = "Your order leaves our house tomorrow, and the invoice follows by e-mail. Is there anything else?"
            cut = text[:40] if number % 10 == 0 else None
            made.append(
                TurnRecord(
                    Speaker.BOT, text, at_ms=at_ms, heard_ms=step_ms - 200, heard_text=cut, prompt="order_status.say"
                )
            )
            continue
        words = [_PLEA[(number + n) % len(_PLEA)] for n in range(12)]
        made.append(
            TurnRecord(
                Speaker.CALLER,
                " ".join(words),
                at_ms=at_ms,
                heard_ms=step_ms // 2,
                over_prompt=number % 10 == 1,
                intent="order_status",
                confidence=0.8,
                decision="order_status.more: intent; order_status.say: started",
                engine="whisper",
                alternatives=(" ".join(words[1:]), " ".join(words[:-1])),
                words=tuple(
                    HeardWord(text, at_ms + 200 * n, at_ms + 200 * n + 150, 0.9) for n, text in enumerate(words)
                ),
                timings_ms=_timings(number % 90),
                signals=_SIGNALS if number % 30 == 29 else _CALM,
            )
        )
    return _call("long", minutes * 60_000, tuple(made))


def unrecorded(call: CallRecord, state: RecordingState | None) -> Mapping[str, Any]:
    """Return the record of a call whose recording is in `state`, None when there never was one."""
    recording = replace(call.recording, state=state) if call.recording and state else None
    return call_document(replace(call, recording=recording))


def recording_of(call: CallRecord) -> FakeRecording:
    """Return a recording as the vault keeps it, with a tone in a lane wherever its turns say that somebody spoke."""
    duration_ms = call.recording.duration_ms if call.recording else None
    samples = np.zeros(((duration_ms or 0) * _RATE_HZ // 1000, 2), dtype=np.int16)
    for turn in call.turns:
        start, end = (ms * _RATE_HZ // 1000 for ms in (turn.at_ms, turn.at_ms + turn.heard_ms))
        at_s = np.arange(end - start) / _RATE_HZ
        tone = 6000 * np.sin(2 * np.pi * 220 * at_s) * np.abs(np.sin(2 * np.pi * 1.3 * at_s))
        samples[start:end, 0 if turn.speaker is Speaker.CALLER else 1] = tone[: len(samples) - start]
    return FakeRecording(encode(samples, Codec.FLAC), waveform=to_json(waveform_of(samples)))


async def keep(store: Store, call: CallRecord) -> None:
    """Write a call that was recorded and is over as a server does that has taken it."""
    assert call.recording is not None
    assert call.ended_at is not None
    assert call.outcome is not None
    store.journal.begin_call(call.id, call, call.started_at, call.flow_version)
    for turn in call.turns:
        store.journal.add_turn(call.id, turn)
    if call.goal:
        store.journal.set_goal(call.id, call.goal, reached=call.goal_reached)
    store.journal.end_call(call.id, call.ended_at, call.outcome, call.cause or "")
    await store.journal.flush()
    recording = {name: value for name, value in asdict(call.recording).items() if name in RECORDINGS.c}
    async with store.database.begin() as connection:
        await connection.execute(insert(RECORDINGS), [recording | {"call_id": call.id}])


def _call(
    call_id: str, duration_ms: int, turns: Sequence[TurnRecord], pauses: tuple[RecordingPause, ...] = ()
) -> CallRecord:
    return CallRecord(
        id=call_id,
        channel="twilio",
        started_at=BEGAN,
        ended_at=BEGAN + timedelta(milliseconds=duration_ms),
        outcome=Outcome.COMPLETED,
        cause="we_hung_up",
        goal="order_status",
        goal_reached=True,
        flow_version="0123456789abcdef",
        caller="+15550100",
        called="+15550199",
        recording=RecordingRecord(
            path=f"recordings/{call_id}.flac",
            state=RecordingState.READY,
            codec="flac",
            duration_ms=duration_ms,
            consent=Consent.ANNOUNCED,
            consent_ms=1200,
            pauses=pauses,
        ),
        turns=tuple(turns),
    )


def _timings(later_ms: float) -> dict[str, float]:
    stages = ("end_of_turn", "final", "decision", "first_audio_queued", "first_audio_sent")
    reached = (300.0, 440.5, 455.2, 470.0, 471.1)
    return {name: ms + later_ms for name, ms in zip(stages, reached, strict=True)} | {"decode": 120.0}
