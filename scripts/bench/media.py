"""Measures audio over RTP: concurrent legs on one core beside a bare echo, and the jitter buffer on a bad network.

    scripts/bench/media [--legs 100,200,400] [--seconds 10] [--rates 50,100,200] [--loop uvloop] [--json FILE]

The generator and the server are two processes on two cores. Every leg gets G.711 each 20 ms and sends as much; its
audio goes through jitter buffer, playout and recorder. How late our packets are is taken from the kernel's time of
their arrival, against the stream's own earliest packet. The echo sends back each packet as it comes, which is the least
that any server in this language can do; it runs on the same event loop as the legs, and on asyncio's own besides, with
as many streams at the same pace, and every packet that it sends back is compared with what was sent. An echo's frame
costs less where packets come in heaps, since one wake-up then serves several, so the figures of a run belong together.

Calls over SIP are placed by sipp: INVITE, 200, ACK, BYE over UDP, each with its ports and its own RTP going out, which
nobody answers. Conversation, recording and speech are not in those figures.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import select
import socket
import statistics
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import uvloop
from _bridged import Conditions, bridged
from _report import Report, parser, percentile
from _sipp import Signalled, serving

from voicebot.telephony.leg import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENT_FRAME
from voicebot.telephony.rtp.jitter import Audio, JitterBuffer
from voicebot.telephony.rtp.packet import HEADER_BYTES, RtpPacket, build

HOST = "127.0.0.1"
FRAME_S = 0.02
LATE_S = 0.01
SERVER_CORE, GENERATOR_CORE = 1, 0
WARM_S = 2.0
_TIMESTAMP_NS = 35  # SO_TIMESTAMPNS, which Python's socket module does not name
VOICE = bytes(range(64, 224))


@dataclass(slots=True)
class Load:
    """What one run gave. `arrivals` are seconds, by stream, each with its packet's timestamp."""

    used: dict[str, float]
    seconds: float
    legs: int
    arrivals: dict[tuple[int, int], list[tuple[float, int]]] = field(default_factory=dict)
    #: Packets that came with exactly the audio that was sent.
    intact: int = 0

    @property
    def frames(self) -> int:
        return round(self.legs * self.seconds / FRAME_S)

    @property
    def cpu_us_a_frame(self) -> float:
        return self.used["cpu_s"] * 1e6 / self.frames

    @property
    def core_share(self) -> float:
        return self.used["cpu_s"] / self.seconds

    def late(self) -> tuple[int, int]:
        """Return how many packets came over 10 ms after their time, and how many came."""
        late = count = 0
        for stream in self.arrivals.values():
            first = stream[0][1]
            offsets = [at_s - ((timestamp - first) & 0xFFFFFFFF) / SAMPLE_RATE_HZ for at_s, timestamp in stream]
            # The fifth percentile is the stream's own beat: a single early packet must not make all others late.
            beat = percentile(offsets, 0.05)
            late += sum(offset - beat > LATE_S for offset in offsets)
            count += len(offsets)
        return late, count


def drive(kind: str, loop: str, legs: int, seconds: float) -> Load:
    """Send to `legs` streams for `seconds` and note what comes back."""
    os.sched_setaffinity(0, {GENERATOR_CORE})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind((HOST, 0))
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        line.setsockopt(socket.SOL_SOCKET, _TIMESTAMP_NS, 1)
        line.settimeout(0)
        command = [sys.executable, str(Path(__file__).with_name("_serve_media.py"))]
        command += [kind, loop, str(legs), str(SERVER_CORE), str(line.getsockname()[1])]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            if server.stdin is None or server.stdout is None:
                raise RuntimeError("the server has no pipes")
            ports = json.loads(server.stdout.readline())
            try:
                load = Load({}, seconds, legs)
                _send(line, ports, WARM_S, 0, Load({}, WARM_S, legs))
                server.stdin.write("\n")
                server.stdin.flush()
                server.stdout.readline()
                _send(line, ports, seconds, round(WARM_S / FRAME_S), load)
                server.stdin.write("\n")
                server.stdin.flush()
                load.used = json.loads(server.stdout.readline())
            finally:
                server.stdin.close()
                server.wait(30)
    return load


