"""The phrase cache: prompts rendered once, so that most of what a caller hears starts with a read from memory.

Static prompts are kept in memory and on disk, by content: the voice, its settings, and the words after
normalisation. Dynamic sentences, which hold callers' data, live in a bounded memory and never touch the disk.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tempfile
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import structlog

from voicebot.errors import EngineUnavailable, first_unavailable
from voicebot.speech.synthesis.lexicon import Lexicon
from voicebot.speech.synthesis.recorded import RecordedPrompts
from voicebot.speech.synthesis.script import Script, write_script
from voicebot.speech.synthesis.synthesizer import resumed
from voicebot.speech.tts import Voice
from voicebot.wav import WavError, mulaw_of, write_wav_mulaw

_log = structlog.get_logger()

# Raise it when the same words would sound different: another level, other pauses, another way to trim.
RENDERING_VERSION = 1
_DIGEST_BYTES = 32
_REMEMBERED_TEXTS = 4096


class Performer(Protocol):
    """Speaks a script; `WorkerSynthesizer` does."""

    @property
    def slow(self) -> bool:
        """Whether it keeps callers waiting, so that another voice had better speak."""
        ...

    def try_again(self, script: Script) -> None:
        """Speak `script` to nobody now and then, to find out whether it is still slow."""
        ...

    def perform(self, script: Script) -> AsyncGenerator[bytes, None]: ...


class PhraseCache:
    """A `Synthesizer` that remembers. One for each bot and voice; several may share a `directory`."""

    def __init__(
        self,
        performer: Performer,
        *,
        voice: Voice,
        directory: Path,
        fallback: Performer | None = None,
        lexicon: Lexicon | None = None,
        recorded: RecordedPrompts | None = None,
        dynamic_bytes: int = 16_000_000,
    ) -> None:
        """`performer` speaks with `voice`; `fallback`, another voice, goes on where it fails, and is never kept.

        While `performer` is slow, `fallback` speaks what is not cached.

        `dynamic_bytes` bounds the memory for dynamic sentences (8,000 bytes a second of speech).
        """
        self._performer = performer
        self._fallback = fallback
        self._voice = voice
        self._directory = directory
        self._lexicon = lexicon or Lexicon()
        self._recorded = recorded or RecordedPrompts()
        self._static: dict[str, bytes] = {}
        self._dynamic = _BoundedAudio(dynamic_bytes)
        self._keys: OrderedDict[str, tuple[str, Script]] = OrderedDict()
        self._writes: set[asyncio.Task[None]] = set()

    def ready(self, text: str) -> bytes | None:
        """Return the whole mu-law of `text` if it is recorded or in memory; never waits, never touches the disk."""
        if (audio := self._recorded.audio(text)) is not None:
            return audio
        key, script = self._key(text)
        if not script:
            return b""
        return self._static.get(key) or self._dynamic.get(key)

    async def render(self, text: str, *, cache: bool) -> AsyncIterator[bytes]:
        """Yield mu-law; with `cache` the result is kept for ever, else for as long as there is room.

        `EngineUnavailable` when it is not cached and no voice answers.
        """
        audio = self.ready(text)
        if audio is None and cache:
            audio = await self._load(text)
        if audio is not None:
            if audio:
                yield audio
            return
        _, script = self._key(text)
        said = 0
        if self._fallback is not None and self._performer.slow:
            self._performer.try_again(script)
        else:
            try:
                async with aclosing(self._make(text, static=cache)) as making:
                    async for chunk in making:
                        said += len(chunk)
                        yield chunk
            except EngineUnavailable as error:
                if self._fallback is None:
                    raise
                _log.warning("another voice speaks", error=str(error))
            else:
                return
        async with aclosing(resumed(self._fallback.perform(script), said)) as speaking:
            async for chunk in speaking:
                yield chunk

    async def warm(self, texts: Iterable[str], progress: Callable[[int, int], None], *, at_once: int = 2) -> None:
        """Have every static text in memory, from disk or newly rendered; `progress(done, total)` after each.

        `at_once` is best the number of voice workers. `EngineUnavailable` when one cannot be rendered.
        """
        wanted = list(dict.fromkeys(texts))
        room = asyncio.Semaphore(at_once)
        done = 0

        async def have(text: str) -> None:
            nonlocal done
            async with room:
                if self.ready(text) is None and await self._load(text) is None:
                    async for _ in self._make(text, static=True):
                        pass
            done += 1
            progress(done, len(wanted))

        with first_unavailable():
            async with asyncio.TaskGroup() as group:
                for text in wanted:
                    group.create_task(have(text))
        await self.flush()

    async def flush(self) -> None:
        """Wait until everything that shall last is on disk."""
        await asyncio.gather(*self._writes)

    async def _make(self, text: str, *, static: bool) -> AsyncGenerator[bytes, None]:
        key, script = self._key(text)
        made: list[bytes] = []
        async with aclosing(self._performer.perform(script)) as performing:
            async for chunk in performing:
                made.append(chunk)
                yield chunk
        self._keep(key, b"".join(made), static=static)

    def _key(self, text: str) -> tuple[str, Script]:
        known = self._keys.get(text)
        if known is None:
            script = write_script(text, self._lexicon)
            known = self._keys[text] = (phrase_key(self._voice, script), script)
            if len(self._keys) > _REMEMBERED_TEXTS:
                self._keys.popitem(last=False)
        else:
            self._keys.move_to_end(text)
        return known

    def _keep(self, key: str, audio: bytes, *, static: bool) -> None:
        if not static:
            self._dynamic.put(key, audio)
            return
        self._static[key] = audio
        write = asyncio.create_task(asyncio.to_thread(_store, self._path(key), audio))
        self._writes.add(write)
        write.add_done_callback(self._written)

    def _written(self, write: asyncio.Task[None]) -> None:
        self._writes.discard(write)
        if not write.cancelled() and (error := write.exception()) is not None:
            # The phrase is in memory all the same; the next start renders it again.
            _log.warning("phrase not kept on disk", error=str(error))

    async def _load(self, text: str) -> bytes | None:
        key, _ = self._key(text)
        audio = await asyncio.to_thread(_fetch, self._path(key))
        if audio is not None:
            self._static[key] = audio
        return audio

    def _path(self, key: str) -> Path:
        return self._directory / key[:2] / f"{key}.wav"


def phrase_key(voice: Voice, script: Script) -> str:
    """Return the name of a rendering: all that decides how it sounds, hashed."""
    parts = [[type(part).__name__, asdict(part)] for part in script]
    content = [RENDERING_VERSION, str(voice.engine), voice.name, voice.speed, parts]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class _BoundedAudio:
    """What was used last stays, up to a number of bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._audio: OrderedDict[str, bytes] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        audio = self._audio.get(key)
        if audio is not None:
            self._audio.move_to_end(key)
        return audio

    def put(self, key: str, audio: bytes) -> None:
        self._bytes += len(audio) - len(self._audio.pop(key, b""))
        self._audio[key] = audio
        while self._bytes > self._most_bytes:
            _, dropped = self._audio.popitem(last=False)
            self._bytes -= len(dropped)


def _store(path: Path, audio: bytes) -> None:
    """Write a WAV file that anyone can listen to, its digest behind the end, so that it is whole or not there."""
    wav = write_wav_mulaw(audio)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(wav + hashlib.sha256(wav).digest())
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def _fetch(path: Path) -> bytes | None:
    """Return the audio of a stored phrase; None when it is not there or not as it was written."""
    try:
        stored = path.read_bytes()
        wav, digest = stored[:-_DIGEST_BYTES], stored[-_DIGEST_BYTES:]
        if hashlib.sha256(wav).digest() == digest:
            return mulaw_of(wav)
    except FileNotFoundError:
        return None
    except (OSError, WavError) as error:
        _log.warning("phrase unreadable, rendering it again", file=path.name, error=str(error))
        return None
    _log.warning("phrase damaged, rendering it again", file=path.name)
    return None
