"""Measures turn taking: turns cut off and how soon their end is known, interruptions meant and not meant, and costs.

Recorded orders and digits come from --data's `commands` and `digits`; backchannels and prompts are spoken by the
voices of this machine, hums, coughs, music and tones are made by rule. Words are recognised, by the engine that comes
with the product, where they decide whether a prompt goes on, and for open turns, beside sound alone.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import structlog
from _listener import OPEN, Echo, Heard, Sounds, listen, over_prompt, sounds
from _orders import requests
from _report import Report, median_interval, parser, percentile
from _spoken import RATE_HZ, Recording, joined, recordings, spoken, with_pause
from _streamed import Reader
from _words import Words

from voicebot import g711
from voicebot.dialog.expectation import AnswerKind, Domain, Expectation
from voicebot.dialog.flow import Bot
from voicebot.dialog.loader import load_bot
from voicebot.language.understanding import Understanding
from voicebot.simulation.sounds import Wave, at_level, cough, hiss, hum, mixed, music, on_the_line, ringback, silence
from voicebot.speech.listening.dtmf import DtmfDetector
from voicebot.speech.listening.echo import EchoGuard
from voicebot.speech.listening.events import BargeInConfirmed, BargeInSuspected, SpeechStarted, TurnEnded, VoiceHinted
from voicebot.speech.listening.models import EndOfTurnModel, SpeechModel
from voicebot.speech.listening.turn import TurnDetector
from voicebot.speech.listening.vad import FRAME_MS, FRAME_SAMPLES, VoiceActivity
from voicebot.speech.published import installed_models

SEED = 20_263
DIGITS = Expectation("digits", (AnswerKind.DIGITS,), lengths=(6,))
SHORT = Expectation("choice", (AnswerKind.CHOICE,))
#: A turn that ends so long before the last sound has lost a word; less is a breath or the end of a vowel.
CUT_MS = 200
PAUSES_MS = (300.0, 1000.0)
PROMPTS = (
    "Thank you for calling. I can tell you your balance, check on an order, or book an appointment.",
    "Your order left our warehouse on Monday and should arrive by Thursday afternoon, between two and four.",
    "Your account has a balance of four hundred and twelve dollars, and your last payment reached us on Friday.",
)
PROMPT_DBFS = -20.0
#: Streaming recognition's partial result lags by about this much.
RECOGNISED_MS = 200.0
#: Examples of orders that the bot's understanding learns from, beside those of the shipped bot.
EXAMPLES = 30
HUMMED = "mm hmm"
BACKCHANNELS = ("uh huh", HUMMED, "okay", "yeah", "right", "I see")
#: Listeners say them briefly, most in 0.3 to 0.5 s; the voices here would drawl.
BACKCHANNEL_MS = (300.0, 350.0, 400.0, 450.0, 500.0, 550.0)

#: A rate on such material shows what the rules do, not how callers are.
_MADE = """What is not recorded, and how it was made:
  pauses in orders     put in by script where the order is softest, filled with the recording's own background
  "mm-hmm"             a hum made by rule (voicebot.simulation.sounds.hum); the recogniser's pronunciations of "mm" and
                       "hmm" were fitted to this very generator, so its rate says nothing of real hums
  other backchannels   spoken by flite and espeak-ng, quickened to 300 to 550 ms
  coughs, bangs, music, ringback, noise, echo   made by rule (voicebot.simulation.sounds)
  prompts              spoken by flite and espeak-ng
"""


class Bench:
    """What every part works with, each made when it is first asked for."""

    def __init__(
        self,
        report: Report,
        data: Path | None,
        *,
        engine: Mapping[str, object],
        first: int = 0,
        share: int = 1,
    ) -> None:
        self.report = report
        #: Who hears the words of open turns.
        self.engine = engine
        self._data = data
        self._first = first
        self._share = share

    @cached_property
    def bot(self) -> Bot:
        return load_bot(Path(__file__).parents[2] / "flows")

    @cached_property
    def model(self) -> EndOfTurnModel:
        return EndOfTurnModel()

    @cached_property
    def prompts(self) -> Sequence[Wave]:
        made = [at_level(wave, PROMPT_DBFS) for _, wave in spoken(PROMPTS)]
        if not made:
            self.report.missing("interruptions", "no voice on this machine speaks the prompts")
        return made

    @cached_property
    def commands(self) -> Sequence[Recording]:
        if self._data is None or not (self._data / "commands").is_dir():
            self.report.missing("open turns", "no commands under --data")
            return ()
        found, left_out = recordings(self._data / "commands", first=self._first, share=self._share)
        count = len(found) + left_out
        self.report.figure("material", "orders left out, whose end is unclear", left_out, "of", n=count)
        return found

    @cached_property
    def digits(self) -> dict[str, list[tuple[str, Wave]]]:
        """Each speaker's digits: (digit, wave), cut to the sound."""
        if self._data is None or not (self._data / "digits").is_dir():
            self.report.missing("digits", "no digits under --data")
            return {}
        found, _ = recordings(self._data / "digits")
        speakers: dict[str, list[tuple[str, Wave]]] = {}
        for each in found:
            digit, speaker, _ = each.name.split("_")
            speakers.setdefault(speaker, []).append((digit, at_level(each.speech, -22.0)))
        return speakers


