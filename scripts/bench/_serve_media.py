"""The measured side of `media`: RTP legs with jitter buffer, playout and recorder, or a bare echo, on one core.

Started as `_serve_media.py legs|echo uvloop|asyncio CALLS CORE PEER_PORT`, the second being the event loop. Prints the
ports as JSON, then for every line read a JSON object with what was used since the line before.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import psutil
import structlog
import uvloop

from voicebot.records.recorder import Recorder, Recordings
from voicebot.records.vault.keys import RecordingKeys, new_key
from voicebot.telephony.leg import AudioPlayed, FrameReceived
from voicebot.telephony.rtp.codecs import PCMU
from voicebot.telephony.rtp.media import MediaPlan, PortRange, RtpMedia
from voicebot.telephony.rtp.metronome import Metronome
from voicebot.telephony.rtp.packet import MAX_PACKET_BYTES
from voicebot.telephony.rtp.quality import Quality

HOST = "127.0.0.1"
PORTS = PortRange(20_000, 23_999)


class Counts:
    """Counts what media reports."""

    def __init__(self) -> None:
        self.late_frames = 0
        self.violations = 0

    def violated(self, kind: str) -> None:
        del kind
        self.violations += 1

    def late(self, frames: int) -> None:
        self.late_frames += frames

    def measured(self, quality: Quality) -> None:
        pass


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(data, addr)


async def converse(media: RtpMedia, recorder: Recorder) -> None:
    """Say back what is heard and record both sides, as the server does beside a bot."""
    async for event in media.events():
        if isinstance(event, FrameReceived):
            recorder.heard(event.payload, event.arrived_s)
            media.send(event.payload)
            recorder.sent(event.payload, event.arrived_s)
        elif isinstance(event, AudioPlayed):
            recorder.played(event.position_samples, event.at_s)


async def open_legs(stack: AsyncExitStack, calls: int, peer_port: int, counts: Counts) -> list[int]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    recordings = await stack.enter_async_context(
        Recordings(
            folder,
            keys=RecordingKeys.parse(new_key()),
            now=lambda: datetime.now(UTC),
            on_failure=counts.violated,
            on_closed=lambda _: None,
        )
    )
    offer = (
        f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\n"
        f"m=audio {peer_port} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
    ).encode()
    metronome = Metronome(time.monotonic)
    ports = []
    for call in range(calls):
        media = await RtpMedia.open(MediaPlan(HOST, codecs=(PCMU,)), PORTS, observer=counts, metronome=metronome)
        stack.push_async_callback(media.close)
        media.answer(offer)
        recorder = recordings.start(f"call-{call}", time.monotonic())
        stack.callback(recorder.close)
        talking = asyncio.create_task(converse(media, recorder))
        stack.callback(talking.cancel)
        ports.append(media.rtp_port)
        # Calls do not begin all in one millisecond.
        await asyncio.sleep(0.02 / calls + 0.001)
    return ports


async def open_echoes(stack: AsyncExitStack, calls: int) -> list[int]:
    ports = []
    for _ in range(calls):
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Echo, local_addr=(HOST, 0))
        if hasattr(transport, "max_size"):
            # As `RtpMedia` does: asyncio allocates 256 KiB for every packet otherwise.
            transport.max_size = MAX_PACKET_BYTES
        stack.callback(transport.close)
        ports.append(int(transport.get_extra_info("sockname")[1]))
    return ports


async def main() -> None:
    kind, calls, core, peer_port = sys.argv[1], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
    os.sched_setaffinity(0, {core})
    # Answers go to stdout, so the log must not.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    counts = Counts()
    process = psutil.Process()
    before = process.memory_info().rss
    async with AsyncExitStack() as stack:
        if kind == "echo":
            ports = await open_echoes(stack, calls)
        else:
            ports = await open_legs(stack, calls, peer_port, counts)
        gc.collect()
        gc.freeze()
        gc.disable()
        print(json.dumps(ports), flush=True)
        cpu_s, late = time.process_time(), 0
        while await asyncio.to_thread(sys.stdin.readline):
            now_cpu_s = time.process_time()
            used = {
                "cpu_s": now_cpu_s - cpu_s,
                "late": counts.late_frames - late,
                "violations": counts.violations,
                "bytes_a_call": (process.memory_info().rss - before) / calls,
            }
            cpu_s, late = now_cpu_s, counts.late_frames
            print(json.dumps(used), flush=True)


with asyncio.Runner(loop_factory=uvloop.new_event_loop if sys.argv[2] == "uvloop" else None) as runner:
    runner.run(main())
