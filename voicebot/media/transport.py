"""A pipecat transport over any `CallLeg`.

There is no aiohttp transport in pipecat, and its telephony serializers know neither marks nor playback positions;
this one sits on the leg seam instead, so one transport serves Twilio, SIP and the browser. Processors run in direct
mode: frames are handled where they are pushed, without a queue and two tasks a processor.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

import numpy as np
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputAudioRawFrame,
    StartFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import BaseTransport, TransportParams
from pipecat.utils.errors import ErrorCategory

from voicebot import g711
from voicebot.media.events import LineEnded, SpeakingBegan, SpeakingEnded, SpeakingPaused, VoiceFailed
from voicebot.media.frames import (
    KeyFrame,
    LineEventFrame,
    LowerSpeechFrame,
    PauseSpeechFrame,
    PieceFrame,
    PromptPlayingFrame,
    ResumeSpeechFrame,
    UtteranceBeganFrame,
    UtteranceEndedFrame,
)
from voicebot.media.pacing import Pacer
from voicebot.media.playback import Heard, Piece, Playback
from voicebot.speech.listening.echo import EchoGuard
from voicebot.speech.synthesis.marks import plain_text
from voicebot.telephony.leg import (
    FRAME_BYTES,
    SAMPLE_RATE_HZ,
    SILENT_FRAME,
    AudioPlayed,
    CallLeg,
    FrameReceived,
    KeyPressed,
    LegAnswered,
    LegEnded,
    LegHeld,
)

#: How far ahead of real time the leg is kept; the carrier may queue 300 ms at most (docs/decisions/0002).
LEAD_S = 0.18
#: Audio handed over at a time. Together with the lead it stays under those 300 ms.
CHUNK_MS = 100
#: A prompt may stay paused while the caller speaks over it, longer than pipecat thinks a write may take.
WRITE_TIMEOUT_S = 120.0
#: A chunk handed over later than this after its time is counted; below `LEAD_S` nobody hears it.
LATE_S = 0.01
#: Sent audio kept for going on after a pause: more than the lead, the carrier's delay and `_GAP_FRAMES` together.
_REPLAY_FRAMES = 75
#: A prompt goes on from the last gap in its sound, if that was at most 400 ms before it stopped: nobody understands
#: half a word.
_GAP_FRAMES = 20

#: How a prompt sounds under what may become the caller's voice: a quarter of its amplitude, 12 dB less.
_LOWERED = 0.25

Clock = Callable[[], float]


class Tap(Protocol):
    """What the recorder hears, a frame or more at a time; positions are the leg's samples sent."""

    def heard(self, frame: bytes, at_s: float) -> None: ...
    def sent(self, audio: bytes, at_s: float) -> None: ...
    def played(self, position_samples: int, at_s: float) -> None: ...
    def cut(self, position_samples: int, at_s: float) -> None: ...


class Ear(Protocol):
    """What listens to the party: 20 ms of 16-bit PCM at 8 kHz at a time, with their time of arrival."""

    async def hear(self, pcm: bytes, arrived_s: float) -> None: ...


class LegInput(BaseInputTransport):
    """Turns what the party does into frames, all but its audio, which goes straight to the ear."""

    def __init__(self, leg: CallLeg, tap: Tap, ear: Ear, output: LegOutput, params: TransportParams) -> None:
        super().__init__(params, enable_direct_mode=True)
        self._leg = leg
        self._tap = tap
        self._ear = ear
        self._output = output
        self._reader: asyncio.Task[None] | None = None

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self._reader = self.create_task(self._read())

    async def stop(self, frame: EndFrame) -> None:
        await super().stop(frame)
        await self._stop_reading()

    async def cancel(self, frame: CancelFrame) -> None:
        await super().cancel(frame)
        await self._stop_reading()

    async def _stop_reading(self) -> None:
        if self._reader:
            await self.cancel_task(self._reader)
            self._reader = None

    async def _read(self) -> None:
        async for event in self._leg.events():
            match event:
                case FrameReceived(payload, arrived_s):
                    self._tap.heard(payload, arrived_s)
                    await self._hear(payload, arrived_s)
                case KeyPressed(key, at_s):
                    await self.push_frame(KeyFrame(key=key, at_s=at_s))
                case AudioPlayed(position, at_s):
                    self._tap.played(position, at_s)
                    await self._output.audio_played(position, at_s)
                case LegEnded(cause, at_s):
                    await self.push_frame(LineEventFrame(event=LineEnded(cause, at_s)))
                case LegAnswered() | LegHeld():
                    pass  # inbound calls are answered before a line is built; hold comes with SIP

    async def _hear(self, mulaw: bytes, arrived_s: float) -> None:
        try:
            await self._ear.hear(g711.decode(mulaw).tobytes(), arrived_s)
        except Exception as error:  # noqa: BLE001  # whatever it is, the call must not go deaf
            name = type(error).__name__
            await self.push_error(f"hearing failed ({name})", error, category=ErrorCategory.UNKNOWN)


