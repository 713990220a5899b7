"""The faster-whisper engine of a recognition worker."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Hypothesis
from voicebot.speech.recognition.engine import OnPartial
from voicebot.speech.recognition.known import all_known
from voicebot.speech.recognition.sphinx.domain import Shape, expected_words, read_material
from voicebot.speech.recognition.upsample import Upsampler
from voicebot.speech.recognition.whisper.decoder import Usual
from voicebot.speech.recognition.whisper.desk import Desk, Job, Urgency, Work
from voicebot.speech.recognition.whisper.figures import count_digits, only_digits
from voicebot.speech.recognition.whisper.guards import agreed, bare, invented
from voicebot.speech.recognition.whisper.hints import cue_for, sentence, telling
from voicebot.speech.recognition.whisper.model import LONGEST_S, RATE_HZ, Cue, Decoded, Likelier, Model, Samples, Text
from voicebot.speech.recognition.whisper.pauses import PauseFinder, Span
from voicebot.speech.recognition.wire import SAMPLE_BYTES, SAMPLE_RATE_HZ, Request
from voicebot.speech.workers.capabilities import Capabilities, Feature

ENGINE = "faster-whisper"
_PARTIAL_EVERY_MS = 600
#: Between two partial texts, and until it is asked, audio only piles up here. Three packets make the time between two.
_PACKET_MS = 200
_LEAST_SPEECH_MS = 100
_DOUBTFUL = 0.5
#: How probable digits must be, rather than none, where the text holds nothing else and where it holds other words.
_SURELY_NONE = 0.08
_PROBABLY = 0.6
#: How likely one digit must be beside all words there are: of 926 right ones by two people with an accent all but 13
#: are, of 55 coughs none, of 88 short words 20.
_A_DIGIT = 0.25
#: Who says so many digits reads out a number, although some of it sounds like words ("I want 904" for 51904).
_NUMBER_DIGITS = 3
#: The natural logarithm of a token's probability, on average, below which nothing in a text is believed.
_LEAST_SURE = -1.0
_MARGIN_BYTES = SAMPLE_RATE_HZ * SAMPLE_BYTES * 200 // 1000
_FULL_SCALE = 32768.0


class WhisperEngine:
    """One model, as many decoding threads as it decodes at once, an admission limit."""

    def __init__(self, model: Model, *, max_sessions: int) -> None:
        self._model = model
        self._max_sessions = max_sessions
        self._open = 0
        self._desk = Desk(model.at_once)
        #: By domain, the names in its data and its most telling examples.
        self._hints: dict[Path | None, tuple[tuple[str, ...], tuple[str, ...]]] = {None: ((), ())}
        self._usual: dict[Path | None, Usual] = {}

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            engine=ENGINE,
            model=self._model.name,
            features=frozenset(Feature),
            max_sessions=self._max_sessions,
            packet_ms=_PACKET_MS,
        )

    async def warm_up(self) -> None:
        quiet = np.zeros(RATE_HZ, dtype=np.float32)
        await self._desk.submit(lambda stop: self._model.decode(quiet, Cue(), stop), Urgency.FINAL).result

    async def prepare(self, domain: Path) -> None:
        material = read_material(domain)
        self._hints[domain] = (material.names, await asyncio.to_thread(telling, material.requests))
        self._usual[domain] = await asyncio.to_thread(self._model.usual, map(sentence, material.requests))
        for shape in material.open_shapes:
            await asyncio.to_thread(expected_words, domain, shape)

    async def open(
        self, request: Request, on_partial: OnPartial | None, *, enough: Callable[[str, Likelier], bool] | None = None
    ) -> WhisperStream:
        """Begin an utterance, with partial texts only where somebody takes them.

        A first text that is `enough` gets no alternatives. By default that is one of words that the question expects.
        """
        if self._open >= self._max_sessions:
            raise EngineUnavailable("This worker decodes as many utterances as it can.")
        if request.domain is not None and request.domain not in self._hints:
            await self.prepare(request.domain)
        if enough is None and request.domain is not None:
            shape = Shape(request.kinds, request.phrases, request.lengths)
            words = await asyncio.to_thread(expected_words, request.domain, shape)
            enough = partial(_expected, words)
        self._open += 1
        usual = self._usual.get(request.domain)
        cue = replace(cue_for(request, *self._hints[request.domain]), usual=usual, enough=enough)
        return WhisperStream(self, cue, on_partial)

    async def close(self) -> None:
        await self._desk.close()

    @property
    def idle(self) -> bool:
        return self._desk.idle

    @property
    def rested(self) -> bool:
        """Whether there is time for what can be left out."""
        return self._desk.rested

    @property
    def waiting(self) -> int:
        """How many decodings nobody has begun."""
        return self._desk.waiting

    def hurry(self, job: Job) -> None:
        """The caller has finished: what was decoded on suspicion goes before what still is."""
        self._desk.hurry(job, Urgency.FINAL)

    def decode(self, pcm: bytes, cue: Cue, urgency: Urgency) -> Job:
        """Queue a decoding of 8 kHz PCM."""
        draft = urgency is Urgency.PARTIAL
        return self.submit(lambda stop: self._model.decode(_wideband(pcm), cue, stop, draft=draft), urgency)

    def submit(self, work: Work, urgency: Urgency) -> Job:
        return self._desk.submit(work, urgency)

    def release(self) -> None:
        self._open -= 1


def _expected(words: frozenset[str], text: str, _likelier: Likelier) -> bool:
    return all_known(text, words)


def _wideband(pcm: bytes) -> Samples:
    doubled: Samples = Upsampler().double(np.frombuffer(pcm, dtype=np.int16)) / np.float32(_FULL_SCALE)
    return doubled


class WhisperStream:
    """One utterance: decoded ahead of time at each pause, and again only if the caller went on."""

    def __init__(self, engine: WhisperEngine, cue: Cue, on_partial: OnPartial | None) -> None:
        self._engine = engine
        self._cue = cue
        self._on_partial = on_partial
        self._audio = bytearray()
        self._pauses = PauseFinder()
        self._ahead: tuple[Span, Job] | None = None
        self._partial: Job | None = None
        self._partial_at_ms = 0
        self._last_pass = ""
        self._shown = ""
        self._watchers: set[asyncio.Task[None]] = set()
        self._closed = False
        #: Whether a single digit was asked for, and none of what was said last can have been one.
        self.heard_no_digit = False

    @property
    def engine(self) -> str:
        return ENGINE

    async def feed(self, pcm: bytes) -> None:
        self._audio += pcm
        self._pauses.follow(pcm)
        span = self._pauses.span
        if span is None or self._pauses.speech_ms < _LEAST_SPEECH_MS:
            return
        if (
            self._on_partial is not None
            and self._pauses.speech_ms - self._partial_at_ms >= _PARTIAL_EVERY_MS
            and self._pauses.silence_ms == 0
            and self._engine.rested
        ):
            self._partial_at_ms = self._pauses.speech_ms
            self._partial = self._decode(span, Urgency.PARTIAL)
            self._watch(self._partial, self._on_partial)

    @property
    def at_work(self) -> bool:
        """Whether what was said so far is decoded, or about to be."""
        return self._ahead is not None and self._ahead[0] == self._pauses.span

    async def look_ahead(self) -> tuple[Hypothesis, ...] | None:
        return await self._conclude(Urgency.SPECULATIVE)

    async def go_on(self) -> None:
        if self._ahead is not None:
            self._ahead[1].cancel()
            self._ahead = None

    async def finish(self) -> tuple[Hypothesis, ...]:
        return await self._conclude(Urgency.FINAL)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for job in (self._partial, self._ahead[1] if self._ahead else None):
            if job is not None:
                job.cancel()
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        self._engine.release()

    async def _conclude(self, urgency: Urgency) -> tuple[Hypothesis, ...]:
        if self._partial is not None:
            # Of what is now decoded whole nobody needs a part, which would only hold the decoder up.
            self._partial.cancel()
        span = self._pauses.span
        if span is None or self._pauses.speech_ms < _LEAST_SPEECH_MS:
            return ()
        if self._ahead is None or self._ahead[0] != span:
            await self.go_on()
            self._ahead = (span, self._decode(span, urgency))
        elif urgency is Urgency.FINAL:
            self._engine.hurry(self._ahead[1])
        # Whoever stops waiting at a pause leaves the decoding to the final.
        decoded = await asyncio.shield(self._ahead[1].result)
        return () if decoded is None else self._believe(_in_utterance(decoded, span))

    def _decode(self, span: Span, urgency: Urgency) -> Job:
        audio = bytes(self._audio[_start(span) : span.end + _MARGIN_BYTES])
        return self._engine.decode(audio, self._cue, urgency)

    def _watch(self, job: Job, on_partial: OnPartial) -> None:
        task = asyncio.create_task(self._show(job, on_partial), name="partial")
        self._watchers.add(task)
        task.add_done_callback(self._watchers.discard)

    async def _show(self, job: Job, on_partial: OnPartial) -> None:
        """Send what this pass and the one before it agree on."""
        decoded = await job.result
        believed = () if decoded is None else self._believe(decoded)
        if not believed:
            return
        text = agreed(self._last_pass, believed[0].text)
        self._last_pass = believed[0].text
        if text and text != self._shown:
            self._shown = text
            await on_partial(text)

    def _believe(self, decoded: Decoded) -> tuple[Hypothesis, ...]:
        """Return what may have been said, likeliest first; nothing where the model made it up."""
        first, *_ = decoded.texts
        self.heard_no_digit = False
        if decoded.alone:
            return self._believe_digit(decoded)
        if not first.text or self._invented(first, decoded.no_speech):
            # A digit alone is often written down again and again, which tells nothing against the digit.
            heard_one = decoded.spelled >= _PROBABLY and first.log_probability > _LEAST_SURE
            return _distinct(_numbers(decoded, decoded.spelled)) if heard_one else ()
        free = [
            Hypothesis(each.text, _share(each), decoded.words if each is first else ())
            for each in decoded.texts
            if each.text and not self._invented(each, decoded.no_speech)
        ]
        numbers = _numbers(decoded, _share(first))
        if _is_number(first, decoded.spelled):
            return _distinct([*numbers, *free])
        # Digits can be found in anything: in words that the model is sure of there are none.
        sure = _share(first) >= _DOUBTFUL or decoded.spelled < _SURELY_NONE
        return _distinct(free if sure else [*free, *numbers])

    def _believe_digit(self, decoded: Decoded) -> tuple[Hypothesis, ...]:
        """Return the ten digits where one of them was said, else other words, if any were."""
        first, *_ = decoded.texts
        real = [each for each in decoded.texts if each.text and not self._invented(each, decoded.no_speech)]
        if decoded.spelled >= _A_DIGIT:
            return tuple(Hypothesis(digit, share) for digit, share in decoded.numbers)
        # A text that is sure of its digits may hold more of them than one.
        self.heard_no_digit = not (first in real and _share(first) >= _DOUBTFUL and only_digits(first.text))
        return _distinct(
            Hypothesis(each.text, _share(each), decoded.words if each is first else ())
            for each in real
            if not self.heard_no_digit or not count_digits(each.text)
        )

    def _invented(self, text: Text, no_speech: float) -> bool:
        return invented(
            text.text,
            no_speech=no_speech,
            log_probability=text.log_probability,
            speech_s=self._pauses.speech_ms / 1000,
        )


def _start(span: Span) -> int:
    """Return the byte of the utterance at which decoding begins."""
    # A little room before and after: voice activity misses soft beginnings and ends.
    start = max(0, span.start - _MARGIN_BYTES)
    # The model hears 30 s at once; of a longer answer the end matters more than the beginning.
    return max(start, span.end - int((LONGEST_S - 1) * SAMPLE_RATE_HZ) * SAMPLE_BYTES)


def _in_utterance(decoded: Decoded, span: Span) -> Decoded:
    """Return the decoded with its words timed from the beginning of the utterance."""
    began_s = _start(span) / SAMPLE_BYTES / SAMPLE_RATE_HZ
    words = (replace(word, start_s=word.start_s + began_s, end_s=word.end_s + began_s) for word in decoded.words)
    return replace(decoded, words=tuple(words))


def _numbers(decoded: Decoded, confidence: float) -> list[Hypothesis]:
    """Return the digit strings, the likeliest with this confidence and the others with less in proportion."""
    best = max((share for _, share in decoded.numbers), default=1.0)
    return [Hypothesis(digits, confidence * share / best) for digits, share in decoded.numbers]


def _is_number(text: Text, spelled: float) -> bool:
    """Say whether a number was read out, from the freely decoded text and the search among digits.

    A short number is easily mistaken for a word ("Bye." for a five), and a stray word for a digit.
    """
    if only_digits(text.text) or count_digits(text.text) >= _NUMBER_DIGITS:
        return spelled >= _SURELY_NONE
    doubtful = _share(text) < _DOUBTFUL or len(bare(text.text).split()) == 1
    return doubtful and spelled >= _PROBABLY


def _share(text: Text) -> float:
    """Return the probability of a token of `text`, on average."""
    return math.exp(min(0.0, text.log_probability))


def _distinct(hypotheses: Iterable[Hypothesis]) -> tuple[Hypothesis, ...]:
    """Return each wording once, whatever its punctuation, in the given order and none surer than one before it."""
    kept: dict[str, Hypothesis] = {}
    ceiling = 1.0
    for hypothesis in hypotheses:
        ceiling = min(ceiling, hypothesis.confidence)
        kept.setdefault(bare(hypothesis.text), replace(hypothesis, confidence=ceiling))
    return tuple(kept.values())
