from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest

from voicebot import g711
from voicebot.errors import ConfigurationError, EngineUnavailable
from voicebot.speech.synthesis.lexicon import Lexicon
from voicebot.speech.synthesis.marks import Pause
from voicebot.speech.synthesis.phrases import PhraseCache
from voicebot.speech.synthesis.recorded import RecordedPrompts, load_recorded, text_id
from voicebot.speech.synthesis.script import Script
from voicebot.speech.synthesis.sound import active_level_dbfs
from voicebot.speech.tts import Voice
from voicebot.wav import mulaw_of, write_wav_mulaw, write_wav_pcm16

VOICE = Voice("flite", "rms")


class Parrot:
    """Performs a script as its text in bytes, a word a chunk, and counts; `fails_after` words it gives up."""

    def __init__(self, *, fails_after: int | None = None, prefix: bytes = b"", slow: bool = False) -> None:
        self.performed: list[Script] = []
        self.tried_again: list[Script] = []
        self.slow = slow
        self.fails_after = fails_after
        self._prefix = prefix

    def try_again(self, script: Script) -> None:
        self.tried_again.append(script)

    async def perform(self, script: Script) -> AsyncGenerator[bytes, None]:
        self.performed.append(script)
        words = " ".join("*" if isinstance(part, Pause) else part.text for part in script).split()
        for spoken, word in enumerate(words):
            if spoken == self.fails_after:
                raise EngineUnavailable("the parrot is tired")
            await asyncio.sleep(0)
            yield self._prefix + word.encode() + b" "


@pytest.fixture
def parrot() -> Parrot:
    return Parrot()


@pytest.fixture
def cache(parrot: Parrot, tmp_path: Path) -> PhraseCache:
    return PhraseCache(parrot, voice=VOICE, directory=tmp_path / "phrases")


async def heard(cache: PhraseCache, text: str, *, static: bool = True) -> bytes:
    audio = b"".join([chunk async for chunk in cache.render(text, cache=static)])
    await cache.flush()
    return audio


def stored(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


async def test_a_phrase_is_rendered_once(cache: PhraseCache, parrot: Parrot) -> None:
    assert await heard(cache, "Hello there.") == await heard(cache, "Hello there.") == b"Hello there. "
    assert len(parrot.performed) == 1


async def test_a_rendered_phrase_is_ready_at_once_and_an_unknown_one_is_not(cache: PhraseCache) -> None:
    assert cache.ready("Hello.") is None
    await heard(cache, "Hello.")
    assert cache.ready("Hello.") == b"Hello. "


async def test_the_first_rendering_is_passed_on_while_it_is_made(cache: PhraseCache) -> None:
    chunks = [chunk async for chunk in cache.render("One two three.", cache=True)]
    assert chunks == [b"One ", b"two ", b"three. "]


async def test_a_text_without_a_word_is_ready_and_empty(cache: PhraseCache, parrot: Parrot) -> None:
    assert cache.ready("...") == b""
    assert await heard(cache, "...") == b""
    assert not parrot.performed


async def test_static_phrases_outlive_the_process(cache: PhraseCache, tmp_path: Path) -> None:
    await heard(cache, "Hello.")
    parrot = Parrot()
    again = PhraseCache(parrot, voice=VOICE, directory=tmp_path / "phrases")
    assert again.ready("Hello.") is None
    assert await heard(again, "Hello.") == b"Hello. "
    assert not parrot.performed


async def test_dynamic_sentences_never_touch_the_disk(cache: PhraseCache, parrot: Parrot, tmp_path: Path) -> None:
    await heard(cache, "You owe $5.", static=False)
    await heard(cache, "You owe $5.", static=False)
    assert len(parrot.performed) == 1
    assert not stored(tmp_path)


async def test_the_memory_for_dynamic_sentences_is_bounded_and_the_last_used_stay(tmp_path: Path) -> None:
    cache = PhraseCache(Parrot(), voice=VOICE, directory=tmp_path, dynamic_bytes=20)
    for text in ("aaaaaaa", "bbbbbbb"):
        await heard(cache, text, static=False)
    assert cache.ready("aaaaaaa")
    await heard(cache, "ccccccc", static=False)
    assert cache.ready("aaaaaaa")
    assert cache.ready("ccccccc")
    assert cache.ready("bbbbbbb") is None


async def test_the_same_words_are_the_same_phrase(cache: PhraseCache, parrot: Parrot) -> None:
    await heard(cache, "You owe $5.")
    assert cache.ready("You owe  five dollars .") is not None
    assert len(parrot.performed) == 1


@pytest.mark.parametrize(
    ("voice", "lexicon"),
    [
        (Voice("flite", "slt"), None),
        (Voice("espeak", "rms"), None),
        (Voice("flite", "rms", 0.9), None),
        (VOICE, Lexicon({"hello": "hullo"})),
    ],
)
async def test_another_voice_speed_or_pronunciation_is_another_phrase(
    cache: PhraseCache, tmp_path: Path, voice: Voice, lexicon: Lexicon | None
) -> None:
    await heard(cache, "Hello.")
    parrot = Parrot()
    await heard(PhraseCache(parrot, voice=voice, directory=tmp_path / "phrases", lexicon=lexicon), "Hello.")
    assert len(parrot.performed) == 1


async def test_a_stored_phrase_can_be_listened_to(cache: PhraseCache, tmp_path: Path) -> None:
    await heard(cache, "Hello.")
    (file,) = stored(tmp_path)
    assert mulaw_of(file.read_bytes()) == b"Hello. "


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "grown"])
async def test_a_damaged_phrase_is_rendered_again_and_mended(cache: PhraseCache, tmp_path: Path, damage: str) -> None:
    await heard(cache, "Hello.")
    (file,) = stored(tmp_path)
    whole = file.read_bytes()
    flipped = whole[:60] + bytes([whole[60] ^ 1]) + whole[61:]
    file.write_bytes({"cut": whole[:-5], "flipped": flipped, "emptied": b"", "grown": whole + b"x"}[damage])
    parrot = Parrot()
    assert await heard(PhraseCache(parrot, voice=VOICE, directory=tmp_path / "phrases"), "Hello.") == b"Hello. "
    assert len(parrot.performed) == 1
    assert file.read_bytes() == whole


