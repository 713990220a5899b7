"""Measures the voices on this machine: how well each is understood, how fast it is, and how soon a prompt starts.

A voice is understood as far as a recogniser reads back, from 8 kHz mu-law, what it said: pocketsphinx with the
wheel's model and a trigram model of other sentences than those spoken. Two sets of texts:

- what a bot says: balances, order numbers, dates and times in this product's kinds of prompts, random values (always);
- what people ask a bank: requests of --data's intents/banking77_test.csv, with a language model of its training part.
"""

from __future__ import annotations

import asyncio
import csv
import random
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from _report import Report, parser, percentile

from voicebot import g711
from voicebot.errors import EngineUnavailable
from voicebot.speech.recognition.sphinx.decoder import QuestionDecoder, Search, wheel_acoustics
from voicebot.speech.recognition.sphinx.domain import Compiled
from voicebot.speech.recognition.sphinx.features import FeatureStream
from voicebot.speech.recognition.sphinx.lexicon import cmu_dictionary
from voicebot.speech.recognition.sphinx.ngram import Sentence, arpa
from voicebot.speech.synthesis.normalize import normalize
from voicebot.speech.synthesis.phrases import PhraseCache
from voicebot.speech.synthesis.sound import active_level_dbfs
from voicebot.speech.synthesis.speaker import Speaker
from voicebot.speech.synthesis.synthesizer import WorkerSynthesizer
from voicebot.speech.synthesis.voices import choose_voice, list_voices, load_speaker
from voicebot.speech.synthesis.wire import worker_options
from voicebot.speech.tts import Voice
from voicebot.speech.workers.pool import WorkerPool
from voicebot.speech.workers.process import WorkerSpec

SEED = 20_261
#: A pause is known after 160 ms, and this allows for ends of turns from 300 on.
AHEAD_S = 0.14
FURTHER_VOICES = (Voice("espeak", "en-us"), Voice("espeak", "en-us+f2"), Voice("espeak", "en-us+f3"))
PROMPTS = (
    "Your balance is {money}.",
    "Payments of {money} are still on their way out.",
    "I have order number {digits}, is that right?",
    "Your order, {digits}, left the warehouse on {date}.",
    "I'm sorry, your order is {days} late, and it should arrive on {date}.",
    "The next free appointment is on {date} at {clock}.",
    "Shall I book {date} at {clock} for you?",
    "Your appointment is booked for {clock} on {date}.",
    "We are open from {clock} to {clock}, Monday to Friday.",
    "Please say or key in the {count} digits of your account number.",
    "I could not find an account {digits}.",
    "Your last payment of {money} reached us on {date}.",
    "You can call us back at {phone}.",
    "Is there anything else I can do for you?",
    "One moment, I'm connecting you to a colleague.",
)
MONTHS = "January February March April May June July August September October November December".split()


@dataclass(frozen=True, slots=True)
class Texts:
    """What is spoken, and the sentences that the recogniser's language model is made of, all in words."""

    name: str
    spoken: tuple[tuple[str, ...], ...]
    said_as: tuple[str, ...]
    language: tuple[tuple[str, ...], ...]


@dataclass(slots=True)
class Heard:
    """How one voice was read back."""

    errors: int = 0
    words: int = 0
    whole: int = 0
    sentences: int = 0
    speech_s: float = 0.0
    making_s: float = 0.0


def tokens(text: str) -> tuple[str, ...]:
    """Return the words of a normalised text as the recogniser's dictionary has them."""
    spoken = re.sub(r"\beigh\b", "a", normalize(text).lower())  # the letter, see words.numbers
    return tuple(re.findall(r"[a-z]+(?:'[a-z]+)?", spoken.replace("-", " ")))


