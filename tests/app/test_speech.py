"""What a bot's folder says about how its prompts sound."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.app.test_editions import NoTurnModel
from tests.dialog.small_bot import write_bot
from tests.fakes.buzz import buzz
from tests.fakes.transcriber import ScriptedTranscriber
from tests.fakes.voice import HummingVoice
from tests.fakes.vosk_model import write_vosk_model
from voicebot.app.speech import DOWN, Speech, pronunciation, start_speech
from voicebot.dialog.loader import load_bot
from voicebot.settings import load_settings
from voicebot.speech.dictation import Dictation
from voicebot.speech.synthesis.recorded import text_id
from voicebot.speech.workers.pool import WorkerPool
from voicebot.speech.workers.process import WorkerSpec
from voicebot.wav import write_wav_mulaw

OBEDIENT = "tests.fakes.speech_service"
FLOWS = Path(__file__).parents[2] / "flows"


def test_the_lexicon_and_the_recordings_of_a_bots_folder_are_used(tmp_path: Path) -> None:
    folder = tmp_path / "flows"
    shutil.copytree(FLOWS, folder)
    (folder / "lexicon.yaml").write_text("Finch: fintsh\n", encoding="utf-8")
    text = load_bot(folder).static_prompts()[0]
    (folder / "recordings").mkdir()
    (folder / "recordings" / f"{text_id(text)}.wav").write_bytes(write_wav_mulaw(b"".join(buzz(0.5))))
    (folder / "recordings" / "0000000000000000.wav").write_bytes(write_wav_mulaw(b"".join(buzz(0.5))))
    bot = load_bot(folder)
    lexicon, recorded = pronunciation(bot, bot.static_prompts())
    assert lexicon.apply("Harbour and Finch") == "Harbour and Fintsh"
    assert len(recorded) == 1
    assert recorded.audio(text)
    assert recorded.unused == ("0000000000000000.wav",)


async def test_every_fixed_prompt_is_there_before_the_first_call_and_before_the_first_of_a_new_version(
    tmp_path: Path,
) -> None:
    settings = load_settings(data=tmp_path / "data", recognizer="off", voice="espeak:en-us+f3")
    first = load_bot(write_bot(tmp_path / "first"))
    folder = write_bot(tmp_path / "second")
    (folder / "down.yaml").write_text("flow: down\nsteps:\n  - say: All is gone.\n", encoding="utf-8")
    second = load_bot(folder)
    async with AsyncExitStack() as stack:
        speech = await start_speech(settings, first, stack, lambda _text: None)
        assert first.static_prompts()
        assert all(speech.phrases.ready(text) for text in first.static_prompts())
        assert speech.phrases.ready("All is gone.") is None
        kept = {file.name for file in (tmp_path / "data").rglob("*.wav")}
        learned = await speech.learned(second)
        assert all(learned.phrases.ready(text) for text in second.static_prompts())
        added = {file.name for file in (tmp_path / "data").rglob("*.wav")} - kept
    assert len(kept) == len(first.static_prompts())
    assert len(added) == 1, "only what the new version says otherwise is rendered"


def speech_of(*pools: WorkerPool) -> Speech:
    return Speech(ScriptedTranscriber([]), HummingVoice(), NoTurnModel(), pools, Dictation(None))


@asynccontextmanager
async def two_that_hear(folder: Path) -> AsyncIterator[tuple[WorkerPool, WorkerPool, WorkerPool]]:
    """Run a recogniser for one speaker, one for two that takes over, and a worker of another kind for two requests."""
    pytest.importorskip("vosk")
    vosk = {"engine": "vosk", "model": str(write_vosk_model(folder / "tones")), "max_sessions": 1}
    specs = WorkerSpec("asr", vosk), WorkerSpec("asr", {"max_sessions": 2}), WorkerSpec(OBEDIENT)
    async with WorkerPool(specs[0]) as first, WorkerPool(specs[1]) as second, WorkerPool(specs[2]) as other:
        yield first, second, other


async def test_hearing_is_full_when_the_last_engine_is_and_another_kind_by_itself(tmp_path: Path) -> None:
    async with two_that_hear(tmp_path) as (first, second, other), AsyncExitStack() as stack:
        speech = speech_of(first, second, other)
        assert speech.load() == 0.0
        for pool, load in ((first, 0.0), (second, 0.5), (other, 0.5), (second, 1.0)):
            await stack.enter_async_context(pool.lease())
            assert speech.load() == load
    async with two_that_hear(tmp_path) as (first, second, other), AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(other.lease())
        assert speech_of(first, second, other).load() == 1.0


async def test_the_parts_of_a_server_name_the_engine_that_runs_and_the_one_it_stands_in_for(tmp_path: Path) -> None:
    async with two_that_hear(tmp_path) as (first, second, other):
        speech = speech_of(first, second, other)
        assert speech.parts() == {"asr": "ready: vosk", OBEDIENT: "ready: obedient"}
        await first.stop()
        assert speech.parts()["asr"] == "ready: pocketsphinx in place of vosk"
        await second.stop()
        assert speech.parts()["asr"] == DOWN


async def test_the_parts_of_a_server_and_its_counts_tell_of_an_engine_that_is_too_slow(tmp_path: Path) -> None:
    async with two_that_hear(tmp_path) as (first, second, other):
        speech = speech_of(first, second, other)
        assert speech.left().total() == 0
        async with first.lease() as line:
            for _ in range(3):
                line.punctuality.answered(in_time=False)
        assert speech.parts()["asr"] == "ready: pocketsphinx in place of vosk, too slow"
        assert speech.left()["asr"] == 1, "whichever engine of the kind it was"
        await second.stop()
        assert speech.parts()["asr"] == "ready: vosk, too slow"


def test_a_folder_without_either_changes_nothing() -> None:
    bot = load_bot(FLOWS)
    lexicon, recorded = pronunciation(bot, bot.static_prompts())
    assert (len(lexicon), len(recorded)) == (0, 0)
