"""The pocketsphinx engine of a recognition worker."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from voicebot.dialog.check_digits import CheckDigit
from voicebot.dialog.expectation import AnswerKind
from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Hypothesis
from voicebot.speech.recognition.engine import OnPartial
from voicebot.speech.recognition.sphinx.decoder import (
    FRAMES_PER_S,
    Acoustics,
    QuestionDecoder,
    Result,
    Search,
)
from voicebot.speech.recognition.sphinx.digits import DigitReader
from voicebot.speech.recognition.sphinx.domain import Compiled, Material, Shape, read_compiled, read_material
from voicebot.speech.recognition.sphinx.features import CEPSTRA, FeatureStream, FrontEnd
from voicebot.speech.recognition.sphinx.lexicon import cmu_dictionary
from voicebot.speech.recognition.sphinx.weighing import alike, confidence_of, holds_a_phrase, hypothesis_of, ranked
from voicebot.speech.recognition.wire import SAMPLE_BYTES, SAMPLE_RATE_HZ, Request
from voicebot.speech.workers.capabilities import Capabilities, Feature

#: Asking costs little, and a turn ends as soon as its last word is known: at 300 ms every second request ended 600 ms
#: later than its words allowed.
_PARTIAL_EVERY_BYTES = SAMPLE_RATE_HZ * SAMPLE_BYTES * 100 // 1000
#: What was heard ahead at a pause is heard again if the caller goes on, in about 4 % of its length, on the one thread
#: of all callers; of more than this it is not worth that.
_LONGEST_AHEAD_BYTES = SAMPLE_RATE_HZ * SAMPLE_BYTES * 8
_SPELT = frozenset((AnswerKind.DIGITS, AnswerKind.ALPHANUMERIC))
_ALTERNATIVES = 5
#: Six digits give a million strings; so many are worth checking against those that there are.
_DIGIT_STRINGS = 30
_KEPT_QUESTIONS = 64
_KEPT_DECODERS = 48
_T = TypeVar("_T")

ENGINE = "pocketsphinx"
NO_DOMAIN = Material(requests=(), names=())


@dataclass(frozen=True, slots=True)
class _Question:
    """A compiled question and the key its idle decoders are kept under."""

    key: tuple[str, str]
    shape: Shape
    compiled: Compiled


class SphinxEngine:
    """Recognises with grammars and language models; one thread decodes, since the library holds the GIL anyway."""

    def __init__(self, acoustics: Acoustics, *, max_sessions: int) -> None:
        self._acoustics = acoustics
        self._max_sessions = max_sessions
        self._open = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decode")
        self._materials: dict[Path | None, Material] = {None: NO_DOMAIN}
        self._questions: OrderedDict[tuple[str, str], _Question] = OrderedDict()
        self._idle: OrderedDict[tuple[tuple[str, str], Search], list[QuestionDecoder]] = OrderedDict()
        self._digit_reader: DigitReader | None = None
        self._making: dict[tuple[str, str], asyncio.Task[None]] = {}

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            engine=ENGINE,
            model=self._acoustics.name,
            features=frozenset(Feature),
            max_sessions=self._max_sessions,
        )

    async def warm_up(self) -> None:
        def load() -> None:
            question = self._question(None, Shape((AnswerKind.YES_NO,)))
            decoder = self._take(question, Search.GRAMMAR)
            decoder.begin()
            decoder.hear(bytes(4 * CEPSTRA * FRAMES_PER_S))
            decoder.end()
            self._give_back(question, Search.GRAMMAR, decoder)

        try:
            await self.run(load)
        except RuntimeError as error:
            raise EngineUnavailable(f"pocketsphinx cannot load {self._acoustics.directory}: {error}") from error

    async def prepare(self, domain: Path) -> None:
        material = await self.run(lambda: self._material(domain))
        for shape in material.open_shapes:
            await self._make_spare(await self.run(partial(self._question, domain, shape)))

    async def open(self, request: Request, on_partial: OnPartial) -> SphinxStream:
        if self._open >= self._max_sessions:
            raise EngineUnavailable("All decoders of this worker are busy.")
        self._open += 1
        shape = Shape(request.kinds, request.phrases, request.lengths)

        def take() -> tuple[_Question, dict[Search, QuestionDecoder]]:
            question = self._question(request.domain, shape)
            decoders = {search: self._take(question, search) for search in _searches(question)}
            for decoder in decoders.values():
                decoder.begin()
            return question, decoders

        try:
            question, decoders = await self.run(take)
        except BaseException:
            self._open -= 1
            raise
        self._want_spare(question)
        return SphinxStream(
            self, question, decoders, self._acoustics.front_end, on_partial, check_digit=request.check_digit
        )

    async def close(self) -> None:
        for task in self._making.values():
            task.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do `work` on the decoding thread, after whatever was handed to it before."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def release(self, question: _Question, decoders: dict[Search, QuestionDecoder]) -> None:
        """Take decoders back; those of a broken-off utterance have been ended before."""
        self._open -= 1
        for search, decoder in decoders.items():
            self._give_back(question, search, decoder)

    def digit_reader(self) -> DigitReader:
        """Return what weighs single digits, loaded when first asked for; for the decoding thread."""
        if self._digit_reader is None:
            self._digit_reader = DigitReader(self._acoustics)
        return self._digit_reader

    def _want_spare(self, question: _Question) -> None:
        """See to a decoder for whoever is asked this next, so that nobody else's audio waits while it is built."""
        if question.key not in self._making and self._open < self._max_sessions:
            task = asyncio.create_task(self._make_spare(question), name="spare decoder")
            self._making[question.key] = task
            task.add_done_callback(lambda _: self._making.pop(question.key))

    async def _make_spare(self, question: _Question) -> None:
        """Build what of the question's decoders there is none idle of, each a piece of work of its own."""
        for search in _searches(question):

            def build(search: Search = search) -> None:
                if not self._idle.get((question.key, search)):
                    decoder = QuestionDecoder(self._acoustics, question.compiled, search, cmu_dictionary())
                    self._give_back(question, search, decoder)

            await self.run(build)

    def _material(self, domain: Path | None) -> Material:
        if domain not in self._materials:
            assert domain is not None
            self._materials[domain] = read_material(domain)
        return self._materials[domain]

    def _question(self, domain: Path | None, shape: Shape) -> _Question:
        """Find a question compiled with its domain, or compile it now: a version may ask what another has not."""
        key = (str(domain), shape.key)
        question = self._questions.get(key)
        if question is None:
            compiled = read_compiled(domain, shape.key) if domain is not None else None
            question = _Question(key, shape, compiled or self._material(domain).compile(shape))
            self._questions[key] = question
            if len(self._questions) > _KEPT_QUESTIONS:
                self._questions.popitem(last=False)
        self._questions.move_to_end(key)
        return question

    def _take(self, question: _Question, search: Search) -> QuestionDecoder:
        idle = self._idle.get((question.key, search))
        if idle:
            return idle.pop()
        return QuestionDecoder(self._acoustics, question.compiled, search, cmu_dictionary())

    def _give_back(self, question: _Question, search: Search, decoder: QuestionDecoder) -> None:
        key = (question.key, search)
        self._idle.setdefault(key, []).append(decoder)
        self._idle.move_to_end(key)
        while sum(len(decoders) for decoders in self._idle.values()) > _KEPT_DECODERS:
            oldest = next(iter(self._idle))
            if self._idle[oldest]:
                self._idle[oldest].pop()
            if not self._idle[oldest]:
                del self._idle[oldest]


