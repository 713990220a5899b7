"""Turns utterances into audio, in order: cached pieces at once, dynamic ones rendered while the earlier ones play."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import structlog
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from voicebot import g711
from voicebot.errors import EngineUnavailable
from voicebot.media.events import SpeakingBegan, SpeakingEnded, VoiceFailed
from voicebot.media.frames import (
    LineEventFrame,
    PieceFrame,
    PrepareFrame,
    SpeakFrame,
    Utterance,
    UtteranceBeganFrame,
    UtteranceEndedFrame,
)
from voicebot.media.playback import Piece
from voicebot.speech.synthesis.marks import plain_text
from voicebot.telephony.leg import SAMPLE_RATE_HZ

log = structlog.get_logger(__name__)


class Voice(Protocol):
    """The bot's voice: what is rendered already, and what must still be made. Mu-law at 8 kHz."""

    def ready(self, text: str) -> bytes | None: ...
    def render(self, text: str, *, cache: bool) -> AsyncIterator[bytes]: ...


class _Rendering:
    """One piece on its way: chunks appear as the voice makes them, whether or not anybody waits yet.

    Given `audio` there is nothing to render; it is nobody's words.
    """

    def __init__(self, voice: Voice, text: str, *, static: bool, audio: bytes = b"") -> None:
        self.text = text
        self._chunks: asyncio.Queue[bytes | EngineUnavailable | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        ready = audio or voice.ready(text)
        if ready is not None:
            self._chunks.put_nowait(ready)
            self._chunks.put_nowait(None)
        else:
            self._task = asyncio.create_task(self._render(voice, static=static))

    async def _render(self, voice: Voice, *, static: bool) -> None:
        try:
            async for chunk in voice.render(self.text, cache=static):
                self._chunks.put_nowait(chunk)
            self._chunks.put_nowait(None)
        except EngineUnavailable as error:
            self._chunks.put_nowait(error)
        except Exception as error:  # whatever it is, who waits for the next chunk must not wait for ever
            log.exception("voice broke down")
            self._chunks.put_nowait(EngineUnavailable(f"The voice broke down ({type(error).__name__})."))

    async def chunks(self) -> AsyncIterator[bytes]:
        while (chunk := await self._chunks.get()) is not None:
            if isinstance(chunk, EngineUnavailable):
                raise chunk
            yield chunk

    def cancel(self) -> None:
        if self._task:
            self._task.cancel()


class SpeakingProcessor(FrameProcessor):
    """Speaks one utterance after the other; an interruption drops all that is queued."""

    def __init__(self, voice: Voice, clock: Callable[[], float]) -> None:
        super().__init__(enable_direct_mode=True)
        self._voice = voice
        self._clock = clock
        self._queue: deque[tuple[Utterance, list[_Rendering]]] = deque()
        self._task: asyncio.Task[None] | None = None
        #: Asked for and not begun: of these the output knows nothing yet, so their end is told from here.
        self._not_begun: dict[str, Utterance] = {}
        #: Rendered ahead, by text and whether it is static.
        self._prepared: dict[tuple[str, bool], _Rendering] = {}

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, SpeakFrame) and frame.utterance:
            utterance = frame.utterance
            renderings = [self._rendering(text, static=static) for text, static in utterance.pieces if text]
            if utterance.audio:
                renderings.append(_Rendering(self._voice, "", static=True, audio=utterance.audio))
            self._queue.append((utterance, renderings))
            self._not_begun[utterance.utterance_id] = utterance
            if self._task is None:
                self._task = self.create_task(self._speak_all())
            return
        if isinstance(frame, PrepareFrame):
            self._prepare(frame.pieces)
            return
        if isinstance(frame, EndFrame | CancelFrame):
            self._prepare(())
        if isinstance(frame, LineEventFrame) and isinstance(frame.event, SpeakingBegan | VoiceFailed):
            self._not_begun.pop(frame.event.utterance_id, None)
        elif isinstance(frame, InterruptionFrame | EndFrame | CancelFrame):
            await self._drop_all()
        await self.push_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            await self._tell_dropped()

    def _rendering(self, text: str, *, static: bool) -> _Rendering:
        prepared = self._prepared.pop((text, static), None)
        return prepared or _Rendering(self._voice, text, static=static)

    def _prepare(self, pieces: tuple[tuple[str, bool], ...]) -> None:
        wanted = {(text, static) for text, static in pieces if text and self._voice.ready(text) is None}
        for piece in self._prepared.keys() - wanted:
            self._prepared.pop(piece).cancel()
        for text, static in wanted - self._prepared.keys():
            self._prepared[text, static] = _Rendering(self._voice, text, static=static)

    async def _tell_dropped(self) -> None:
        """Report what will never begin, after the output has reported what was cut in mid-word."""
        dropped, self._not_begun = self._not_begun, {}
        for utterance_id in dropped:
            ended = SpeakingEnded(utterance_id, heard_ms=0, heard_text="", cut=True, at_s=self._clock())
            await self.push_frame(LineEventFrame(event=ended), FrameDirection.UPSTREAM)

    async def _drop_all(self) -> None:
        for _, renderings in self._queue:
            for rendering in renderings:
                rendering.cancel()
        self._queue.clear()
        if self._task:
            task, self._task = self._task, None
            await self.cancel_task(task)

    async def _speak_all(self) -> None:
        while self._queue:
            utterance, renderings = self._queue[0]
            await self._speak(utterance, renderings)
            self._queue.popleft()
        self._task = None

    async def _speak(self, utterance: Utterance, renderings: list[_Rendering]) -> None:
        failed = False
        begun = False
        try:
            for rendering in renderings:
                piece = Piece(plain_text(rendering.text))
                async for chunk in rendering.chunks():
                    if not begun:
                        begun = True
                        await self.push_frame(UtteranceBeganFrame(utterance=utterance, queued_s=self._clock()))
                    if not piece.samples:
                        await self.push_frame(PieceFrame(piece=piece))
                    piece.samples += len(chunk)
                    # No TTSAudioRawFrame: for those pipecat tells the whole pipeline five times a second that we speak.
                    await self.push_frame(
                        OutputAudioRawFrame(g711.decode(chunk).tobytes(), sample_rate=SAMPLE_RATE_HZ, num_channels=1)
                    )
                piece.complete = True
        except EngineUnavailable as error:
            failed = True
            log.error("voice failed", utterance_id=utterance.utterance_id, problem=str(error))
            for rendering in renderings:
                rendering.cancel()
        # Flushes what does not fill a whole chunk.
        await self.push_frame(TTSStoppedFrame())
        await self.push_frame(UtteranceEndedFrame(utterance_id=utterance.utterance_id, failed=failed or not begun))
