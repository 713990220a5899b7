"""Starts the speech workers, compiles what callers may say and renders what the bot says."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import structlog

from voicebot.dialog.expectation import Expectation
from voicebot.dialog.flow import Bot
from voicebot.dialog.loader import LEXICON, RECORDINGS
from voicebot.errors import EngineUnavailable, first_unavailable
from voicebot.media.hearing import TurnModel
from voicebot.media.speaking import Voice as SpeakingVoice
from voicebot.settings import Settings
from voicebot.speech.asr import Transcriber, Utterance
from voicebot.speech.dictation import Dictation, Standby, StandbyTranscriber, dictates, phrases_of
from voicebot.speech.listening.end_of_turn import EndOfTurnClient
from voicebot.speech.listening.models import SpeechModel
from voicebot.speech.models import (
    Recogniser,
    RecogniserChoice,
    RecogniserWish,
    choose_dictation,
    choose_recognisers,
    engine_name,
)
from voicebot.speech.published import installed_models
from voicebot.speech.recognition.sphinx.domain import compile_domain
from voicebot.speech.recognition.transcriber import WorkerTranscriber
from voicebot.speech.recognition.utterance import Deadlines
from voicebot.speech.synthesis.lexicon import Lexicon, load_lexicon
from voicebot.speech.synthesis.phrases import Performer, PhraseCache
from voicebot.speech.synthesis.recorded import RecordedPrompts, load_recorded, text_id
from voicebot.speech.synthesis.synthesizer import VoiceDeadlines, WorkerSynthesizer, voice_pool
from voicebot.speech.synthesis.voices import choose_voice, second_voice
from voicebot.speech.tts import Voice
from voicebot.speech.workers.peer import PeerStatus
from voicebot.speech.workers.pool import PoolStatus, WorkerPool
from voicebot.speech.workers.process import WorkerSpec

log = structlog.get_logger(__name__)

#: For rendering prompts before the first call.
PATIENT = VoiceDeadlines(worker_s=60, late_s=60, first_audio_s=60, next_audio_s=60)

#: The kind of worker that recognises speech.
HEARS = "asr"
DOWN = "down"

#: Whatever a caller waits for goes before talk that is only written down.
TALK_NICENESS = 15
#: Nobody waits for it, so it may take its time.
TALK_DEADLINES = Deadlines(worker_s=30.0, finish_s=60.0, late_s=60.0, next_engine_s=60.0)

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Speech:
    """Ears and voice of every call, and the worker pools behind them."""

    transcriber: Transcriber
    phrases: SpeakingVoice
    turn_model: TurnModel
    pools: tuple[WorkerPool, ...]
    #: For what is said after a transfer.
    dictation: Dictation
    #: Makes ready to hear and speak for another version of the flows, beside calls that go on.
    learn: LearnBot | None = None

    async def learned(self, bot: Bot) -> Speech:
        """Return this speech for `bot`, with its prompts rendered; `EngineUnavailable` when an engine cannot."""
        return await self.learn(bot, _silently) if self.learn else self

    def engines(self) -> tuple[str, ...]:
        states = (pool.status() for pool in self.pools)
        return tuple(f"{state.kind}: {state.engine} {state.model}".strip() for state in states)

    def load(self) -> float:
        """Return how full the fullest kind of engine is, 0 to 1; who hears is full once all are that take over."""
        loads = [(state.kind == HEARS, state.load) for state in (pool.status() for pool in self.pools)]
        hearing = min((load for hears, load in loads if hears), default=0.0)
        return max((hearing, *(load for hears, load in loads if not hears)))

    def restarts(self) -> Counter[str]:
        """Return how often workers of each kind died and were started again."""
        return self._counted(lambda peer: peer.restarts)

    def left(self) -> Counter[str]:
        """Return how often workers of each kind were left because they answered too late."""
        return self._counted(lambda peer: peer.times_left)

    def _counted(self, count: Callable[[PeerStatus], int]) -> Counter[str]:
        counted: Counter[str] = Counter()
        for state in (pool.status() for pool in self.pools):
            counted[state.kind] += sum(count(peer) for peer in state.peers)
        return counted

    def parts(self) -> dict[str, str]:
        """Return for each kind of worker which engine runs and whether one is too slow, ``down`` where none runs."""
        states = [pool.status() for pool in self.pools]
        return {
            kind: _running([each for each in states if each.kind == kind])
            for kind in dict.fromkeys(state.kind for state in states)
        }


def _running(states: Sequence[PoolStatus]) -> str:
    """Return the first of these engines that is ready and not too slow; each takes over when those before it fail."""
    first = states[0]
    ready = [state for state in states if state.ready]
    if not ready:
        return DOWN
    running = min(ready, key=lambda state: state.slow)
    place = "" if running is first else f" in place of {first.engine}"
    return f"ready: {running.engine}{place}" + (", too slow" if first.slow else "")


MakeSpeech = Callable[[Settings, Bot, AsyncExitStack, Progress], Awaitable[Speech]]
LearnBot = Callable[[Bot, Progress], Awaitable[Speech]]


class _Deaf:
    """Stands in where recognition is switched off: every question must then be answered with keys."""

    async def start(self, expectation: Expectation) -> Utterance:
        del expectation
        raise EngineUnavailable("Recognition is switched off (VOICEBOT_RECOGNIZER=off).")


async def start_speech(settings: Settings, bot: Bot, stack: AsyncExitStack, progress: Progress) -> Speech:
    """Start the workers, have them load the bot's domain, and render every static prompt."""
    voice = choose_voice(configured_voice(settings), settings.models)
    log.info("voice chosen", engine=str(voice.voice.engine), name=voice.voice.name, why=voice.why)
    speaking = voice_pool(voice.voice, settings.models, workers=settings.voice_workers, threads=settings.voice_threads)
    second = None
    if another := second_voice(voice.voice, settings.models):
        log.info("second voice", engine=str(another.engine), name=another.name)
        second = voice_pool(another, settings.models)
    # Its answer is worth something for 400 ms only, and takes 30: it goes before the other workers.
    turn_pool = WorkerPool(WorkerSpec("turn", niceness=0))
    hearing: list[WorkerPool] = []
    if settings.recognizer != "off":
        for choice in choose_recognisers(recogniser_wish(settings)):
            log.info("recogniser chosen", engine=choice.engine.value, model=choice.model, why=choice.why)
            hearing.append(choice.pool(settings.recognition_workers))
    else:
        log.warning("recognition is switched off: callers can only use keys")
    # Loaded before the first caller needs it; what is wrong with it is told now.
    await asyncio.to_thread(SpeechModel)
    progress("starting speech workers")
    pools = (speaking, *([second] if second else []), turn_pool, *hearing)
    for pool in pools:
        stack.push_async_callback(pool.stop)
    with first_unavailable():
        async with asyncio.TaskGroup() as group:
            for pool in pools:
                group.create_task(pool.start())
    talk = _TalkEars.of(settings, stack)
    directory = settings.data / "cache" / "phrases"
    turn_model = EndOfTurnClient(turn_pool)

    async def learn(bot: Bot, progress: Progress) -> Speech:
        transcriber: Transcriber = _Deaf()
        domain: Path | None = None
        if hearing:
            progress("compiling what callers may say")
            domain = await asyncio.to_thread(compile_domain, bot.domain(), settings.data / "cache" / "recognition")
            worker_transcriber = WorkerTranscriber(hearing, domain=domain, names=bot.names)
            stack.push_async_callback(worker_transcriber.close)
            await worker_transcriber.prepare()
            transcriber = worker_transcriber
        texts = bot.static_prompts()
        lexicon, recorded = await asyncio.to_thread(pronunciation, bot, texts)

        usual_voice, other_voice = WorkerSynthesizer(speaking), WorkerSynthesizer(second) if second else None
        stack.push_async_callback(usual_voice.close)
        if other_voice is not None:
            stack.push_async_callback(other_voice.close)

        def cache(performer: Performer) -> PhraseCache:
            return PhraseCache(
                performer,
                voice=voice.voice,
                directory=directory,
                fallback=other_voice,
                lexicon=lexicon,
                recorded=recorded,
            )

        # Nobody waits for a word yet, so rendering may take its time, even on a busy machine.
        await cache(WorkerSynthesizer(speaking, deadlines=PATIENT)).warm(texts, _tenths(progress, "rendering prompts"))
        phrases = cache(usual_voice)
        await phrases.warm(texts, _nothing)
        return Speech(transcriber, phrases, turn_model, pools, talk.dictation(bot, domain, stack), learn)

    return await learn(bot, progress)