def fill(template: str, chance: random.Random) -> str:
    makers: dict[str, Callable[[], str]] = {
        "money": lambda: f"${chance.randint(1, 2500)}.{chance.randint(0, 99):02}",
        "digits": lambda: "".join(str(chance.randint(0, 9)) for _ in range(6)),
        "date": lambda: f"{chance.choice(MONTHS)} {chance.randint(1, 28)}",
        "clock": lambda: f"{chance.randint(1, 12)}:{chance.choice((0, 15, 30, 45)):02} {chance.choice(('AM', 'PM'))}",
        "days": lambda: f"{chance.randint(2, 14)} days",
        "count": lambda: str(chance.randint(4, 12)),
        "phone": lambda: f"555-01{chance.randint(0, 99):02}",
    }
    return re.sub(r"\{(\w+)\}", lambda field: makers[field.group(1)](), template)


def prompt_texts(count: int) -> Texts:
    chance = random.Random(SEED)  # noqa: S311 - the same sentences every time
    said = tuple(fill(PROMPTS[number % len(PROMPTS)], chance) for number in range(count))
    language = tuple(tokens(fill(template, chance)) for template in PROMPTS for _ in range(150))
    return Texts("what a bot says", tuple(map(tokens, said)), said, language)


def bank_texts(folder: Path, count: int) -> Texts:
    chance = random.Random(SEED)  # noqa: S311 - the same sentences every time
    requests = [text for text in column(folder / "banking77_test.csv") if 4 <= len(text.split()) <= 20]
    said = tuple(chance.sample(requests, min(count, len(requests))))
    language = tuple(tokens(text) for text in column(folder / "banking77_train.csv"))
    return Texts("what people ask a bank", tuple(map(tokens, said)), said, language)


def column(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as rows:
        return [" ".join(row["text"].split()) for row in csv.DictReader(rows)]


def recogniser(texts: Texts) -> QuestionDecoder:
    words = frozenset(word for sentence in (*texts.language, *texts.spoken) for word in sentence)
    # A word that only a spoken text has must be known too, but with next to no weight.
    sentences = [Sentence(words) for words in texts.language if words]
    sentences += [Sentence((word,), 0.01) for word in sorted(words)]
    compiled = Compiled(grammar=None, language_model=arpa(sentences), words=words)
    return QuestionDecoder(wheel_acoustics(), compiled, Search.LANGUAGE_MODEL, cmu_dictionary())


def read_back(decoder: QuestionDecoder, mulaw: bytes) -> tuple[str, ...]:
    decoder.begin()
    features = FeatureStream(wheel_acoustics().front_end)
    decoder.hear(features.feed(g711.decode(mulaw).tobytes()))
    decoder.hear(features.finish())
    decoder.end()
    result = decoder.result()
    return () if result is None else tuple(result.text.split())


def word_errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Return the fewest substitutions, insertions and deletions between the two."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(said, start=1):
        previous, row[0] = row[0], number
        for place, other in enumerate(heard, start=1):
            previous, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, previous + (word != other))
    return row[-1]


def listen(speaker: Speaker, decoder: QuestionDecoder, texts: Texts) -> tuple[Heard, list[float]]:
    heard, levels = Heard(), []
    for text, words in zip(texts.said_as, texts.spoken, strict=True):
        started = time.perf_counter()
        mulaw = speaker.speak_mulaw(normalize(text))
        heard.making_s += time.perf_counter() - started
        heard.speech_s += len(mulaw) / 8000
        levels.append(active_level_dbfs(g711.decode(mulaw)))
        errors = word_errors(words, read_back(decoder, mulaw))
        heard.errors += errors
        heard.words += len(words)
        heard.whole += errors == 0
        heard.sentences += 1
    return heard, levels