class LegOutput(BaseOutputTransport):
    """Paces audio into the leg and knows what of it was heard."""

    def __init__(
        self,
        leg: CallLeg,
        *,
        tap: Tap,
        echo: EchoGuard,
        clock: Clock,
        on_late: Callable[[], None],
        params: TransportParams,
    ) -> None:
        super().__init__(params, enable_direct_mode=True)
        self._on_late = on_late
        self._leg = leg
        self._tap = tap
        self._echo = echo
        self._clock = clock
        self._pacer = Pacer(LEAD_S)
        self._playback = Playback()
        self._recent: deque[bytes] = deque(maxlen=_REPLAY_FRAMES)
        self._flowing = asyncio.Event()
        self._flowing.set()
        #: Dropped by a pause, to be sent first when speech resumes.
        self._held: list[bytes] = []
        self._lowered = False
        self._starting: UtteranceBeganFrame | None = None
        self._cuts = 0
        #: How far the carrier has confirmed playback.
        self._played_samples = 0

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, LowerSpeechFrame):
            self._lower()
        elif isinstance(frame, PauseSpeechFrame):
            await self._pause()
        elif isinstance(frame, ResumeSpeechFrame):
            await self._resume()
        elif isinstance(frame, InterruptionFrame):
            await super().process_frame(frame, direction)
            await self._cut()
        else:
            await super().process_frame(frame, direction)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        # pipecat delivers the chunk in hand even after an interruption; ours must not be heard any more.
        cuts = self._cuts
        await self._flowing.wait()
        while (delay_s := self._pacer.delay_s(self._clock())) > 0 and cuts == self._cuts:
            due_s = self._clock() + delay_s
            await asyncio.sleep(delay_s)
            if self._clock() - due_s > LATE_S:
                self._on_late()
            await self._flowing.wait()
        if cuts != self._cuts:
            return False
        if self._starting:
            await self._announce_start(self._starting)
        mulaw = g711.encode(np.frombuffer(frame.audio, dtype=np.int16))
        self._send(mulaw)
        return False  # nobody downstream wants it

    async def write_transport_frame(self, frame: Frame) -> None:
        match frame:
            case UtteranceBeganFrame():
                self._starting = frame
            case PieceFrame(piece=Piece() as piece):
                if self._starting:
                    # The first piece belongs to an utterance that begins with its first audio.
                    await self._announce_start(self._starting)
                self._playback.piece(piece)
            case UtteranceEndedFrame(utterance_id=utterance_id, failed=failed):
                await self._utterance_ended(utterance_id, failed=failed)
            case _:
                pass

    async def audio_played(self, position: int, at_s: float) -> None:
        """The carrier confirmed playback up to `position`."""
        self._played_samples = position
        await self._report(self._playback.played(position), at_s)

    async def _announce_start(self, began: UtteranceBeganFrame) -> None:
        self._starting = None
        utterance = began.utterance
        if utterance is None:
            return
        words = sum(len(plain_text(text).split()) for text, _ in utterance.pieces)
        self._playback.began(utterance.utterance_id, self._leg.sent_samples, words)
        await self.push_frame(
            PromptPlayingFrame(playing=True, interruptible=utterance.interruptible, wordless=not utterance.pieces),
            FrameDirection.UPSTREAM,
        )
        await self._tell(SpeakingBegan(utterance.utterance_id, began.queued_s, self._clock()))

    async def _utterance_ended(self, utterance_id: str, *, failed: bool) -> None:
        if self._starting:  # it never had any audio
            self._starting = None
            failed = True
        else:
            # What a pause has taken back is sent again.
            self._playback.ended(self._leg.sent_samples + len(self._held) * FRAME_BYTES)
            # A voice may tell its end only after all of it was heard; nothing more would be confirmed then.
            await self._report(self._playback.played(self._played_samples), self._clock())
        if failed:
            await self._tell(VoiceFailed(utterance_id, self._clock()))

    def _send(self, mulaw: bytes) -> None:
        now_s = self._clock()
        mulaw += SILENT_FRAME[: -len(mulaw) % FRAME_BYTES]
        self._recent.extend(_frames(mulaw))
        if self._lowered:
            mulaw = g711.encode((g711.decode(mulaw) * _LOWERED).astype(np.int16))
        for frame in _frames(mulaw):
            self._leg.send(frame)
            self._echo.sent(frame)
        self._tap.sent(mulaw, now_s)
        self._pacer.sent(len(mulaw), now_s)

    def _lower(self) -> None:
        if not self._flowing.is_set() or not self._playback.busy or self._lowered:
            return
        _, held = self._take_back()
        self._playback.postpone(len(held) * FRAME_BYTES)
        self._lowered = True
        self._send(b"".join(held))

    async def _pause(self) -> None:
        if not self._flowing.is_set() or not self._playback.busy:
            return
        self._flowing.clear()
        heard, self._held = self._take_back()
        paused = self._playback.at(heard)
        self._playback.postpone(len(self._held) * FRAME_BYTES)
        if paused:
            await self._tell(SpeakingPaused(paused.utterance_id, paused.left_ms, self._clock()))

    def _take_back(self) -> tuple[int, list[bytes]]:
        """Drop what the carrier has not played; return the position it stopped at, and the frames it never played."""
        sent = self._leg.sent_samples
        heard = self._leg.clear()
        self._tap.cut(heard, self._clock())
        self._echo.cleared()
        self._pacer.cleared()
        # A frame of which part was heard is sent again: with nothing to send, the end would never be reported as heard.
        dropped = min(len(self._recent), -(-max(0, sent - heard) // FRAME_BYTES))
        unheard = [self._recent.pop() for _ in range(dropped)]
        return heard, unheard[::-1]

    async def _resume(self) -> None:
        self._lowered = False
        if self._flowing.is_set():
            return
        again = self._since_gap()
        self._playback.postpone(len(again) * FRAME_BYTES)
        self._send(b"".join([*again, *self._held]))
        self._held = []
        self._flowing.set()

    def _since_gap(self) -> list[bytes]:
        """Return what was heard after the last gap in the sound; nothing where there was none for long."""
        latest = list(self._recent)[-_GAP_FRAMES:]
        for back, frame in enumerate(reversed(latest)):
            if g711.is_quiet(frame):
                return latest[len(latest) - back :]
        return []

    async def _cut(self) -> None:
        now_s = self._clock()
        self._cuts += 1
        if self._flowing.is_set():
            heard = self._leg.clear()
            self._tap.cut(heard, now_s)
        else:
            # Paused: what was heard then is final; undo the postponement that never came true.
            heard = self._leg.sent_samples
            self._held = []
            self._flowing.set()
        self._lowered = False
        self._echo.cleared()
        self._pacer.cleared()
        self._starting = None
        await self._report(self._playback.cut(heard), now_s)

    async def _report(self, finished: list[Heard], at_s: float) -> None:
        for heard in finished:
            await self._tell(SpeakingEnded(heard.utterance_id, heard.heard_ms, heard.text, heard.cut, at_s))
        if finished and not self._playback.busy:
            await self.push_frame(PromptPlayingFrame(playing=False), FrameDirection.UPSTREAM)

    async def _tell(self, event: SpeakingBegan | SpeakingPaused | SpeakingEnded | VoiceFailed) -> None:
        await self.push_frame(LineEventFrame(event=event), FrameDirection.UPSTREAM)


def _frames(mulaw: bytes) -> list[bytes]:
    return [mulaw[start : start + FRAME_BYTES] for start in range(0, len(mulaw), FRAME_BYTES)]


class LegTransport(BaseTransport):
    """Both directions of one leg as pipecat processors."""

    def __init__(
        self, leg: CallLeg, *, tap: Tap, ear: Ear, echo: EchoGuard, clock: Clock, on_late: Callable[[], None]
    ) -> None:
        super().__init__()
        params = TransportParams(
            audio_in_enabled=True,
            audio_in_sample_rate=SAMPLE_RATE_HZ,
            audio_out_enabled=True,
            audio_out_sample_rate=SAMPLE_RATE_HZ,
            audio_out_10ms_chunks=CHUNK_MS // 10,
            audio_out_write_timeout_secs=WRITE_TIMEOUT_S,
            audio_out_end_silence_secs=0,
            audio_out_auto_silence=False,
        )
        self._output = LegOutput(leg, tap=tap, echo=echo, clock=clock, on_late=on_late, params=params)
        self._input = LegInput(leg, tap, ear, self._output, params)

    def input(self) -> LegInput:
        return self._input

    def output(self) -> LegOutput:
        return self._output