class _TalkEars:
    """What hears people after a transfer: a worker of its own, begun when first needed, that yields to all others."""

    def __init__(self, choice: RecogniserChoice | None, why_not: str, stack: AsyncExitStack) -> None:
        self._why_not = why_not
        self._choice = choice
        self._pool: WorkerPool | None = None
        if choice is not None:
            log.info("talk is written down by", engine=choice.engine.value, model=choice.model, why=choice.why)
            self._pool = choice.pool(1, niceness=TALK_NICENESS)
            stack.push_async_callback(self._pool.stop)
            self._standby = Standby(self._pool.start)

    @classmethod
    def of(cls, settings: Settings, stack: AsyncExitStack) -> _TalkEars:
        choice, why_not = None, "no dictation engine is installed"
        if settings.dictation == "off":
            why_not = "dictation is switched off"
        elif settings.recognizer == "off":
            why_not = "recognition is switched off"
        else:
            only_phrases = settings.dictation == "phrases"
            choice = choose_dictation(recogniser_wish(settings), phrases_only=only_phrases)
            if only_phrases:
                why_not = "only phrases are to be spotted"
        if settings.recording.unheard != "keep" and (choice is None or not dictates(engine_name(choice.engine))):
            log.warning(
                "what no turn of a call holds will be silent in recordings, as nothing can search it",
                instead="voicebot models pull whisper-tiny.en, or VOICEBOT_RECORDING__UNHEARD=keep",
            )
        return cls(choice, why_not, stack)

    def dictation(self, bot: Bot, domain: Path | None, stack: AsyncExitStack) -> Dictation:
        """Return what writes talk down about `bot`, whose `domain` is for an engine that only knows what flows say."""
        if self._choice is None or self._pool is None:
            return Dictation(None, why_not=self._why_not)
        engine = engine_name(self._choice.engine)
        # People among themselves say nothing of what the flows expect: who can dictate is told of none of it.
        known = WorkerTranscriber([self._pool], domain=None if dictates(engine) else domain, deadlines=TALK_DEADLINES)
        stack.push_async_callback(known.close)
        hears = StandbyTranscriber(self._standby, known)
        phrases = phrases_of(bot.domain())
        return Dictation(hears, phrases, engine=engine, model=self._choice.model, why_not=self._why_not)


