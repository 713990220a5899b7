"""One party's line with ears and a voice: a pipecat pipeline over a leg, steered by the call's session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pipecat.frames.frames import EndFrame, InterruptionFrame, StartFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection
from pipecat.workers.runner import WorkerRunner

from voicebot.dialog.expectation import Expectation
from voicebot.media.conversation import ConversationProcessor
from voicebot.media.events import LineEvent
from voicebot.media.frames import ListenFrame, PrepareFrame, ResumeSpeechFrame, SpeakFrame, Utterance
from voicebot.media.hearing import Completeness, HearingProcessor, TurnModel
from voicebot.media.speaking import SpeakingProcessor, Voice
from voicebot.media.transport import LegTransport, Tap
from voicebot.speech.asr import Transcriber
from voicebot.speech.listening.dtmf import DtmfDetector
from voicebot.speech.listening.echo import EchoGuard
from voicebot.speech.listening.vad import VoiceJudge
from voicebot.telephony.leg import SAMPLE_RATE_HZ, CallLeg, Capability


class Line:
    """`run` carries the line until the leg has ended and `close` was called; the other methods steer it meanwhile.

    `on_event` is called on the event loop with every `LineEvent` and must not block;
    `on_late` for every chunk of audio that was sent late.
    """

    def __init__(
        self,
        leg: CallLeg,
        *,
        transcriber: Transcriber,
        turn_model: TurnModel,
        completeness: Completeness,
        voice_judge: VoiceJudge | None,
        voice: Voice,
        tap: Tap,
        on_event: Callable[[LineEvent], None],
        clock: Callable[[], float],
        on_late: Callable[[], None],
    ) -> None:
        echo = EchoGuard()
        hearing = HearingProcessor(
            transcriber=transcriber,
            turn_model=turn_model,
            completeness=completeness,
            voice_judge=voice_judge,
            echo=echo,
            tones=None if Capability.KEYS_APART in leg.info.capabilities else DtmfDetector(),
            clock=clock,
        )
        transport = LegTransport(leg, tap=tap, ear=hearing, echo=echo, clock=clock, on_late=on_late)
        self._conversation = ConversationProcessor(on_event)
        pipeline = Pipeline(
            [transport.input(), hearing, self._conversation, SpeakingProcessor(voice, clock), transport.output()]
        )
        # Lean on purpose (docs/decisions/0001): no RTVI, no turn tracking, no idle timer, no observers.
        self._worker = PipelineWorker(
            pipeline,
            params=PipelineParams(audio_in_sample_rate=SAMPLE_RATE_HZ, audio_out_sample_rate=SAMPLE_RATE_HZ),
            enable_rtvi=False,
            enable_turn_tracking=False,
            idle_timeout_secs=None,
            check_dangling_tasks=False,
        )
        self._started = asyncio.Event()
        self._worker.add_event_handler("on_pipeline_started", self._note_start)

    async def _note_start(self, worker: PipelineWorker, frame: StartFrame) -> None:
        del worker, frame
        self._started.set()

    async def run(self) -> None:
        # A runner a call: a shared one keeps an entry for every worker it ever had.
        runner = WorkerRunner(handle_sigint=False, check_dangling_tasks=False)
        await runner.add_workers(self._worker)
        try:
            await runner.run()
        finally:
            self._started.set()  # whoever waits to speak must not wait for ever

    async def say(self, utterance: Utterance) -> None:
        """Queue an utterance after those already asked for."""
        await self._started.wait()
        await self._conversation.push_frame(SpeakFrame(utterance=utterance))

    async def prepare(self, pieces: tuple[tuple[str, bool], ...]) -> None:
        """Render what may be said next; without pieces, stop rendering what was prepared before."""
        await self._started.wait()
        await self._conversation.push_frame(PrepareFrame(pieces=pieces))

    async def listen(self, expectation: Expectation | None) -> None:
        """Expect this from now on, over a prompt too; None stops listening."""
        await self._started.wait()
        await self._conversation.push_frame(ListenFrame(expectation=expectation), FrameDirection.UPSTREAM)

    async def resume_speaking(self) -> None:
        """Go on with what a caller's turn has paused: it asked for nothing."""
        await self._conversation.broadcast_frame(ResumeSpeechFrame)

    async def stop_speaking(self) -> None:
        """Drop all speech; each pending utterance is reported as cut."""
        await self._conversation.broadcast_frame(InterruptionFrame)

    async def close(self) -> None:
        """End the pipeline; `run` returns."""
        await self._worker.queue_frame(EndFrame())
