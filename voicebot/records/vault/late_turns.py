"""What was being said when a server died, as turns of the record: heard from the recording, acted on by nobody. Pure.

Of what may hold a number there are no words, as there is no sound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from voicebot.records.overheard import Stretch
from voicebot.records.record import HEARD_LATE, Speaker, TurnRecord

_SPEAKERS: Mapping[str, Speaker] = {"caller": Speaker.CALLER, "bot": Speaker.AGENT}
_KEPT = f"{HEARD_LATE}: nobody acted on it"
_SILENT = f"{HEARD_LATE}: it may hold a number, and is silence"


def late_turns(stretches: Iterable[Stretch], after_ms: int) -> list[TurnRecord]:
    """Return turns for what was heard in `stretches` that end after `after_ms`, up to which the record goes."""
    return [_turn(each) for each in stretches if each.end_ms > after_ms and each.heard and each.heard.texts]


def _turn(stretch: Stretch) -> TurnRecord:
    assert stretch.heard is not None
    heard, at_ms = stretch.heard, stretch.start_ms
    turn = TurnRecord(
        _SPEAKERS[stretch.lane], "", at_ms=at_ms, heard_ms=stretch.end_ms - at_ms, engine=heard.engine, decision=_SILENT
    )
    if not stretch.kept:
        return turn
    words = tuple(replace(word, start_ms=at_ms + word.start_ms, end_ms=at_ms + word.end_ms) for word in heard.words)
    return replace(turn, text=heard.texts[0], confidence=heard.confidence, decision=_KEPT, words=words)
