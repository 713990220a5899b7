"""Whatever a peer sends, nothing breaks, nothing is kept, and nothing takes long."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sipmessage import Request

from tests.fakes.sip_server import sip_bot
from tests.telephony.sip.messages import SDP, raw, request
from voicebot.errors import RemoteProtocolError
from voicebot.telephony.sip.body import UnsupportedBody, sdp_of
from voicebot.telephony.sip.digest import parse_digest
from voicebot.telephony.sip.dtmf_info import parse_key
from voicebot.telephony.sip.hop import Hop, Transport
from voicebot.telephony.sip.identity import identity_of
from voicebot.telephony.sip.message import BadMessage, parse, stamp_source
from voicebot.telephony.sip.refer import parse_referral, parse_replaces, parse_sipfrag
from voicebot.telephony.sip.session_timer import IntervalTooSmall, agree_as_server
from voicebot.telephony.sip.stream import StreamCutter
from voicebot.telephony.sip.transactions import server_key

SOURCE = Hop(Transport.UDP, "127.0.0.1", 5070)
TORTURE = [path.read_bytes() for path in sorted((Path(__file__).parent / "rfc4475").glob("*.dat"))]
SEEDS = [
    *TORTURE,
    raw(
        body=SDP,
        headers=(
            "Session-Expires: 90;refresher=uac",
            "Diversion: <sip:a@b>;reason=busy",
            "Replaces: a;to-tag=b;from-tag=c",
        ),
    ),
    raw("REFER", headers=("Refer-To: <sip:a@b?Replaces=x%3Bto-tag%3Dy%3Bfrom-tag%3Dz>",)),
    raw("INFO", headers=("Content-Type: application/dtmf-relay",), body=b"Signal=5\r\nDuration=160\r\n"),
    raw(
        headers=(
            'Authorization: Digest username="a", realm="test", nonce="b", uri="sip:c", response="d", qop=auth, nc=1',
        )
    ),
]
PIECES = [
    b"\r\n",
    b"\r\n ",
    b":",
    b";",
    b",",
    b'"',
    b"\\",
    b"<",
    b">",
    b"\0",
    b"\xff",
    b"[::1]",
    b"=",
    b" ",
    b"%",
    b"@",
    b"self=1",
    b";tag=",
]


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """A message with some bytes cut, doubled or replaced."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.integers(0, 30))
        match draw(st.integers(0, 3)):
            case 0:
                del data[at : at + length]
            case 1:
                data[at:at] = draw(st.sampled_from(PIECES)) * draw(st.integers(1, 40))
            case 2:
                data[at : at + length] = draw(st.binary(max_size=12))
            case _:
                data[at:at] = data[at : at + length]
    return bytes(data)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(mangled())
def test_a_mangled_message_is_read_or_refused_and_quickly(data: bytes) -> None:
    began_s = time.process_time()
    try:
        message = parse(data)
        if isinstance(message, Request):
            bytes(message)
            stamp_source(message, "127.0.0.1", 5070)
            server_key(message)
            identity_of(message)
            parse_digest(message.headers.get("Authorization") or "")
            parse_replaces(message.headers.get("Replaces") or "")
            parse_key(message.headers.get("Content-Type") or "", message.body)
            parse_sipfrag(message.body)
            sdp_of(message)
            agree_as_server(message)
            parse_referral(message)
    except (BadMessage, UnsupportedBody, IntervalTooSmall):
        pass
    assert time.process_time() - began_s < 1.0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=20))
def test_a_stream_of_anything_is_cut_or_closed_and_holds_little(pieces: list[bytes]) -> None:
    cutter = StreamCutter()
    try:
        for piece in pieces:
            cutter.feed(piece)
    except RemoteProtocolError:
        pass
    assert len(cutter._held) <= 300 * 20


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(mangled(), min_size=5, max_size=40))
def test_mangled_traffic_leaves_no_call_and_no_port_behind(messages: list[bytes]) -> None:
    async def send_all() -> None:
        failures: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))
        async with sip_bot() as bot:
            for data in messages:
                bot.endpoint.received(data, SOURCE)
                await asyncio.sleep(0)
            async with asyncio.timeout(10):
                while any(bot.leaks.values()):
                    for call in bot.calls:
                        call.leg.call.end("connection_lost")  # type: ignore[arg-type]  # a StrEnum's value
                    await asyncio.sleep(0.02)
            assert len(bot.endpoint.transactions) <= len(messages)
        assert failures == []

    asyncio.run(send_all())


def test_malformed_messages_are_not_kept() -> None:
    """The library's errors are the same objects every time, with tracebacks that grow by every message."""
    gc.collect()
    before = sum(isinstance(kept, Request) for kept in gc.get_objects())
    for _ in range(200):
        with pytest.raises(BadMessage):
            parse(raw(via="nonsense"))
    gc.collect()
    assert sum(isinstance(kept, Request) for kept in gc.get_objects()) < before + 10


@pytest.mark.parametrize("header", ["Min-SE: 7\x1e", "Min-SE: \x1c90;x", "Expires: 7\x1e"])
def test_a_number_with_a_separator_beside_it_is_read_or_refused(header: str) -> None:
    with contextlib.suppress(BadMessage):
        agree_as_server(request(headers=(header,)))


def test_a_message_made_to_be_slow_is_not() -> None:
    tricks = [
        b'"' + b'\\"' * 4000,
        b";a=b" * 1900 + b"\x01",
        b"a-" * 3900 + b"!",
        b"<" * 3900,
        b"1.1." * 1900 + b":",
        b"a:" * 3900,
        b" ;" * 3900,
    ]
    for header in (b"From", b"To", b"Contact", b"Via", b"Record-Route"):
        for trick in tricks:
            data = raw(body=SDP).replace(b"\r\nMax-Forwards", b"\r\n" + header + b": " + trick + b"\r\nMax-Forwards")
            began_s = time.process_time()
            with contextlib.suppress(BadMessage):
                parse(data)
            assert time.process_time() - began_s < 1.0, (header, trick[:10])