def pronunciation(bot: Bot, texts: Sequence[str]) -> tuple[Lexicon, RecordedPrompts]:
    """Read how the bot's own words are said, and the prompts that a person has recorded."""
    recorded = load_recorded(bot.folder / RECORDINGS, {text_id(text): text for text in texts})
    if recorded.unused:
        log.warning("recordings that no prompt asks for", files=recorded.unused)
    return load_lexicon(bot.folder / LEXICON), recorded


def recogniser_wish(settings: Settings) -> RecogniserWish:
    """Return what the operator wants to hear with."""
    engine = None if settings.recognizer in {"auto", "off"} else Recogniser(settings.recognizer)
    return RecogniserWish(
        engine=engine,
        models_dir=settings.models,
        whisper_model=settings.whisper_model,
        vosk_model=settings.vosk_model,
        acoustic_model=settings.acoustic_model,
        servers=settings.recognition_servers,
        installed_dir=installed_models(),
        whisper_context_s=settings.whisper_context_s,
    )


def configured_voice(settings: Settings) -> Voice | None:
    """Return the voice that the operator wants, None for the best there is."""
    if settings.voice == "auto":
        return None
    engine, _, name = settings.voice.partition(":")
    return Voice(engine, name)


def _tenths(progress: Progress, what: str) -> Callable[[int, int], None]:
    """Report a long piece of work ten times, not at every step."""

    def report(done: int, total: int) -> None:
        if done == total or done % max(1, total // 10) == 0:
            progress(f"{what} {done}/{total}")

    return report


def _nothing(done: int, total: int) -> None:
    del done, total


def _silently(text: str) -> None:
    del text
