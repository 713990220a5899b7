"""The signalling that `media` measures: a SIP server on one core that answers every call and listens until its BYE.

Started as `_serve_sip.py LOOP CORE`. Prints its port, then for every line read a JSON object with what was used since
the line before. There is no conversation behind a call, no recording and no speech; its audio is real RTP.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import ssl
import sys
import time
from ipaddress import ip_network

import structlog
import uvloop

from voicebot.telephony.rtp.media import MediaPlan, PortRange, RtpMedia
from voicebot.telephony.rtp.metronome import Metronome
from voicebot.telephony.sip.access import Access
from voicebot.telephony.sip.endpoint import Endpoint, Identity
from voicebot.telephony.sip.leg import SipLeg
from voicebot.telephony.sip.media import Media
from voicebot.telephony.sip.resolve import DnsLookup, Resolver
from voicebot.telephony.sip.server import SipServer

HOST = "127.0.0.1"


class Everybody:
    """Admits every call, and counts those that are carried."""

    def __init__(self) -> None:
        self.carried = 0
        self.now = 0
        self.most = 0

    def admit(self, caller: str, call_id: str) -> str | None:
        del caller, call_id
        return None

    def withdraw(self, call_id: str) -> None:
        del call_id

    def is_open(self) -> bool:
        return True

    async def carry(self, leg: SipLeg) -> None:
        self.carried += 1
        self.now += 1
        self.most = max(self.most, self.now)
        running = asyncio.create_task(leg.run())
        await leg.answer()
        async for _ in leg.events():
            pass
        await running
        self.now -= 1


async def main() -> None:
    os.sched_setaffinity(0, {int(sys.argv[2])})
    # Answers go to stdout, so the log must not.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    everybody, metronome, ports = Everybody(), Metronome(time.monotonic), PortRange(20_000, 29_999)
    endpoint = Endpoint(
        Identity(),
        client_tls=ssl.create_default_context(),
        new_id=lambda: secrets.token_hex(8),
        on_violation=lambda _kind: None,
    )
    port = await endpoint.transports.listen(HOST, 0)

    async def open_media(local_host: str, peer_host: str) -> Media:
        return await RtpMedia.open(MediaPlan(local_host, signalling_address=peer_host), ports, metronome=metronome)

    SipServer(
        endpoint,
        access=Access((ip_network("127.0.0.0/8"),), None),
        admission=everybody,
        open_media=open_media,
        reach=Resolver(DnsLookup()),
        carry=everybody.carry,
        on_refused=lambda _reason: None,
        on_referral=lambda _leg, _call, _referral: False,
        clock=time.monotonic,
    )
    print(port, flush=True)
    cpu_s, carried = time.process_time(), 0
    while await asyncio.to_thread(sys.stdin.readline):
        now_cpu_s = time.process_time()
        used = {"cpu_s": now_cpu_s - cpu_s, "calls": everybody.carried - carried, "most_at_once": everybody.most}
        cpu_s, carried, everybody.most = now_cpu_s, everybody.carried, everybody.now
        print(json.dumps(used | {"ports_lent": ports.lent}), flush=True)
    await endpoint.close()


with asyncio.Runner(loop_factory=uvloop.new_event_loop if sys.argv[1] == "uvloop" else None) as runner:
    runner.run(main())