async def test_a_well_sealed_file_of_the_wrong_format_is_rendered_again(cache: PhraseCache, tmp_path: Path) -> None:
    await heard(cache, "Hello.")
    (file,) = stored(tmp_path)
    wrong = write_wav_pcm16(np.zeros(8, np.int16), rate_hz=16000)
    file.write_bytes(wrong + hashlib.sha256(wrong).digest())
    parrot = Parrot()
    await heard(PhraseCache(parrot, voice=VOICE, directory=tmp_path / "phrases"), "Hello.")
    assert len(parrot.performed) == 1


async def test_a_failed_rendering_is_not_kept(tmp_path: Path) -> None:
    parrot = Parrot(fails_after=1)
    cache = PhraseCache(parrot, voice=VOICE, directory=tmp_path)
    with pytest.raises(EngineUnavailable):
        await heard(cache, "Hello there.")
    assert not stored(tmp_path)
    parrot.fails_after = None
    assert await heard(cache, "Hello there.") == b"Hello there. "


async def test_a_caller_who_interrupts_leaves_no_half_phrase(cache: PhraseCache, tmp_path: Path) -> None:
    async for _ in cache.render("Hello there.", cache=True):
        break
    await cache.flush()
    assert cache.ready("Hello there.") is None
    assert not stored(tmp_path)


async def test_a_full_disk_costs_only_the_next_start(parrot: Parrot, tmp_path: Path) -> None:
    blocked = tmp_path / "phrases"
    blocked.write_text("a file where the directory should be")
    cache = PhraseCache(parrot, voice=VOICE, directory=blocked)
    audio = b"".join([chunk async for chunk in cache.render("Hello.", cache=True)])
    assert audio == b"Hello. "
    assert cache.ready("Hello.") == b"Hello. "


