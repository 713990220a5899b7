from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fakes.buzz import buzz
from tests.fakes.transcriber import ScriptedTranscriber, ScriptedUtterance
from tests.fakes.vosk_model import tones, write_vosk_model
from tests.fakes.whisper_model import write_whisper_model
from tests.fakes.wyoming_servers import wyoming_server
from voicebot import g711
from voicebot.dialog.expectation import Expectation
from voicebot.errors import EngineUnavailable
from voicebot.speech.dictation import Dictation, Standby, StandbyTranscriber, Written
from voicebot.speech.models import Recogniser, RecogniserChoice, RecogniserWish, choose_dictation, engine_name
from voicebot.speech.recognition.transcriber import WorkerTranscriber
from voicebot.speech.recognition.utterance import Deadlines
from voicebot.speech.scribe import Scribe, Unwritten

SECOND = b"\0" * 16_000


def scribe(told: list[Unwritten], *, most_waiting_s: float = 10.0) -> Scribe:
    return Scribe(told.append, most_waiting_s=most_waiting_s)


async def test_passages_are_written_one_after_the_other() -> None:
    transcriber = ScriptedTranscriber(["good morning", "hello"], delay_s=0.02)
    dictation = Dictation(transcriber, engine="scripted")
    told: list[Unwritten] = []
    writes = scribe(told)
    async with writes.running():
        first, second = writes.write(dictation, SECOND), writes.write(dictation, 2 * SECOND)
        texts = [written.text for written in await asyncio.gather(first, second) if isinstance(written, Written)]
    assert texts == ["good morning", "hello"]
    assert transcriber.fed_samples == [8000, 16_000]
    assert told == []


async def test_what_would_wait_too_long_is_not_written_and_counted() -> None:
    dictation = Dictation(ScriptedTranscriber(["one", "three"]), engine="scripted")
    told: list[Unwritten] = []
    writes = scribe(told, most_waiting_s=2.0)
    first, second = writes.write(dictation, SECOND), writes.write(dictation, 2 * SECOND)
    assert await second is Unwritten.BUSY
    assert told == [Unwritten.BUSY]
    async with writes.running():
        assert isinstance(await first, Written)
        assert isinstance(await writes.write(dictation, 2 * SECOND), Written), "there is room again"


async def test_what_is_in_no_hurry_waits_behind_all_others_and_is_never_too_much() -> None:
    dictation = Dictation(ScriptedTranscriber(["live", "late", "later"]), engine="scripted")
    told: list[Unwritten] = []
    writes = scribe(told, most_waiting_s=2.0)
    late = [writes.write(dictation, 3 * SECOND, leisurely=True) for _ in range(2)]
    live = writes.write(dictation, 2 * SECOND)
    async with writes.running():
        texts = [written.text for written in await asyncio.gather(live, *late) if isinstance(written, Written)]
    assert texts == ["live", "late", "later"]
    assert told == []


async def test_an_engine_that_fails_leaves_a_passage_unwritten_and_the_next_is_tried() -> None:
    dictation = Dictation(ScriptedTranscriber([None, "better"]), engine="scripted")
    told: list[Unwritten] = []
    writes = scribe(told)
    async with writes.running():
        assert await writes.write(dictation, SECOND) is Unwritten.FAILED
        assert isinstance(await writes.write(dictation, SECOND), Written)
    assert told == [Unwritten.FAILED]


async def test_an_engine_that_breaks_down_as_nobody_expects_costs_its_own_passage_only() -> None:
    class Broken(ScriptedTranscriber):
        async def start(self, expectation: Expectation) -> ScriptedUtterance:
            del expectation
            raise OSError("no more processes")

    told: list[Unwritten] = []
    writes = scribe(told)
    async with asyncio.timeout(20), writes.running():
        broken = Dictation(Broken([]), engine="scripted")
        assert await writes.write(broken, SECOND) is Unwritten.FAILED
        good = Dictation(ScriptedTranscriber(["better"]), engine="scripted")
        assert isinstance(await writes.write(good, SECOND), Written)
    assert told == [Unwritten.FAILED]