def main() -> None:
    made = parser(__doc__ or "")
    made.add_argument("--only", nargs="+", choices=PARTS, help="measure these parts alone; each draws its own chances")
    made.add_argument("--share", type=int, default=1, metavar="N", help="take every N-th order (1)")
    made.add_argument("--from", type=int, default=0, metavar="K", dest="first", help="beginning with the K-th (0)")
    made.add_argument(
        "--engine", choices=("sphinx", "two-pass"), default="sphinx",
        help="who hears the words of open turns: pocketsphinx alone, or with Whisper as calls have it where a model is",
    )  # fmt: skip
    made.add_argument("--whisper", type=Path, help="a Whisper model's folder, in place of the installed tiny.en")
    options = made.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    report = Report("turns")
    print(_MADE)
    whisper = options.whisper or installed_models() / "whisper-tiny.en"
    engine = {"engine": options.engine, **({"model": str(whisper)} if options.engine == "two-pass" else {})}
    bench = Bench(report, options.data, engine=engine, first=options.first, share=options.share)
    for number, (name, measure) in enumerate(PARTS.items()):
        if name in (options.only or PARTS):
            measure(bench, np.random.default_rng((SEED, number, options.first)))
    report.finish(options.json)


def _open_turns(bench: Bench, rng: np.random.Generator) -> None:
    report, commands = bench.report, bench.commands
    if not commands:
        return
    as_spoken = _heard(commands, rng)
    paused = _heard([with_pause(each, rng.uniform(*PAUSES_MS), rng) for each in commands], rng)
    intents = {name: each.examples for name, each in bench.bot.intents_by_name.items()}
    examples = {**intents, "order_a_drink": requests()[:EXAMPLES]}
    reader = Reader(Domain("orders", requests(), (OPEN,)), examples, bench.engine)
    as_calls_do = (f"sound and words, as calls do, heard by {reader.recogniser.name}", bench.model, reader)
    # Without words it is the same whoever would hear them.
    wordless = (("silence alone", None, None), ("sound alone", bench.model, None))
    for title, judge, words in (*(wordless if bench.engine["engine"] == "sphinx" else ()), as_calls_do):
        section = f"open turns, {title}"
        natural = [_turn(each, OPEN, judge, reader=words) for each in as_spoken]
        mended = [_turn(each, OPEN, judge, reader=words) for each in paused]
        _turns(report, section, "orders as spoken", natural)
        _turns(report, section, "a pause of 0.3 to 1 s put in", mended)
        # Each order as spoken four times to one with a long pause in its middle.
        mix = [(0.8, sum(cut for cut, _ in natural), len(natural)), (0.2, sum(cut for cut, _ in mended), len(mended))]
        rate_aim, median_aim = ("under 5 %", "under 350") if words else ("", "")
        report.mixed_rate(section, "four to one: cut off", mix, yardstick=rate_aim)
        _known_after(report, section, "four to one", [*natural, *mended[::4]], yardstick=median_aim)
        for half, title_of_half in enumerate(("half that the waiting was set on", "half held back")):
            ours = [_half(each) == half for each in commands]
            spoken_so = [turn for turn, mine in zip(natural, ours, strict=True) if mine]
            paused_so = [turn for turn, mine in zip(mended, ours, strict=True) if mine]
            _turns(report, section, f"{title_of_half}, as spoken", spoken_so)
            _turns(report, section, f"{title_of_half}, a pause put in", paused_so)
    reader.close()


def _half(recording: Recording) -> int:
    """Return 0 for the half of the recordings that the waiting was set on, 1 for the other; speakers are not known."""
    return int(hashlib.sha1(recording.name.encode(), usedforsecurity=False).hexdigest(), 16) % 2


@dataclass(frozen=True, slots=True)
class _Spoken:
    """One turn as it is heard, and where its last sound ends."""

    sounds: Sounds
    last_ms: float


