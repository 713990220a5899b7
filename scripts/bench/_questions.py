"""What the callers of `calls` say, and how they come by it."""

from __future__ import annotations

import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from _load import Line, Said, Topic

from voicebot import g711
from voicebot.simulation.loudness import speech_bounds
from voicebot.simulation.voice import CALLER_VOICES, first_present, speak
from voicebot.speech.listening.models import EndOfTurnModel
from voicebot.speech.synthesis.voices import load_speaker
from voicebot.speech.tts import Voice
from voicebot.telephony.leg import SAMPLE_RATE_HZ, SILENT_FRAME
from voicebot.wav import read_mulaw_wav

SHIPPED_FLOWS = Path(__file__).parents[2] / "flows"
#: Those that need models which no fresh machine has.
WITH_MODELS = ("engines", "same-engines", "stock-engines", "stock-shared")
REQUESTS = ("What are your opening hours?", "When are you open?", "Are you open on Sunday?", "What time do you close?")
BALANCE = "Can you check my account balance?"
ACCOUNT = "four four eight, two zero five"
PIN = "6018"
#: What callers ask in a Piper voice, and how sure the end-of-turn model must be that each has finished.
ASKED = (
    "What are your opening hours?",
    "Are you open on Sunday?",
    "What time do you close?",
    "When do you close on Saturday?",
    "Could you tell me your opening hours, please?",
    "Good morning, could you tell me what time you close today?",
    "I want to know your opening hours.",
    "What time do you open tomorrow?",
)
ASKED_FINISHED = 0.9
#: Of people's recordings: how many, of what length, and how sure the end-of-turn model must be of each.
PEOPLE, SHORTEST_S, LONGEST_S, FINISHED = 8, 1.5, 3.5, 0.985
#: Silence after speech at which the end-of-turn model is asked.
MODEL_HEARS_FRAMES = 10


@dataclass(frozen=True, slots=True)
class Voices:
    """What callers say, mu-law: by synthetic voice what the engines can understand, people's own, and by Piper."""

    spoken: dict[str, bytes]
    people: tuple[bytes, ...]
    asked: tuple[bytes, ...] = ()

    def topics(self, system: str) -> list[Topic]:
        """Return what callers talk about: with real speech also a balance, with spoken digits and pressed keys.

        An echo takes no turns.
        """
        if system == "echo":
            return []
        if system == "real":
            balance = (
                Line(Said.REQUEST, self.spoken[BALANCE]),
                Line(Said.DIGITS, self.spoken[ACCOUNT]),
                Line(Said.KEYS, keys=PIN),
            )
            return [balance, *((Line(Said.REQUEST, self.spoken[text]),) for text in REQUESTS)]
        if system in WITH_MODELS:
            return [(Line(Said.REQUEST, mulaw),) for mulaw in self.asked]
        said = self.people or tuple(self.spoken[text] for text in REQUESTS)
        return [(Line(Said.REQUEST, mulaw),) for mulaw in said]


def flows_without_rephrasings(folder: Path) -> Path:
    """Copy the shipped flows into `folder`, but for what hands over whoever puts the same request again.

    All callers here do: after three to six questions about opening hours each would be put through, not answered.
    """
    flows = shutil.copytree(SHIPPED_FLOWS, folder / "flows")
    policy = flows / "policy.yaml"
    lines = policy.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not line.strip().startswith("rephrasings:")]
    if len(kept) == len(lines):
        raise SystemExit(f"calls: {SHIPPED_FLOWS / policy.name} gives rephrasings no weight that could be left out")
    policy.write_text("".join(kept), encoding="utf-8")
    return flows


def load_voices(data: Path | None, piper: Path | None = None) -> Voices:
    """Return the callers' voices; engines and models are loaded in another process than the callers'."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        voice: Voice = pool.submit(first_present, CALLER_VOICES).result()
        texts = [*REQUESTS, BALANCE, ACCOUNT]
        spoken = {text: pool.submit(speak, voice, text).result() for text in texts}
        commands = data / "commands" if data else None
        people = pool.submit(finished_people, commands).result() if commands and commands.is_dir() else ()
        asked = pool.submit(finished_questions, piper).result() if piper else ()
        return Voices(spoken, people, asked)


def finished_questions(piper: Path) -> tuple[bytes, ...]:
    """Return `ASKED` in a Piper voice, but for those that the end-of-turn model is not sure are finished."""
    speaker = load_speaker(Voice("piper", piper.stem), piper.parent)
    said = (_without_silence(speaker.speak_mulaw(text, 1.0)) for text in ASKED)
    model = EndOfTurnModel()
    return tuple(mulaw for mulaw in said if _finished(model, mulaw) >= ASKED_FINISHED)


def _without_silence(mulaw: bytes) -> bytes:
    start, end = speech_bounds(mulaw)
    return mulaw[start:end]


def _finished(model: EndOfTurnModel, said: bytes) -> float:
    return model.probability(g711.decode(said + SILENT_FRAME * MODEL_HEARS_FRAMES))


def finished_people(folder: Path) -> tuple[bytes, ...]:
    """Return recorded requests that the end-of-turn model is sure are finished, so that it holds up neither side."""
    model = EndOfTurnModel()
    found: list[bytes] = []
    for path in sorted(folder.glob("*.wav")):
        said = _without_silence(read_mulaw_wav(path))
        if SHORTEST_S < len(said) / SAMPLE_RATE_HZ < LONGEST_S and _finished(model, said) >= FINISHED:
            found.append(said)
        if len(found) == PEOPLE:
            break
    return tuple(found)
