"""The requests of one call to the customer's systems, each a task that nothing the caller does can cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

import structlog

from voicebot.calls.notes import CallNotes
from voicebot.calls.seams import Operations
from voicebot.dialog.actions import CallBackend, Say
from voicebot.dialog.events import BackendAnswered, BackendFailed, SlotValue
from voicebot.errors import VoicebotError


class BackendRequests:
    """Asks, and tells each answer as an event. `now` gives wall-clock time in the bot's zone."""

    def __init__(
        self,
        operations: Operations,
        tell: Callable[[BackendAnswered | BackendFailed], None],
        now: Callable[[], datetime],
        log: structlog.typing.FilteringBoundLogger,
        notes: CallNotes,
        *,
        clock: Callable[[], float],
        answered: Callable[[str, str, float], None],
    ) -> None:
        """`answered` is told the operation, how it came out and how many milliseconds by `clock` it took."""
        self._operations = operations
        self._tell = tell
        self._now = now
        self._log = log
        self._notes = notes
        self._clock = clock
        self._answered = answered
        self._asked: set[str] = set()
        #: What to say if the system asked last is slow.
        self.filler: Say | None = None
        #: The requests under way; a call waits for them when it winds up.
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> bool:
        """Whether a request has not been answered."""
        return bool(self._asked)

    def ask(self, request: CallBackend) -> None:
        self._asked.add(request.request_id)
        task = asyncio.create_task(self._call(request))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        self.filler = request.filler

    def answered(self, request_id: str) -> None:
        self._asked.discard(request_id)

    def take_filler(self) -> Say | None:
        """Return the word for a slow system, once; None when it was said or there is none."""
        filler, self.filler = self.filler, None
        return filler

    async def _call(self, request: CallBackend) -> None:
        began_s = self._clock()
        try:
            answer = await self._operations.call(
                request.operation, request.arguments, idempotency_key=request.idempotency_key
            )
        except Exception as error:  # noqa: BLE001  # whatever it is, somebody waits for an answer
            problem = str(error) if isinstance(error, VoicebotError) else type(error).__name__
            self._log.warning("backend unavailable", operation=request.operation, problem=problem)
            self._note(request, "unavailable", {}, began_s)
            self._tell(BackendFailed(self._now(), request.request_id))
            return
        self._note(request, answer.outcome, answer.result, began_s)
        self._tell(BackendAnswered(self._now(), request.request_id, answer.outcome, answer.result))

    def _note(self, request: CallBackend, outcome: str, result: Mapping[str, SlotValue | None], began_s: float) -> None:
        self._notes.answered(request, outcome, result)
        self._answered(request.operation, outcome, (self._clock() - began_s) * 1000)
