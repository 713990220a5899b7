"""The engine of both passes in one worker: pocketsphinx for partials and the domain, Whisper for the final."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import structlog

from voicebot.dialog.expectation import AnswerKind
from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Hypothesis
from voicebot.speech.recognition.engine import OnPartial, Stream
from voicebot.speech.recognition.two_pass.choosing import (
    choose,
    choose_number,
    holds_number,
    likely_enough,
    settled,
    worth_weighing,
)
from voicebot.speech.recognition.whisper.engine import WhisperEngine, WhisperStream
from voicebot.speech.recognition.whisper.figures import count_digits
from voicebot.speech.recognition.whisper.model import Likelier
from voicebot.speech.recognition.wire import Request
from voicebot.speech.workers.capabilities import Capabilities, Feature

_log = structlog.get_logger(__name__)

ENGINE = "whisper and pocketsphinx"
#: So long a final waits for Whisper; then pocketsphinx's stands, since a late reply is worse than a plainer one.
LATE_S = 0.25
#: Of a number that is not whole yet the next group is likely to follow, and Whisper would hear this one for nothing:
#: so long after the first pause it hears what there is, while the turn's patience with numbers lasts.
_NEXT_GROUP_S = 0.5
#: With so many utterances waiting for Whisper another one would be late: it is not even begun.
_CROWD = 2


class FirstStream(Stream, Protocol):
    """One utterance in the engine that hears along."""

    @property
    def words(self) -> frozenset[str]:
        """The words that the question expects."""
        ...

    @property
    def concluded(self) -> tuple[Hypothesis, ...]:
        """What was said, once that was heard to its end; nothing before. Any thread may ask."""
        ...


class FirstPass(Protocol):
    """The engine that hears along: pocketsphinx, here or in a process of its own."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def warm_up(self) -> None: ...

    async def prepare(self, domain: Path) -> None: ...

    async def open(self, request: Request, on_partial: OnPartial) -> FirstStream: ...

    async def close(self) -> None: ...


class TwoPassEngine:
    """Both engines, one utterance in each. Talk that no question expects is Whisper's alone."""

    def __init__(self, first: FirstPass, second: WhisperEngine, *, late_s: float = LATE_S) -> None:
        self._first = first
        self._second = second
        self.late_s = late_s
        self._late = 0

    @property
    def capabilities(self) -> Capabilities:
        first, second = self._first.capabilities, self._second.capabilities
        return Capabilities(
            engine=ENGINE,
            model=f"{second.model}, {first.model}",
            features=frozenset(Feature),
            max_sessions=first.max_sessions,
        )

    async def warm_up(self) -> None:
        await self._first.warm_up()
        await self._second.warm_up()

    async def prepare(self, domain: Path) -> None:
        await self._first.prepare(domain)
        await self._second.prepare(domain)

    async def open(self, request: Request, on_partial: OnPartial) -> WhisperStream | TwoPassStream:
        if request.domain is None:
            return await self._second.open(request, on_partial)
        progress = _Progress(on_partial, request.lengths if request.kinds[:1] == (AnswerKind.DIGITS,) else ())
        first = await self._first.open(request, progress.show)
        try:
            choice = _Choice(first, request.kinds)
            second = await self._second.open(request, None, enough=choice.enough)
        except BaseException:
            await first.close()
            raise
        return TwoPassStream(self, first, second, progress, choice)

    async def close(self) -> None:
        await self._first.close()
        await self._second.close()

    @property
    def crowded(self) -> bool:
        """Whether Whisper has more to do than it could in time."""
        return self._second.waiting >= _CROWD

    def missed(self) -> None:
        """Count a final that Whisper was too late for."""
        self._late += 1
        # The first one tells the operator; a server with too many calls would fill the log with the rest.
        if self._late.bit_count() == 1:
            _log.warning("the second pass came too late", limit_ms=round(self.late_s * 1000), times=self._late)


class _Progress:
    """Passes the first pass's partial texts on, and knows whether they are a piece of a number of `lengths`."""

    def __init__(self, on_partial: OnPartial, lengths: tuple[int, ...]) -> None:
        self._on_partial = on_partial
        self._lengths = lengths
        self.whole = asyncio.Event()
        self.whole.set()

    async def show(self, text: str) -> None:
        digits = count_digits(text)
        if self._lengths and digits and digits not in self._lengths:
            self.whole.clear()
        else:
            self.whole.set()
        await self._on_partial(text)