def measure_understanding(report: Report, texts: Texts, models_dir: Path | None) -> None:
    decoder = recogniser(texts)
    present = [known.voice for known in list_voices(models_dir) if known.present]
    for voice in (*present, *FURTHER_VOICES):
        name = f"{voice.engine} {voice.name}"
        try:
            speaker = load_speaker(voice, models_dir)
        except EngineUnavailable as error:
            report.missing(f"{texts.name}, {name}", str(error))
            continue
        heard, levels = listen(speaker, decoder, texts)
        report.rate(texts.name, f"{name}: words wrong", heard.errors, heard.words)
        report.rate(texts.name, f"{name}: sentences wholly right", heard.whole, heard.sentences)
        pace = 60 * heard.words / heard.speech_s
        report.figure(texts.name, f"{name}: words a minute, pauses included", pace, "", n=heard.sentences)
        report.figure(texts.name, f"{name}: times real time", heard.speech_s / heard.making_s, "x", n=heard.sentences)
        spread = statistics.pstdev(levels)
        report.figure(
            texts.name, f"{name}: level", statistics.fmean(levels), "dBFS", n=len(levels), note=f"sigma {spread:.2f} dB"
        )


async def measure_first_audio(report: Report, texts: Texts, models_dir: Path | None) -> None:
    """From the decision to the first bytes, through a real worker: newly made, from disk, and from memory."""
    choice = choose_voice(None, models_dir)
    spec = WorkerSpec(kind="tts", options=worker_options(choice.voice, models_dir))
    section = f"first audio, {choice.voice.engine} {choice.voice.name}"
    said = [*dict.fromkeys(texts.said_as)]
    with tempfile.TemporaryDirectory(prefix="voicebot-bench-") as folder:
        async with WorkerPool(spec) as pool:

            def cache() -> PhraseCache:
                return PhraseCache(WorkerSynthesizer(pool), voice=choice.voice, directory=Path(folder))

            phrases = cache()
            new = [await first_audio_ms(phrases, text) for text in said]
            ahead = [await prepared_audio_ms(phrases, f"Also, {text}") for text in said]
            await phrases.flush()
            restarted = cache()
            disk = [await first_audio_ms(restarted, text) for text in said]
            memory = [await first_audio_ms(restarted, text) for text in said]
    for name, times, yardstick in (
        ("newly made", new, ""),
        (f"begun {AHEAD_S * 1000:.0f} ms before, in the caller's pause", ahead, ""),
        ("from disk", disk, ""),
        ("cached", memory, "under 5"),
    ):
        report.figure(section, f"{name}, median", statistics.median(times), "ms", n=len(times))
        report.figure(section, f"{name}, p95", percentile(times, 0.95), "ms", n=len(times), yardstick=yardstick)


async def prepared_audio_ms(phrases: PhraseCache, text: str) -> float:
    """Return what is left to wait for of a sentence begun in the pause before it was asked for."""
    rendering = asyncio.create_task(first_audio_at(phrases, text))
    await asyncio.sleep(AHEAD_S)
    asked = time.perf_counter()
    return max(0.0, await rendering - asked) * 1000


async def first_audio_at(phrases: PhraseCache, text: str) -> float:
    first = 0.0
    async for _ in phrases.render(text, cache=False):
        first = first or time.perf_counter()
    return first


async def first_audio_ms(phrases: PhraseCache, text: str) -> float:
    started = time.perf_counter()
    first = 0.0
    async for _ in phrases.render(text, cache=True):
        first = first or time.perf_counter()
    return (first - started) * 1000


def main() -> None:
    options_parser = parser(__doc__ or "")
    options_parser.add_argument("--models", type=Path, metavar="DIR", help="folder with Piper voices")
    options_parser.add_argument("--sentences", type=int, default=120, metavar="N", help="texts a set and voice (120)")
    options = options_parser.parse_args()
    report = Report("voice")
    prompts = prompt_texts(options.sentences)
    asyncio.run(measure_first_audio(report, prompts, options.models))
    measure_understanding(report, prompts, options.models)
    intents = options.data / "intents" if options.data else None
    if intents is not None and (intents / "banking77_test.csv").is_file():
        measure_understanding(report, bank_texts(intents, options.sentences), options.models)
    else:
        report.missing("what people ask a bank", "no intents/banking77_test.csv under --data")
    report.finish(options.json)


if __name__ == "__main__":
    main()