def _heard(recordings: Sequence[Recording], rng: np.random.Generator) -> list[_Spoken]:
    found = []
    for recording in recordings:
        wave = recording.wave
        if wave.size < recording.end + 2 * RATE_HZ:
            wave = np.concatenate([wave[: recording.end + 800], recording.background(2 * RATE_HZ, rng)])
        found.append(_Spoken(sounds(wave, rng), recording.end * 1000 / RATE_HZ))
    return found


def _turn(
    spoken_turn: _Spoken,
    expectation: Expectation,
    model: EndOfTurnModel | None,
    *,
    enough_after_ms: float = math.inf,
    reader: Reader | None = None,
) -> tuple[bool, float]:
    """Return whether the turn was cut off, and the milliseconds from its last sound to its end.

    So long after its last sound recognition says that it has all it expects; a `reader` hears the words themselves.
    """
    last_ms = spoken_turn.last_ms
    heard = listen(spoken_turn.sounds, expectation, model, enough_at_ms=last_ms + enough_after_ms, reader=reader)
    ended_ms = heard.first(TurnEnded)
    if ended_ms is None:
        return False, len(spoken_turn.sounds.activities) * FRAME_MS - last_ms
    turn = next(event for _, event in heard.events if isinstance(event, TurnEnded))
    return turn.last_speech_sample * 1000 / RATE_HZ < last_ms - CUT_MS, ended_ms - last_ms


def _turns(report: Report, section: str, name: str, turns: Sequence[tuple[bool, float]]) -> None:
    report.rate(section, f"{name}: cut off", sum(cut for cut, _ in turns), len(turns))
    _known_after(report, section, name, turns)


def _known_after(
    report: Report, section: str, name: str, turns: Sequence[tuple[bool, float]], *, yardstick: str = ""
) -> None:
    waits = [wait for cut, wait in turns if not cut]
    low, high = median_interval(waits)
    report.figure(
        section, f"{name}: end known after, p50", percentile(waits, 0.5), "ms", n=len(waits), low=low, high=high,
        yardstick=yardstick,
    )  # fmt: skip
    report.figure(section, f"{name}: end known after, p90", percentile(waits, 0.9), "ms", n=len(waits))


def _closed_turns(bench: Bench, rng: np.random.Generator) -> None:
    """Measure six digits in groups, and one word."""
    report, model = bench.report, bench.model
    if not bench.digits:
        return
    numbers = []
    for spoken_digits in bench.digits.values():
        for _ in range(50):
            chosen = [spoken_digits[int(rng.integers(len(spoken_digits)))][1] for _ in range(6)]
            gaps = [rng.uniform(500, 1000) if place in {2, 3} else rng.uniform(40, 200) for place in range(6)]
            numbers.append(joined(chosen, gaps, rng))
    section = "six digits in groups, 0.5 to 1 s between them"
    spoken_numbers = _heard(numbers, rng)
    _turns(report, section, "no word from recognition", [_turn(each, DIGITS, model) for each in spoken_numbers])
    told = [_turn(each, DIGITS, model, enough_after_ms=RECOGNISED_MS) for each in spoken_numbers]
    _turns(report, section, f"all six recognised {RECOGNISED_MS:.0f} ms after the last", told)
    words = [joined([wave], [0.0], rng) for spoken_digits in bench.digits.values() for _, wave in spoken_digits[::5]]
    turns = [_turn(each, SHORT, model) for each in _heard(words, rng)]
    _turns(report, "one-word answers to a closed question", "recorded digits", turns)


def _meant(bench: Bench, rng: np.random.Generator) -> None:
    report, commands, prompts = bench.report, bench.commands, bench.prompts
    if not commands or not prompts:
        return
    words = Words(Domain("orders", requests(), (OPEN,)), None)
    for title, loss_db in (("no echo", None), ("echo at -20 dB", 20.0)):
        section = f"orders spoken over a prompt, {title}"
        lowered, suspected, confirmed = [], [], []
        mistaken = 0
        guard = EchoGuard()
        delay_ms = rng.uniform(40, 400)
        for number, command in enumerate(commands):
            if number % 10 == 0:
                guard, delay_ms = EchoGuard(), rng.uniform(40, 400)
            start_ms = rng.uniform(800, 2500)
            near = np.concatenate([silence(start_ms), command.speech, silence(1500)])
            echo = None if loss_db is None else Echo(delay_ms, loss_db)
            heard = over_prompt(near, prompts[number % len(prompts)], echo, rng, guard, to_the_end=True)
            mistaken += words.let_the_prompt_go_on(near, heard, OPEN)
            suspected.append(_since(heard, BargeInSuspected, start_ms))
            lowered.append(min(suspected[-1], _since(heard, VoiceHinted, start_ms)))
            confirmed.append(_since(heard, BargeInConfirmed, start_ms))
        report.rate(section, "taken for a backchannel by its words", mistaken, len(commands))
        in_time = sum(each < 600 for each in confirmed)
        report.rate(section, "confirmed within 600 ms", in_time, len(confirmed), yardstick="98 %")
        for what, times, mark in (("lowered or stopped", lowered, "all"), ("stopped", suspected, "")):
            at_once = sum(each <= 200 for each in times)
            report.rate(section, f"prompt {what} within 200 ms", at_once, len(times), yardstick=mark)
            report.figure(section, f"prompt {what} after, p50", percentile(times, 0.5), "ms", n=len(times))
        report.figure(section, "confirmed after, p50", percentile(confirmed, 0.5), "ms", n=len(confirmed))


