"""What people say to each other after a transfer, written down: all of it where an engine can, else spotted phrases.

An engine that knows only what the flows expect puts the words it knows in place of those it does not. What it makes of
two people's talk is not what they said, so none of it is kept but the names and answers that it is sure of.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass

from voicebot.dialog.expectation import AnswerKind, Domain, Expectation
from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Final, Transcriber, Utterance, Word

#: By the names that engines give themselves in `Final.engine`.
_CLOSED_ENGINES = frozenset({"pocketsphinx"})
#: From this confidence of each of its words on a phrase counts as spotted.
_SURE = 0.9
#: Shorter ones ("no", "hi", "on") come up in whatever is said.
_LEAST_LETTERS = 5
_TALK = Expectation("talk", (AnswerKind.OPEN,))


@dataclass(frozen=True, slots=True)
class Written:
    """One person's turn. Either its whole `text`, or only `phrases` that occurred in it; never both.

    `dictated` says which: where it is False, `text` is empty and the record should say that the talk was not written
    down. `words` are those of the text, timed from the beginning of the audio, where the engine tells them, and
    `confidence` is its own, None without any text.
    """

    dictated: bool
    text: str
    phrases: tuple[str, ...]
    engine: str
    confidence: float | None = None
    words: tuple[Word, ...] = ()


class Dictation:
    """Writes down talk that no flow expects. One for all calls of a version; it holds nothing of any of them."""

    def __init__(
        self,
        transcriber: Transcriber | None,
        phrases: Iterable[str] = (),
        *,
        engine: str = "",
        model: str = "",
        why_not: str = "no dictation engine is installed",
    ) -> None:
        """Take what hears, the phrases worth spotting, the engine that hears first, and its model's name.

        Without a transcriber nothing is heard. Where nothing is written down, `why_not` says why. `engine` only decides
        what `available` promises: what is done with a turn goes by the engine that has really heard it.
        """
        self._transcriber = transcriber
        self._engine = engine
        self._model = model
        self.why_not = why_not
        spelled = {tuple(phrase.lower().split()): phrase for phrase in phrases}
        self._phrases = {words: phrase for words, phrase in spelled.items() if len("".join(words)) >= _LEAST_LETTERS}

    @property
    def listens(self) -> bool:
        """Whether anything at all hears what is said."""
        return self._transcriber is not None

    @property
    def available(self) -> bool:
        """Whether turns are written down whole; False where only phrases are spotted, or nothing at all."""
        return self._transcriber is not None and dictates(self._engine)

    @property
    def note(self) -> str:
        """What the record of a transferred call says about it."""
        if self._transcriber is None:
            return f"Not written down: {self.why_not}."
        if self.available:
            return f"Written down by {' '.join(filter(None, (self._engine, self._model)))}."
        return f"Not written down: {self.why_not}. Only phrases that the flows know are shown."

    async def start(self) -> Utterance | None:
        """Begin to hear one turn; None where nothing can. `EngineUnavailable` as for a `Transcriber`."""
        return await self._transcriber.start(_TALK) if self._transcriber else None

    def write(self, final: Final) -> Written:
        """Return what of a finished turn may be shown."""
        if final.engine not in _CLOSED_ENGINES:
            if not final.hypotheses:
                return Written(dictated=True, text="", phrases=(), engine=final.engine)
            best = final.hypotheses[0]
            sure = min(1.0, max(0.0, best.confidence))
            return Written(
                dictated=True,
                text=best.text.strip(),
                phrases=(),
                engine=final.engine,
                confidence=sure,
                words=best.words,
            )
        words = final.hypotheses[0].words if final.hypotheses else ()
        return Written(dictated=False, text="", phrases=self._spotted(words), engine=final.engine)

    def _spotted(self, words: Collection[Word]) -> tuple[str, ...]:
        """Return the phrases whose words follow each other, all of them sure, in the order in which they were said."""
        sure = [word.text.lower() if word.confidence >= _SURE else "" for word in words]
        found = {
            start: phrase
            for phrase_words, phrase in sorted(self._phrases.items(), key=lambda each: len(each[0]))
            for start in range(len(sure) - len(phrase_words) + 1)
            if tuple(sure[start : start + len(phrase_words)]) == phrase_words
        }
        return tuple(dict.fromkeys(found[start] for start in sorted(found)))


#: So long after workers could not be started they are not started again.
_GIVE_UP_S = 60.0


class Standby:
    """Workers that are started when somebody first needs them: most servers seldom do, and they cost memory."""

    def __init__(self, start: Callable[[], Awaitable[None]], clock: Callable[[], float] = time.monotonic) -> None:
        """`start` returns once they run; `EngineUnavailable` when they do not."""
        self._start = start
        self._clock = clock
        self._starting = asyncio.Lock()
        self._runs = False
        self._failed_s: float | None = None

    async def ready(self) -> None:
        """Return once they run; `EngineUnavailable` when they cannot, or lately could not."""
        async with self._starting:
            if self._runs:
                return
            if self._failed_s is not None and self._clock() - self._failed_s < _GIVE_UP_S:
                raise EngineUnavailable("The workers that write talk down could not be started a moment ago.")
            try:
                await self._start()
            except EngineUnavailable:
                self._failed_s = self._clock()
                raise
            self._runs = True


class StandbyTranscriber:
    """A `Transcriber` whose workers are started when it is first used."""

    def __init__(self, standby: Standby, transcriber: Transcriber) -> None:
        self._standby = standby
        self._transcriber = transcriber

    async def start(self, expectation: Expectation) -> Utterance:
        """Begin an utterance; `EngineUnavailable` when nothing can hear."""
        await self._standby.ready()
        return await self._transcriber.start(expectation)


def dictates(engine: str) -> bool:
    """Say whether `engine`, by the name it gives itself, writes down what no flow expects."""
    return bool(engine) and engine not in _CLOSED_ENGINES


def phrases_of(domain: Domain) -> tuple[str, ...]:
    """Return what is worth spotting: the names in the customer's data and the answers that questions offer."""
    answers = (phrase for expectation in domain.expectations for phrase in expectation.phrases)
    return tuple(dict.fromkeys((*domain.names, *answers)))
