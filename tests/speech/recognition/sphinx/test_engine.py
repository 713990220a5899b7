"""Decoders of the embedded engine are there before they are needed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

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