def _since(heard: Heard, kind: type[VoiceHinted | BargeInSuspected | BargeInConfirmed], start_ms: float) -> float:
    """Return how long after `start_ms` the first such event came; for ever if none did."""
    after = [at for at, event in heard.events if isinstance(event, kind) and at > start_ms]
    return after[0] - start_ms if after else float("inf")


def _not_meant(bench: Bench, rng: np.random.Generator) -> None:
    report, prompts, bot = bench.report, bench.prompts, bench.bot
    if not prompts:
        return
    section = "sounds over a prompt that are no interruption"
    quiet = silence(12_000)

    def interrupted(near: Wave, number: int, echo: Echo | None, guard: EchoGuard) -> Heard:
        return over_prompt(near, prompts[number % len(prompts)], echo, rng, guard)

    def lost(name: str, nears: Sequence[Wave], echo: Echo | None = None) -> tuple[int, int]:
        outcomes = [interrupted(near, number, echo, EchoGuard()) for number, near in enumerate(nears)]
        confirmed = sum(each.count(BargeInConfirmed) > 0 for each in outcomes)
        stopped = sum(each.count(BargeInSuspected) > 0 for each in outcomes)
        report.rate(section, f"{name}: prompt lost", confirmed, len(outcomes), note=f"stopped for a moment {stopped}")
        return confirmed, len(outcomes)

    def placed(sound: Wave) -> Wave:
        return np.concatenate([silence(rng.uniform(800, 2500)), sound, silence(1500)])

    groups = [
        lost("coughs", [placed(cough(rng)) for _ in range(100)]),
        lost("two coughs", [placed(np.concatenate([cough(rng), silence(250), cough(rng)])) for _ in range(100)]),
        lost("bangs", [placed(hiss(rng.uniform(30, 200), -15.0, rng)) for _ in range(100)]),
        lost("music", [placed(music(3000, rng.uniform(-30, -18))) for _ in range(30)]),
        lost("ringback", [placed(ringback(3000)) for _ in range(20)]),
        *(
            lost(f"own echo at {-loss_db:.0f} dB", [quiet] * 42, Echo(delay_ms, loss_db))
            for loss_db, delay_ms in ((14.0, 60.0), (20.0, 60.0), (20.0, 180.0), (20.0, 420.0), (30.0, 180.0))
        ),
    ]
    words = Words(bot.domain(), Understanding({name: each.examples for name, each in bot.intents_by_name.items()}))
    question = next(each for each in bot.domain().expectations if each.kinds == (AnswerKind.OPEN,))
    for text in BACKCHANNELS:
        if text == HUMMED:
            sounds = [hum(rng) for _ in range(42)]
        else:
            sounds = [wave for longest in BACKCHANNEL_MS for _, wave in spoken([text], longest_ms=longest)]
        nears = [placed(at_level(sound, rng.uniform(-28, -18))) for sound in sounds]
        by_sound, by_words = _lost_by_words(nears, prompts, words, question, rng)
        report.rate(section, f'"{text}": prompt lost', by_words, len(nears), note=f"by sound alone {by_sound}")
        groups.append((by_words, len(nears)))
    total, trials = (sum(each) for each in zip(*groups, strict=True))
    report.rate(section, "all", total, trials, yardstick="under 2 %")


def _lost_by_words(
    nears: Sequence[Wave], prompts: Sequence[Wave], words: Words, question: Expectation, rng: np.random.Generator
) -> tuple[int, int]:  # fmt: skip
    """Return how often such words lose the prompt: by sound alone, and once they are recognised."""
    by_sound = by_words = 0
    for number, near in enumerate(nears):
        heard = over_prompt(near, prompts[number % len(prompts)], None, rng, EchoGuard(), to_the_end=True)
        by_sound += heard.count(BargeInConfirmed) > 0
        by_words += not words.let_the_prompt_go_on(near, heard, question)
    return by_sound, by_words


