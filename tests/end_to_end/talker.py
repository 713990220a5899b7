"""Callers who answer what the server's record says it asked: for tests that are about the server, not about ears.

The simulated callers of the demo listen to the bot's voice. These read which prompt was said, so that nothing but the
server's own hearing and thinking can fail the test; what they say still reaches it only as audio.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tests.end_to_end.server import Server
from voicebot.simulation import voice
from voicebot.simulation.carrier import Numbers
from voicebot.simulation.impairment import Impairment
from voicebot.simulation.line import CarrierLine
from voicebot.simulation.script import Deed, DropLine, HangUp, PlayAudio, Press, Say, Wait
from voicebot.simulation.voice import CALLER_VOICES

_POLL_S = 0.15


@dataclass
class Voices:
    """The caller's voice in a process of its own; a sentence is made once."""

    _pool: ProcessPoolExecutor = field(
        default_factory=lambda: ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    )
    _made: dict[str, bytes] = field(default_factory=dict)

    async def speak(self, text: str) -> bytes:
        """Return `text` as mu-law at 8 kHz."""
        if text not in self._made:
            loop = asyncio.get_running_loop()
            self._made[text] = await loop.run_in_executor(self._pool, voice.speak, CALLER_VOICES[0], text)
        return self._made[text]

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class Plan:
    """What to do after each prompt, by the prompt's name in the record; the last deed of a list is repeated.

    A prompt that is not named is only listened to. The call goes on until the bot hangs up or `HangUp` is done.
    """

    name: str
    answers: Mapping[str, Deed | tuple[Deed, ...]]
    numbers: Numbers = Numbers()  # noqa: RUF009 # frozen, so sharing it is safe
    impairment: Impairment = Impairment()  # noqa: RUF009 # frozen, so sharing it is safe
    within_s: float = 240.0


async def converse(server: Server, plan: Plan, voices: Voices) -> dict[str, Any]:
    """Place a call, follow the plan, and return the finished record. AssertionError with the transcript if it hangs."""
    deadline_s = time.monotonic() + plan.within_s
    times: dict[str, int] = {}
    async with server.carrier.dial(numbers=plan.numbers, impairment=plan.impairment) as line:
        answered = 0
        while not line.ended.is_set():
            record = await _record(server, line.call_sid)
            if time.monotonic() > deadline_s:
                raise AssertionError(f"{plan.name}: no end after {plan.within_s} s\n{transcript(record)}")
            asked = [turn["prompt"] for turn in record["turns"] if turn["speaker"] == "bot"]
            fresh = [prompt for prompt in asked[answered:] if prompt in plan.answers]
            answered = len(asked)
            if fresh:
                prompt = fresh[-1]
                deeds = plan.answers[prompt]
                in_turn = deeds if isinstance(deeds, tuple) else (deeds,)
                await act(line, in_turn[min(times.get(prompt, 0), len(in_turn) - 1)], voices)
                times[prompt] = times.get(prompt, 0) + 1
            await asyncio.sleep(_POLL_S)
        return await server.until(line.call_sid, lambda found: found["ended_at"] is not None)


async def act(line: CarrierLine, deed: Deed, voices: Voices) -> None:
    """Do one thing on a line, to its end."""
    match deed:
        case Say(text):
            await line.speak(await voices.speak(text)).finished.wait()
        case PlayAudio(mulaw):
            await line.speak(mulaw).finished.wait()
        case Press(keys):
            for key in keys:
                line.press(key)
                await asyncio.sleep(0.15)
        case Wait(seconds):
            await asyncio.sleep(seconds)
        case HangUp():
            await line.hang_up()
        case DropLine():
            line.drop()


def transcript(record: Mapping[str, Any]) -> str:
    """Return who said what, for a failed test's message; the callers are invented, so nothing is personal."""
    lines = [f"{turn['speaker']:6} {turn['prompt'] or turn['decision']}: {turn['text']}" for turn in record["turns"]]
    return "\n".join(lines)


async def _record(server: Server, call_sid: str) -> dict[str, Any]:
    try:
        return await server.record(call_sid)
    except LookupError:  # the call is being answered
        return {"turns": [], "ended_at": None}