class _Choice:
    """Chooses between the words of both passes."""

    def __init__(self, first: FirstStream, kinds: Collection[AnswerKind]) -> None:
        self._first = first
        self._number = AnswerKind.DIGITS in kinds
        self._closed = set(kinds) != {AnswerKind.OPEN}
        #: A text of the second pass with the one of the first that counts in its place.
        self._preferred: set[tuple[str, str]] = set()

    def enough(self, text: str, likelier: Likelier) -> bool:
        """Say whether Whisper's first text needs no alternatives, by what the first pass has heard by now.

        Asked in a thread of the second pass, which can still weigh the first one's text.
        """
        expected = self._first.concluded
        ours = expected[0].text if expected else ""
        # At a question for a number pocketsphinx's grammar makes one of anything.
        weighed = text and worth_weighing(text, ours) and not (self._number and holds_number(ours))
        if weighed and likely_enough(likelier(ours)):
            self._preferred.add((text, ours))
            return True
        return settled(text, expected, self._first.words)

    def of(
        self, dictated: tuple[Hypothesis, ...], expected: tuple[Hypothesis, ...], *, none_said: bool
    ) -> tuple[Hypothesis, ...]:
        """Return all alternatives, likeliest first; `none_said` where the second pass can tell that no digit was."""
        preferred = bool(dictated and expected) and (dictated[0].text, expected[0].text) in self._preferred
        if self._number:
            return choose_number(dictated, expected, self._first.words, none_said=none_said, preferred=preferred)
        return choose(dictated, expected, self._first.words, closed=self._closed, preferred=preferred)


class TwoPassStream:
    """One utterance, heard twice."""

    def __init__(
        self,
        engine: TwoPassEngine,
        first: FirstStream,
        second: WhisperStream,
        progress: _Progress,
        choice: _Choice,
    ) -> None:
        self._engine = engine
        self._first = first
        self._second = second
        self._progress = progress
        self._choice = choice
        self._late = False

    @property
    def engine(self) -> str:
        return self._first.engine if self._late else ENGINE

    async def feed(self, pcm: bytes) -> None:
        await self._second.feed(pcm)
        await self._first.feed(pcm)

    async def look_ahead(self) -> tuple[Hypothesis, ...] | None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_NEXT_GROUP_S):
                await self._progress.whole.wait()
        # The second pass begins at once: it computes outside of the interpreter while the first one ends its search.
        dictated = None if self._engine.crowded else asyncio.create_task(self._second.look_ahead(), name="second pass")
        try:
            expected = await self._first.look_ahead()
            if expected:
                # These words may end the turn already; what they really were, the final tells.
                await self._progress.show(expected[0].text)
            heard = await dictated if dictated else None
        finally:
            if dictated:
                dictated.cancel()
        # Where the first pass does not look ahead, the second is done by the time that the final asks for it.
        return self._chosen(heard or (), expected) if dictated and expected is not None else None

    async def go_on(self) -> None:
        await self._second.go_on()
        await self._first.go_on()

    async def finish(self) -> tuple[Hypothesis, ...]:
        if self._engine.crowded and not self._second.at_work:
            return await self._finish_alone()
        dictated = asyncio.create_task(self._second.finish(), name="second pass")
        try:
            expected = await self._expected()
            # The first pass has taken its time; what the second one may still take counts from now.
            async with asyncio.timeout(self._engine.late_s):
                return self._chosen(await dictated, expected)
        except TimeoutError:
            return await self._finish_alone()
        finally:
            dictated.cancel()

    async def close(self) -> None:
        await self._second.close()
        await self._first.close()

    async def _expected(self) -> tuple[Hypothesis, ...]:
        """Return what the first pass heard; nothing where it has died, since the second one can do without it."""
        try:
            return await self._first.finish()
        except EngineUnavailable as error:
            _log.warning("the first pass is away", error=str(error))
            return ()

    async def _finish_alone(self) -> tuple[Hypothesis, ...]:
        self._late = True
        self._engine.missed()
        return await self._first.finish()

    def _chosen(self, dictated: tuple[Hypothesis, ...], expected: tuple[Hypothesis, ...]) -> tuple[Hypothesis, ...]:
        return self._choice.of(dictated, expected, none_said=self._second.heard_no_digit)
