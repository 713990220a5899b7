"""What a caller and an agent say to each other, taken down: heard in passages, written down, put into the record.

Both sides go into the record as turns of the call, in the order in which they ended. Nothing is heard while the call is
not recorded: whoever agreed to neither is written down as little as recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import structlog

from voicebot.calls.transfer.seams import ShowLine, TalkLine
from voicebot.calls.turns import in_recording
from voicebot.media.bridge import Observe, Side
from voicebot.records.record import SPOTTED, Speaker, TurnRecord
from voicebot.records.redacting import TurnRedactor
from voicebot.speech.dictation import Dictation, Written
from voicebot.speech.listening.passages import Passage, PassageFinder
from voicebot.speech.listening.vad import VoiceJudge
from voicebot.speech.scribe import Unwritten
from voicebot.telephony.leg import FrameReceived, LegEvent

log = structlog.get_logger(__name__)

#: How long the end of a call waits for what was said last to be written.
LAST_WORDS_S = 10.0
#: After recording was stopped nothing is heard for so long: what was said to be kept out is on the line a moment more.
_LATE_ON_THE_LINE_S = 0.5
_SPEAKERS: Mapping[Side, Speaker] = {Side.CALLER: Speaker.CALLER, Side.AGENT: Speaker.AGENT, Side.THIRD: Speaker.AGENT}
#: Stands between spotted phrases for what nobody wrote down.
_GAP = "…"
_WHY_NOT: Mapping[Unwritten, str] = {
    Unwritten.BUSY: "not written down: too much was waiting",
    Unwritten.FAILED: "not written down: the engine failed",
}
_TOO_LATE = "not written down: the call was over before"
_NOT_RECORDED = "Not written down: the call is not recorded."


class Journal(Protocol):
    def add_turn(self, call_id: str, turn: TurnRecord) -> None: ...
    def note_dictation(self, call_id: str, note: str) -> None: ...


class Writes(Protocol):
    """The server's `Scribe`."""

    def write(self, dictation: Dictation, pcm: bytes) -> asyncio.Future[Written | Unwritten]: ...


@dataclass(frozen=True, slots=True)
class _Pending:
    side: Side
    passage: Passage
    written: asyncio.Future[Written | Unwritten]


class WrittenTalk:
    """The talk of one call, through however many agents. See `voicebot.calls.transfer.seams.Talk`.

    `started_s` is where the recording begins on the frames' clock. `is_recorded` tells whether the call is, now.
    `make_judge` makes what knows voices, for each party.
    """

    def __init__(
        self,
        call_id: str,
        *,
        started_s: float,
        dictation: Dictation,
        scribe: Writes,
        journal: Journal,
        is_recorded: Callable[[], bool],
        make_judge: Callable[[], VoiceJudge | None],
    ) -> None:
        self._call_id = call_id
        self._started_s = started_s
        self._dictation = dictation
        self._scribe = scribe
        self._journal = journal
        self._is_recorded = is_recorded
        self._make_judge = make_judge
        self._show: ShowLine = lambda _line: None
        self._redactor = TurnRedactor()
        self._finders: dict[Side, PassageFinder] = {}
        self._deaf_until_s = float("-inf")
        #: A word of it may have been heard.
        self._heard = False
        self._missing = 0
        self._noted = ""
        self._pending: asyncio.Queue[_Pending] = asyncio.Queue()
        self._writing: asyncio.Task[None] | None = None

    @property
    def note(self) -> str:
        """How the talk is written down, or why it is not."""
        if not self._dictation.listens:
            return self._dictation.note
        if not self._heard:
            return _NOT_RECORDED
        if not self._missing:
            return self._dictation.note
        passages = "1 passage is" if self._missing == 1 else f"{self._missing} passages are"
        return f"{self._dictation.note} {passages} missing: there was no time to write more."

    @contextmanager
    def listening(self, show: ShowLine) -> Iterator[Observe]:
        """Listen while the block lasts, to all that the yielded function is told; `show` gets what was said."""
        self._show = show
        self._finders = {side: PassageFinder(self._make_judge()) for side in Side}
        self._heard = self._heard or self._is_recorded()
        self._note()
        try:
            yield self._hear
        finally:
            self._end_passages()
            self._finders = {}

    async def close(self, limit_s: float = LAST_WORDS_S) -> None:
        """Write what was said last, for so long, and take no more."""
        writing, self._writing = self._writing, None
        if writing is None:
            return
        try:
            async with asyncio.timeout(limit_s):
                await self._pending.join()
        except TimeoutError:
            log.warning("a call ended before all talk was written down", call_id=self._call_id)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        while not self._pending.empty():
            self._miss(self._pending.get_nowait(), _TOO_LATE)
        self._note()

    def _hear(self, side: Side, event: LegEvent) -> None:
        if not isinstance(event, FrameReceived) or not self._dictation.listens:
            return
        if not self._is_recorded():
            self._end_passages()
            self._deaf_until_s = event.arrived_s + _LATE_ON_THE_LINE_S
            return
        if event.arrived_s < self._deaf_until_s:
            return
        if not self._heard:
            self._heard = True
            self._note()
        if passage := self._finders[side].hear(event.payload, event.arrived_s):
            self._write_down(side, passage)

    def _end_passages(self) -> None:
        for side, finder in self._finders.items():
            if passage := finder.end():
                self._write_down(side, passage)

    def _write_down(self, side: Side, passage: Passage) -> None:
        written = self._scribe.write(self._dictation, passage.pcm)
        self._pending.put_nowait(_Pending(side, passage, written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._take_down())

    async def _take_down(self) -> None:
        while True:
            pending = await self._pending.get()
            try:
                written = await asyncio.shield(pending.written)
            except asyncio.CancelledError:
                self._miss(pending, _TOO_LATE)
                self._pending.task_done()
                raise
            if isinstance(written, Unwritten):
                self._miss(pending, _WHY_NOT[written])
            else:
                self._add(self._turn(pending, written))
            self._pending.task_done()

    def _turn(self, pending: _Pending, written: Written) -> TurnRecord:
        at_ms = self._at_ms(pending)
        spotted = f" {_GAP} ".join(("", *written.phrases, "")).strip() if written.phrases else ""
        return TurnRecord(
            _SPEAKERS[pending.side],
            written.text if written.dictated else spotted,
            at_ms=at_ms,
            heard_ms=pending.passage.spoken_ms,
            engine=written.engine,
            confidence=written.confidence,
            decision=None if written.dictated else f"{SPOTTED}: {self._dictation.why_not}",
            words=tuple(in_recording(word, at_ms) for word in written.words),
        )

    def _miss(self, pending: _Pending, why: str) -> None:
        self._missing += 1
        spoken_ms = pending.passage.spoken_ms
        speaker = _SPEAKERS[pending.side]
        self._add(TurnRecord(speaker, "", at_ms=self._at_ms(pending), heard_ms=spoken_ms, decision=why))

    def _add(self, turn: TurnRecord) -> None:
        self._journal.add_turn(self._call_id, turn)
        # As it goes into the record, which takes out what must not be kept.
        shown = self._redactor.add(turn)[-1].turn
        self._show(TalkLine(turn.speaker.value, turn.at_ms, shown.text))

    def _note(self) -> None:
        if self.note != self._noted:
            self._noted = self.note
            self._journal.note_dictation(self._call_id, self._noted)

    def _at_ms(self, pending: _Pending) -> int:
        return max(0, round((pending.passage.began_s - self._started_s) * 1000))
