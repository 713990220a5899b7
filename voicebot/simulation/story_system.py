"""The company's systems as a story tells them, and the story's clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from voicebot.backends.backends import BackendResult
from voicebot.dialog.events import SlotValue
from voicebot.dialog.story import Story, SystemAnswers
from voicebot.errors import BackendUnavailable


class StorySystem:
    """Does every operation of a bot, with the answers of the story that is being told. `clock` is monotonic."""

    def __init__(self, operations: frozenset[str], clock: Callable[[], float]) -> None:
        self._operations = operations
        self._clock = clock
        self._story: Story | None = None
        self._began_s = 0.0
        self._coming: list[SystemAnswers] = []
        #: What was asked for otherwise than the story says; empty when all went as written.
        self.surprises: list[str] = []

    @property
    def operations(self) -> frozenset[str]:
        return self._operations

    def tell(self, story: Story) -> None:
        """Answer as `story` says from now on."""
        self._story = story
        self._began_s = self._clock()
        self._coming = [step for step in story.steps if isinstance(step, SystemAnswers)]
        self.surprises = []

    def now(self, zone: ZoneInfo) -> datetime:
        """Return the time in the story, which goes on while it is told; the true time before the first story."""
        if self._story is None:
            return datetime.now(zone)
        begun = self._story.at.replace(tzinfo=ZoneInfo(self._story.zone))
        return begun + timedelta(seconds=self._clock() - self._began_s)

    def new_seed(self) -> int:
        """Return what picks the story's wording."""
        return self._story.seed if self._story else 0

    @property
    def unasked(self) -> tuple[str, ...]:
        """The operations that the story answers and that nobody has asked for."""
        return tuple(answer.operation for answer in self._coming)

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None
    ) -> BackendResult:
        """Give the story's next answer; `BackendUnavailable` where it says so, or tells of another request."""
        del idempotency_key  # nothing is written
        answer = self._coming[0] if self._coming else None
        if answer is None or answer.operation != operation:
            self.surprises.append(f"asked for {operation}, expected {answer.operation if answer else 'nothing'}")
            raise BackendUnavailable(f"The story does not say what '{operation}' answers.")
        for name, text in answer.arguments.items():
            if str(arguments.get(name)) != text:
                self.surprises.append(f"line {answer.line}: {operation} got another '{name}' than {text}")
        self._coming.pop(0)
        if answer.outcome is None:
            raise BackendUnavailable(f"The story has '{operation}' out of reach.")
        return BackendResult(answer.outcome, answer.result)

    async def close(self) -> None:
        """Nothing is held open."""
