"""Stock pipecat on a telephone line, as its own guide to Twilio sets it up: the yardstick of `calls`.

FastAPI on uvicorn, `FastAPIWebsocketTransport`, `TwilioFrameSerializer`, 8 kHz both ways, Silero and the end-of-turn
model of its user aggregator, everything else by default. Speech is the same stub that the product is measured with, or
with `--whisper` and `--piper` its own services for these engines, made for each call as its examples do; a processor
answers in place of a language model. With `--share` each model is loaded once for all calls, which takes a line of ours
for each service: they have no option for it. Its debug log is off, which is kinder than its default.
"""

from __future__ import annotations

import argparse
import functools
import json
import socket
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import uvicorn
from _stubs import GREETING, REPLY, REQUEST, spoken
from fastapi import FastAPI, Request, Response, WebSocket
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.piper import tts as piper_tts
from pipecat.services.piper.tts import PiperTTSService
from pipecat.services.settings import STTSettings, TTSSettings
from pipecat.services.stt_service import SegmentedSTTService
from pipecat.services.tts_service import TTSService
from pipecat.services.whisper import stt as whisper_stt
from pipecat.services.whisper.stt import WhisperSTTService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.utils.time import time_now_iso8601
from pipecat.workers.runner import WorkerRunner

from voicebot import g711
from voicebot.telephony.leg import SAMPLE_RATE_HZ
from voicebot.telephony.twilio.webhook import stream_twiml

app = FastAPI()
#: Whisper was trained on this rate, and pipecat's service hands it the line's audio as it comes.
WHISPER_RATE_HZ = 16_000


class KnowingStt(SegmentedSTTService):
    """Hears the same request in every segment, at once."""

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame, None]:
        del audio
        yield TranscriptionFrame(REQUEST, "caller", time_now_iso8601())


class Responder(FrameProcessor):
    """Answers every request with the same reply, as a language model would that takes no time."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextFrame):
            await self.push_frame(LLMFullResponseStartFrame())
            await self.push_frame(LLMTextFrame(REPLY))
            await self.push_frame(LLMFullResponseEndFrame())
            return
        await self.push_frame(frame, direction)


class NoiseTts(TTSService):
    """Speaks at once with the stub's voice."""

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame, None]:
        pcm = np.asarray(g711.decode(spoken(text)), dtype=np.int16).tobytes()
        size = self.chunk_size
        for start in range(0, len(pcm), size):
            yield TTSAudioRawFrame(pcm[start : start + size], SAMPLE_RATE_HZ, 1, context_id=context_id)


@dataclass(frozen=True, slots=True)
class Engines:
    """What pipecat's own services load: a CTranslate2 model's folder and a Piper voice; None for the stub."""

    whisper: Path | None = None
    piper: Path | None = None

    @property
    def rate_in_hz(self) -> int:
        return WHISPER_RATE_HZ if self.whisper else SAMPLE_RATE_HZ

    def share(self) -> None:
        """Have what the services load from now on loaded once, however many calls there are."""
        whisper_stt.WhisperModel = functools.cache(whisper_stt.WhisperModel)
        piper_tts.PiperVoice.load = functools.cache(piper_tts.PiperVoice.load)

    def ears(self) -> SegmentedSTTService:
        if self.whisper is None:
            return KnowingStt(settings=STTSettings(model=None, language=None))
        settings = WhisperSTTService.Settings(model=str(self.whisper))
        return WhisperSTTService(device="cpu", compute_type="int8", settings=settings)

    def voice(self) -> TTSService:
        if self.piper is None:
            settings = TTSSettings(model=None, voice=None, language=None)
            return NoiseTts(push_start_frame=True, push_stop_frames=True, settings=settings)
        return PiperTTSService(download_dir=self.piper.parent, settings=PiperTTSService.Settings(voice=self.piper.stem))


engines = Engines()


@app.post("/twilio/voice")
async def voice(request: Request) -> Response:
    twiml = stream_twiml(url=f"ws://{request.headers['host']}/media", status_url="", parameters={})
    return Response(content=twiml, media_type="text/xml")


@app.websocket("/media")
async def media(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.receive_text()  # connected
    start = json.loads(await websocket.receive_text())["start"]
    serializer = TwilioFrameSerializer(start["streamSid"], params=TwilioFrameSerializer.InputParams(auto_hang_up=False))
    transport = FastAPIWebsocketTransport(
        websocket,
        FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=serializer),
    )
    aggregators = LLMContextAggregatorPair(
        LLMContext(), user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
    )
    worker = PipelineWorker(
        Pipeline(
            [
                transport.input(),
                engines.ears(),
                aggregators.user(),
                Responder(),
                engines.voice(),
                transport.output(),
                aggregators.assistant(),
            ]
        ),
        params=PipelineParams(audio_in_sample_rate=engines.rate_in_hz, audio_out_sample_rate=SAMPLE_RATE_HZ),
    )

    @transport.event_handler("on_client_connected")
    async def greet(transport: FastAPIWebsocketTransport, client: WebSocket) -> None:
        del transport, client
        await worker.queue_frame(TTSSpeakFrame(GREETING))

    @transport.event_handler("on_client_disconnected")
    async def leave(transport: FastAPIWebsocketTransport, client: WebSocket) -> None:
        del transport, client
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(f"ready http://{self.config.host}:{self.config.port} - - engines=none", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--flows", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--sip-port", type=int)
    parser.add_argument("--whisper", type=Path, help="a CTranslate2 model's folder")
    parser.add_argument("--piper", type=Path, help="a voice's .onnx")
    parser.add_argument("--share", action="store_true", help="load each model once for all calls")
    given = parser.parse_args()
    global engines  # noqa: PLW0603  # uvicorn's application is a module's
    engines = Engines(given.whisper, given.piper)
    if given.share:
        engines.share()
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    config = uvicorn.Config(app, port=given.port, log_level="warning", timeout_graceful_shutdown=2)
    _Server(config).run()


if __name__ == "__main__":
    main()