def _send(line: socket.socket, ports: list[int], seconds: float, first: int, load: Load) -> None:
    start_s = time.monotonic()
    gap_s = FRAME_S / len(ports)
    total = round(seconds / FRAME_S) * len(ports)
    for turn in range(total):
        frame, leg = divmod(turn, len(ports))
        due_s = start_s + turn * gap_s
        while (now_s := time.monotonic()) < due_s:
            select.select([line], [], [], due_s - now_s)
            _drain(line, load)
        number = first + frame
        packet = RtpPacket(0, number & 0xFFFF, number * FRAME_SAMPLES, leg, VOICE)
        line.sendto(build(packet), (HOST, ports[leg]))
    _drain(line, load)


def _drain(line: socket.socket, load: Load) -> None:
    while True:
        try:
            data, ancillary, _, address = line.recvmsg(2048, 64)
        except BlockingIOError:
            return
        if data[1] & 0x7F != 0:
            continue
        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
        (timestamp, ssrc) = struct.unpack_from("!II", data, 4)
        load.intact += data[HEADER_BYTES:] == VOICE
        load.arrivals.setdefault((address[1], ssrc), []).append((seconds + nanoseconds / 1e9, timestamp))


@dataclass(slots=True)
class Heard:
    frames: int = 0
    concealed: int = 0
    delays_ms: list[float] = field(default_factory=list)


def bad_network(loss: float, jitter_s: float, seconds: int) -> tuple[Heard, int]:
    """Play a stream with random loss and even jitter; return what was heard and how many packets were lost."""
    chance = random.Random(5)  # noqa: S311  # the same network every time
    sent = round(seconds / FRAME_S)
    kept = [index for index in range(sent) if chance.random() >= loss]
    arrivals = sorted((index * FRAME_S + chance.random() * jitter_s, index) for index in kept)
    buffer, heard, at = JitterBuffer(), Heard(), 0
    for tick in range(sent):
        now_s = tick * FRAME_S
        while at < len(arrivals) and arrivals[at][0] <= now_s:
            arrived_s, index = arrivals[at]
            frame = SILENT_FRAME if index % 250 > 200 else VOICE
            buffer.put(Audio(index * FRAME_SAMPLES, FRAME_SAMPLES, frame, bytes), arrived_s)
            at += 1
        pulled = buffer.pull(now_s)
        if pulled is not None:
            heard.frames += 1
            heard.concealed += pulled[1]
            heard.delays_ms.append(buffer.delay_ms(now_s))
    return heard, sent - len(kept)


def report_calls(report: Report, section: str, load: Signalled) -> None:
    report.rate(section, "calls set up and ended", load.completed, load.placed)
    report.figure(section, "messages sent again", load.again, "messages")
    report.figure(section, "CPU a call", load.cpu_s * 1000 / load.placed, "ms", n=load.placed)
    report.figure(section, "share of one core", load.cpu_s / load.seconds * 100, "%")
    report.figure(section, "most calls at once", load.most_at_once, "calls")