async def test_who_no_longer_waits_for_a_passage_holds_up_nobody() -> None:
    dictation = Dictation(ScriptedTranscriber(["two"]), engine="scripted")
    writes = scribe([])
    writes.write(dictation, SECOND).cancel()
    async with writes.running():
        assert isinstance(await writes.write(dictation, SECOND), Written)


async def test_workers_are_started_once_when_first_needed() -> None:
    starts = []

    async def start() -> None:
        starts.append(1)
        await asyncio.sleep(0.01)

    standby = Standby(start)
    dictation = Dictation(StandbyTranscriber(standby, ScriptedTranscriber(["a word", "another"])), engine="scripted")
    writes = scribe([])
    assert not starts
    async with writes.running():
        await asyncio.gather(writes.write(dictation, SECOND), writes.write(dictation, SECOND))
    assert len(starts) == 1


async def test_workers_that_cannot_start_are_not_tried_again_at_once() -> None:
    now_s = 0.0
    starts = []

    async def start() -> None:
        starts.append(1)
        raise EngineUnavailable("no model")

    standby = Standby(start, clock=lambda: now_s)
    for _ in range(2):
        with pytest.raises(EngineUnavailable):
            await standby.ready()
    assert len(starts) == 1
    now_s = 61.0
    with pytest.raises(EngineUnavailable):
        await standby.ready()
    assert len(starts) == 2


async def write_down(choice: RecogniserChoice, pcm: bytes) -> tuple[Written, Dictation]:
    """Have a worker of its own write talk down, as after a transfer."""
    async with choice.pool(1, niceness=15) as pool:
        patient = Deadlines(worker_s=30.0, finish_s=60.0, next_engine_s=60.0)
        known = WorkerTranscriber([pool], deadlines=patient)
        dictation = Dictation(known, engine=engine_name(choice.engine), model=choice.model)
        writes = scribe([])
        async with writes.running():
            written = await writes.write(dictation, pcm)
        await known.close()
    assert isinstance(written, Written)
    return written, dictation


async def test_a_whisper_model_in_a_worker_of_its_own_writes_talk_down(tmp_path: Path) -> None:
    write_whisper_model(tmp_path / "models" / "whisper-tiny.en", says="I will see to it")
    wish = RecogniserWish(installed_dir=tmp_path / "models")
    assert choose_dictation(wish, phrases_only=True).engine is Recogniser.POCKETSPHINX
    written, dictation = await write_down(choose_dictation(wish), g711.decode(b"".join(buzz(2.0))).tobytes())
    assert (written.text, written.engine) == ("I will see to it", "faster-whisper")
    assert written.confidence is not None
    assert dictation.note == "Written down by faster-whisper whisper-tiny.en."


async def test_a_vosk_model_writes_talk_down_where_there_is_no_whisper(tmp_path: Path) -> None:
    pytest.importorskip("vosk")
    write_vosk_model(tmp_path / "tones")
    choice = choose_dictation(RecogniserWish(models_dir=tmp_path))
    written, dictation = await write_down(choice, tones(("", 0.3), ("high", 0.4), ("", 0.2), ("low", 0.4), ("", 0.5)))
    assert (written.text, written.engine) == ("high low", "vosk")
    assert dictation.note == "Written down by vosk tones."


async def test_a_wyoming_server_writes_talk_down_where_there_is_neither(unused_tcp_port: int) -> None:
    async with wyoming_server("hears", unused_tcp_port, "As the server has it.") as server:
        choice = choose_dictation(RecogniserWish(servers=(server.address,)))
        written, _ = await write_down(choice, tones(("", 0.3), ("high", 0.4)))
    assert written.text == "As the server has it."
