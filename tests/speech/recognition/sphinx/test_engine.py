"""Decoders of the embedded engine are there before they are needed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.speech.spoken import spoken
from voicebot.dialog.expectation import AnswerKind, Domain, Expectation
from voicebot.speech.recognition.sphinx import engine as engine_module
from voicebot.speech.recognition.sphinx.decoder import QuestionDecoder, wheel_acoustics
from voicebot.speech.recognition.sphinx.domain import compile_domain
from voicebot.speech.recognition.sphinx.engine import SphinxEngine
from voicebot.speech.recognition.wire import Request

FIRST = Expectation("first", (AnswerKind.OPEN, AnswerKind.YES_NO))
PIN = Expectation("pin", (AnswerKind.DIGITS,), lengths=(4,))


async def ignore(_text: str) -> None:
    return


async def test_calls_find_the_decoders_of_the_first_question_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []

    class Counted(QuestionDecoder):
        def __init__(self, *given: object, **options: object) -> None:
            built.append(str(given[2]))
            super().__init__(*given, **options)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(engine_module, "QuestionDecoder", Counted)
    domain = compile_domain(Domain("1", ("where is my order",), (FIRST, PIN)), tmp_path)
    engine = SphinxEngine(wheel_acoustics(), max_sessions=3)
    await engine.prepare(domain)
    assert sorted(built) == ["grammar", "language_model"]
    request = Request.of(FIRST, domain)
    first = await engine.open(request, ignore)
    assert len(built) == 2
    async with asyncio.timeout(10):
        while len(built) < 4:
            await asyncio.sleep(0.01)
    second = await engine.open(request, ignore)
    await asyncio.gather(first.close(), second.close())
    await engine.close()


async def heard_first(engine: SphinxEngine, expectation: Expectation, domain: Path, text: str) -> str:
    stream = await engine.open(Request.of(expectation, domain), ignore)
    try:
        await stream.feed(spoken(text))
        return (await stream.finish())[0].text
    finally:
        await stream.close()


async def test_a_question_for_digits_hears_anger_and_a_wish_for_a_person_and_digits_as_before(tmp_path: Path) -> None:
    outbursts = ("this is ridiculous", "you are wasting my time", "let me talk to a human")
    pin = replace(PIN, phrases=outbursts)
    domain = compile_domain(Domain("1", ("where is my order", *outbursts), (FIRST, pin)), tmp_path)
    engine = SphinxEngine(wheel_acoustics(), max_sessions=1)
    said = (*outbursts, "no this is ridiculous let me talk to a human", "one eight two seven")
    heard = [await heard_first(engine, pin, domain, text) for text in said]
    assert heard == list(said)
    await engine.close()