def report_bridge(report: Report, seconds: float) -> None:
    """Measure what a bridge adds, over real sockets."""
    os.sched_setaffinity(0, {SERVER_CORE})
    for pair in (("streams", "rtp"), ("rtp", "rtp")):
        for what, conditions in (
            ("even", Conditions()),
            ("30 ms jitter", Conditions(jitter_s=0.03)),
            ("200 ms waiting in both legs", Conditions(waiting=10)),
            ("500 ppm apart", Conditions(ppm=500)),
        ):
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                there, back = runner.run(bridged(*pair, conditions, seconds=seconds))
            for way, name in ((there, " to ".join(pair)), (back, " to ".join(reversed(pair)))):
                section = f"bridge, {name}, {what}"
                heard = len(way.delays_ms)
                report.figure(section, "delay, median", statistics.median(way.delays_ms), "ms", n=heard)
                report.figure(section, "delay, p95", percentile(way.delays_ms, 0.95), "ms", n=heard)
                # Once what waited at first is gone.
                later = way.delays_ms[heard // 3 :]
                report.figure(section, "delay, worst of the last two thirds", max(later), "ms", n=len(later))


def main() -> None:
    options_of = parser("Measures audio over RTP.")
    options_of.add_argument("--legs", default="100,200,300,400", help="how many at once, a run each")
    options_of.add_argument("--rates", default="50,100,200", help="calls set up a second over SIP, a run each")
    options_of.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop", help="of legs and echo alike")
    options_of.add_argument("--seconds", type=float, default=10.0, help="length of a run")
    options_of.add_argument("--bridge", type=float, default=10.0, help="seconds of each bridge, 0 for none")
    options = options_of.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    report = Report("media")
    counts = [int(count) for count in options.legs.split(",")]
    loops = tuple(dict.fromkeys((options.loop, "asyncio")))
    echoes = {(loop, count): drive("echo", loop, count, options.seconds) for count in counts for loop in loops}
    for (loop, count), echo in echoes.items():
        section = f"echo on {loop}, {count} streams"
        report.figure(section, "CPU a frame", echo.cpu_us_a_frame, "µs", n=echo.frames)
        report.rate(section, "packets that came back unchanged", min(echo.intact, echo.frames), echo.frames)
    for legs in counts:
        load = drive("legs", options.loop, legs, options.seconds)
        section = f"{legs} legs on {options.loop}"
        late, received = load.late()
        report.figure(section, "CPU a frame, in and out", load.cpu_us_a_frame, "µs", n=load.frames)
        for loop in loops:
            times = load.cpu_us_a_frame / echoes[loop, legs].cpu_us_a_frame
            report.figure(section, f"as a multiple of the echo's on {loop}", times, "times", yardstick="at most 4")
        report.figure(section, "share of one core", load.core_share * 100, "%")
        report.rate(section, "packets over 10 ms late", late, received, yardstick="under 0.1 % at 400")
        report.figure(section, "deadlines missed by over 10 ms", load.used["late"], "frames", n=load.frames)
        report.rate(section, "packets that came back", min(received, load.frames), load.frames)
        report.figure(section, "memory a call", load.used["bytes_a_call"] / 1024, "KiB")
    with serving(options.loop, server_core=SERVER_CORE, generator_core=GENERATOR_CORE) as server:
        for rate in map(int, options.rates.split(",")):
            placed = server.call(rate=rate, seconds=options.seconds, hold_s=0.2)
            report_calls(report, f"{rate} calls a second over SIP, held 0.2 s", placed)
        held = server.call(rate=50, seconds=counts[-1] / 50, hold_s=counts[-1] / 50 + 2)
        report_calls(report, f"{counts[-1]} calls over SIP at once", held)
    if options.bridge:
        report_bridge(report, options.bridge)
    for loss, jitter_ms in ((0.0, 0), (0.0, 60), (0.05, 60)):
        heard, lost = bad_network(loss, jitter_ms / 1000, 600)
        section = f"jitter buffer, {loss:.0%} loss, {jitter_ms} ms jitter"
        report.rate(section, "frames concealed", heard.concealed, heard.frames)
        report.rate(section, "packets lost", lost, 600 * 50)
        report.figure(section, "delay added, median", statistics.median(heard.delays_ms), "ms", n=heard.frames)
        report.figure(section, "delay added, p95", percentile(heard.delays_ms, 0.95), "ms", n=heard.frames)
    report.finish(options.json)


main()