async def test_warming_makes_every_text_ready_and_says_how_far_it_is(cache: PhraseCache, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    await cache.warm(["One.", "Two.", "One.", "Three."], lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert all(cache.ready(text) for text in ("One.", "Two.", "Three."))
    assert len(stored(tmp_path)) == 3


async def test_warming_again_renders_nothing(cache: PhraseCache, tmp_path: Path) -> None:
    await cache.warm(["One.", "Two."], lambda *_: None)
    parrot = Parrot()
    again = PhraseCache(parrot, voice=VOICE, directory=tmp_path / "phrases")
    await again.warm(["One.", "Two."], lambda *_: None)
    assert again.ready("One.") == b"One. "
    assert not parrot.performed


async def test_warming_fails_rather_than_put_up_with_the_fallback(tmp_path: Path) -> None:
    cache = PhraseCache(Parrot(fails_after=0), voice=VOICE, directory=tmp_path, fallback=Parrot())
    with pytest.raises(EngineUnavailable, match="tired"):
        await cache.warm(["One.", "Two."], lambda *_: None)


async def test_another_voice_goes_on_where_the_first_failed_and_is_not_kept(tmp_path: Path) -> None:
    cache = PhraseCache(Parrot(fails_after=1), voice=VOICE, directory=tmp_path, fallback=Parrot())
    assert await heard(cache, "Hello out there.") == b"Hello out there. "
    assert cache.ready("Hello out there.") is None
    assert not stored(tmp_path)


async def test_another_voice_speaks_in_place_of_a_slow_one_which_is_only_tried(tmp_path: Path) -> None:
    slow, other = Parrot(slow=True), Parrot(prefix=b"other ")
    cache = PhraseCache(slow, voice=VOICE, directory=tmp_path, fallback=other)
    assert await heard(cache, "Hello.") == b"other Hello. "
    assert (slow.performed, len(slow.tried_again)) == ([], 1)
    assert not stored(tmp_path), "the other voice's sound is not that of this one"


async def test_a_slow_voice_speaks_where_there_is_no_other(tmp_path: Path) -> None:
    cache = PhraseCache(Parrot(slow=True), voice=VOICE, directory=tmp_path)
    assert await heard(cache, "Hello.") == b"Hello. "


async def test_a_recording_replaces_the_rendering(parrot: Parrot, tmp_path: Path) -> None:
    cache = PhraseCache(
        parrot, voice=VOICE, directory=tmp_path, recorded=RecordedPrompts({"Hello there.": b"a person"})
    )
    assert cache.ready("Hello  there.") == b"a person"
    assert await heard(cache, "Hello there.") == b"a person"
    assert not parrot.performed


def _tone(rate_hz: int, seconds: float = 0.5) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return (3000 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.int16)


def test_recordings_of_any_format_are_found_by_prompt_or_by_text(tmp_path: Path) -> None:
    stereo = np.stack([_tone(44_100), _tone(44_100)], axis=1)
    (tmp_path / "greeting.wav").write_bytes(write_wav_pcm16(stereo, rate_hz=44_100))
    (tmp_path / f"{text_id('Good bye.')}.wav").write_bytes(write_wav_mulaw(g711.encode(_tone(8000))))
    (tmp_path / "old.wav").write_bytes(b"")
    recorded = load_recorded(tmp_path, {"greeting": "Hello.", "goodbye": "Good bye.", "hold": "Please hold."})
    assert len(recorded) == 2
    assert recorded.unused == ("old.wav",)
    for text in ("Hello.", "Good bye."):
        audio = recorded.audio(text)
        assert audio is not None
        assert len(audio) == pytest.approx(4000, abs=10)
        assert active_level_dbfs(g711.decode(audio)) == pytest.approx(-20, abs=0.5)
    assert recorded.audio("Please hold.") is None


def test_every_recording_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "greeting.wav").write_bytes(b"not a sound")
    (tmp_path / "hold.wav").write_bytes(write_wav_pcm16(np.zeros(800, np.int16), rate_hz=8000))
    with pytest.raises(ConfigurationError) as raised:
        load_recorded(tmp_path, {"greeting": "Hello.", "hold": "Please hold."})
    assert [Path(problem.file).name for problem in raised.value.problems] == ["greeting.wav", "hold.wav"]


def test_a_directory_that_is_not_there_holds_no_recordings(tmp_path: Path) -> None:
    assert len(load_recorded(tmp_path / "absent", {"greeting": "Hello."})) == 0