def _not_speech(bench: Bench, rng: np.random.Generator) -> None:
    section = "sounds without a prompt that start no turn"
    made: dict[str, Callable[[], Wave]] = {
        "coughs": lambda: cough(rng),
        "bangs": lambda: hiss(rng.uniform(30, 200), -15.0, rng),
        "music, 5 s": lambda: music(5000, rng.uniform(-30, -18)),
        "ringback, 5 s": lambda: ringback(5000),
        "noise at 12 dB below speech, 5 s": lambda: hiss(5000, -34.0, rng),
    }
    for name, make in made.items():
        started = 0
        for _ in range(60):
            wave = np.concatenate([silence(800), make(), silence(800)])
            started += listen(sounds(wave, rng, noise=True), OPEN, None).first(SpeechStarted) is not None
        bench.report.rate(section, name, started, 60)


def _talk_off(bench: Bench, rng: np.random.Generator) -> None:
    del rng
    waves = [each.wave for each in bench.commands] + [wave for each in bench.digits.values() for _, wave in each]
    if not waves:
        return
    detector = DtmfDetector()
    keys, frames = 0, 0
    for wave in waves:
        pcm = wave.clip(-32768, 32767).astype("<i2").tobytes()
        for start in range(0, len(pcm) - 319, 320):
            keys += len(detector.feed(pcm[start : start + 320]))
            frames += 1
    bench.report.figure("keys heard in voices", f"in {frames / 50 / 60:.0f} minutes of speech", keys, "keys")


def _costs(bench: Bench, rng: np.random.Generator) -> None:
    report, prompts = bench.report, bench.prompts
    section = "cost on this machine"
    waves = [each.wave for each in bench.commands[:20]] or list(prompts[:5])
    if not waves:
        return
    calls = [on_the_line(wave, rng, noise_dbfs=-66.0) for wave in waves]
    frames = [pcm[at : at + FRAME_SAMPLES].tobytes() for pcm in calls for at in range(0, pcm.size - 159, FRAME_SAMPLES)]
    ears, turns, keys = VoiceActivity(SpeechModel()), TurnDetector(), DtmfDetector()
    heard = []
    report.figure(section, "voice activity, a frame", _mean_us(lambda f: heard.append(ears.feed(f)), frames), "us",
                  n=len(frames), yardstick="60")  # fmt: skip
    report.figure(section, "turn detector, a frame", _mean_us(turns.feed, heard), "us", n=len(heard))
    report.figure(section, "keys in the audio, a frame", _mean_us(keys.feed, frames), "us", n=len(frames))
    if prompts:
        report.figure(section, "echo guard while a prompt plays, a frame", _echo_us(prompts[0], rng), "us")
    times = []
    for pcm in calls:
        began = time.process_time()
        bench.model.probability(pcm)
        times.append((time.process_time() - began) * 1000)
    report.figure(section, "end-of-turn model, a question, p50", percentile(times, 0.5), "ms", n=len(times))


def _mean_us(work: Callable[..., object], inputs: Sequence[object]) -> float:
    # Processor time: other work on the machine does not count.
    began = time.process_time()
    for each in inputs:
        work(each)
    return (time.process_time() - began) / len(inputs) * 1e6


def _echo_us(prompt: Wave, rng: np.random.Generator) -> float:
    """Return what a prompt that comes back as echo all the time costs: the worst case."""
    far = on_the_line(prompt, rng)
    near = on_the_line(mixed(silence(prompt.size / 8), np.concatenate([silence(100), prompt * 0.1])), rng)
    guard, ears = EchoGuard(), VoiceActivity(SpeechModel())
    for at in range(0, far.size - 159, FRAME_SAMPLES):
        guard.sent(g711.encode(far[at : at + FRAME_SAMPLES]))
    frames = [near[at : at + FRAME_SAMPLES].tobytes() for at in range(0, near.size - 159, FRAME_SAMPLES)]
    judged = [(frame, ears.feed(frame)) for frame in frames]
    return _mean_us(lambda pair: guard.judge(*pair), judged)


PARTS: Mapping[str, Callable[[Bench, np.random.Generator], None]] = {
    "open": _open_turns,
    "closed": _closed_turns,
    "interruptions": _meant,
    "no-interruptions": _not_meant,
    "no-speech": _not_speech,
    "keys": _talk_off,
    "costs": _costs,
}


if __name__ == "__main__":
    main()