class SphinxStream:
    """One utterance: a language model listens always, a grammar too where the answer is a closed one."""

    def __init__(
        self,
        engine: SphinxEngine,
        question: _Question,
        decoders: dict[Search, QuestionDecoder],
        front_end: FrontEnd,
        on_partial: OnPartial,
        *,
        check_digit: CheckDigit | None,
    ) -> None:
        self._engine = engine
        self._check_digit = check_digit
        self._question = question
        self._decoders = decoders
        self._front_end = front_end
        self._features = FeatureStream(front_end)
        self._on_partial = on_partial
        self._since_partial = 0
        self._shown = ""
        self._heard = bytearray()
        self._pcm = bytearray()
        self._running = True
        #: What the utterance was when it was ended at a pause; the decoding thread's, like the decoders.
        self._ahead: tuple[Hypothesis, ...] | None = None

    @property
    def engine(self) -> str:
        return ENGINE

    @property
    def words(self) -> frozenset[str]:
        """The words that the question expects, as the lexicon spells them."""
        return self._question.compiled.words

    @property
    def concluded(self) -> tuple[Hypothesis, ...]:
        """What was said, once that was heard to its end; nothing before. Any thread may ask."""
        return self._ahead or ()

    async def feed(self, pcm: bytes) -> None:
        self._since_partial += len(pcm)
        wanted = self._since_partial >= _PARTIAL_EVERY_BYTES
        text = await self._engine.run(lambda: self._hear(pcm, partial=wanted))
        if wanted:
            self._since_partial = 0
            if text and text != self._shown:
                self._shown = text
                await self._on_partial(text)

    async def look_ahead(self) -> tuple[Hypothesis, ...] | None:
        # Between spelled groups people pause all the time, and go on.
        if len(self._pcm) > _LONGEST_AHEAD_BYTES or not _SPELT.isdisjoint(self._question.shape.kinds[:1]):
            return None
        return await self._engine.run(self._end_early)

    async def go_on(self) -> None:
        await self._engine.run(self._begin_again)

    async def finish(self) -> tuple[Hypothesis, ...]:
        return await self._engine.run(self._end_early)

    async def close(self) -> None:
        decoders, self._decoders = self._decoders, {}
        if decoders:
            await self._engine.run(lambda: self._end(decoders))
            self._engine.release(self._question, decoders)

    def _hear(self, pcm: bytes, *, partial: bool) -> str:
        self._pcm += pcm
        if self._ahead is not None:
            return ""
        self._decode(self._features.feed(pcm))
        if not partial:
            return ""
        return self._decoders.get(Search.GRAMMAR, self._decoders[Search.LANGUAGE_MODEL]).so_far()

    def _end_early(self) -> tuple[Hypothesis, ...]:
        if self._ahead is None:
            self._ahead = self._conclude()
        return self._ahead

    def _begin_again(self) -> None:
        """Decode once more from the first sample: an ended search cannot be taken up."""
        if self._ahead is None:
            return
        self._ahead = None
        self._features = FeatureStream(self._front_end)
        self._heard.clear()
        for decoder in self._decoders.values():
            decoder.begin()
        self._running = True
        self._decode(self._features.feed(bytes(self._pcm)))

    def _end(self, decoders: dict[Search, QuestionDecoder]) -> None:
        if self._running:
            self._running = False
            for decoder in decoders.values():
                decoder.end()

    def _decode(self, features: bytes) -> None:
        self._heard += features
        for decoder in self._decoders.values():
            decoder.hear(features)

    def _conclude(self) -> tuple[Hypothesis, ...]:
        self._decode(self._features.finish())
        self._end(self._decoders)
        free_decoder = self._decoders[Search.LANGUAGE_MODEL]
        free = free_decoder.result()
        if free is None or not free.words:
            return ()
        closed = self._decoders[Search.GRAMMAR].result() if Search.GRAMMAR in self._decoders else None
        sure = confidence_of(free)
        hypotheses = [hypothesis_of(free, sure, posteriors=True)]
        hypotheses += [Hypothesis(text, sure) for text in free_decoder.alternatives(_ALTERNATIVES)]
        if closed is None or not closed.words:
            return ranked(hypotheses, _ALTERNATIVES)
        answers = self._answers(closed, sure)
        if not alike(closed.text, free.text) and (self._is_open or holds_a_phrase(free.text, self._phrases)):
            return ranked([hypotheses[0], answers[0], *hypotheses[1:]], _ALTERNATIVES)
        return ranked([*answers, *hypotheses], max(_ALTERNATIVES, len(answers)))

    def _answers(self, closed: Result, sure: float) -> list[Hypothesis]:
        """Return what the grammar heard, and other digits where it heard digits, likeliest first."""
        heard = hypothesis_of(closed, sure)
        if AnswerKind.DIGITS not in self._question.shape.kinds:
            return [heard]
        read = self._engine.digit_reader().read(closed, bytes(self._heard), _DIGIT_STRINGS, self._check_digit)
        if not read:
            return [heard]
        best = max(chance for _, chance in read)
        others = [Hypothesis(text, sure * chance / best) for text, chance in read if text != closed.text]
        return [heard, *others]

    @property
    def _is_open(self) -> bool:
        return AnswerKind.OPEN in self._question.shape.kinds

    @property
    def _phrases(self) -> tuple[str, ...]:
        return self._question.shape.phrases


def _searches(question: _Question) -> tuple[Search, ...]:
    return (Search.LANGUAGE_MODEL, *((Search.GRAMMAR,) if question.compiled.grammar else ()))
