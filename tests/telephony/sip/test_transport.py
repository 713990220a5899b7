"""The sockets: TCP and TLS beside UDP, IPv6 beside IPv4, and what a broken peer may do to them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.fakes.sip_server import SipBot, phone, sip_bot, tag
from tests.telephony.sip.messages import SDP, raw
from tests.telephony.sip.test_calls_in import over
from voicebot.telephony.dialing import DialFailed, DialFailure
from voicebot.telephony.leg import EndCause, HangUpReason
from voicebot.telephony.numbers import DialLimits, NumberPlan
from voicebot.telephony.rtp.media import MediaPlan, RtpMedia
from voicebot.telephony.sip import transport
from voicebot.telephony.sip.dialer import Dialer, OutboundPolicy
from voicebot.telephony.sip.hop import Hop, Transport
from voicebot.telephony.sip.media import Media
from voicebot.telephony.sip.message import parse
from voicebot.telephony.sip.resolve import DnsLookup, Lookup, Naptr, Resolver, Srv
from voicebot.telephony.sip.stream import PING, StreamCutter
from voicebot.telephony.sip.transport import CannotListen

TRUNK = "trunk.example"


class OneHost:
    """A DNS in which every name is this machine's."""

    async def naptr(self, name: str) -> Sequence[Naptr]:
        del name
        return ()

    async def srv(self, name: str) -> Sequence[Srv]:
        del name
        return ()

    async def addresses(self, name: str) -> Sequence[str]:
        del name
        return ["127.0.0.1"]


@contextlib.asynccontextmanager
async def calling(bot: SipBot, lookup: Lookup | None = None) -> AsyncIterator[Dialer]:
    """A dialer on a second endpoint's behalf: the bot that calls the bot."""

    async def open_media(local_host: str, peer_host: str) -> Media:
        return await RtpMedia.open(MediaPlan(local_host, signalling_address=peer_host), bot.ports)

    yield Dialer(
        bot.endpoint,
        OutboundPolicy(None, frozenset({"127.0.0.1", "[::1]", TRUNK}), "caller", None),
        numbers=NumberPlan((), region="US"),
        limits=DialLimits(per_hour=100, at_once=10, clock=time.monotonic),
        reach=Resolver(lookup or DnsLookup()),
        open_media=open_media,
        on_refused=bot.refused.append,
        on_referral=lambda _leg, _call, _referral: False,
        clock=time.monotonic,
    )


async def call_and_hang_up(caller: SipBot, callee: SipBot, address: str, lookup: Lookup | None = None) -> None:
    async with calling(caller, lookup) as dialer:
        leg = await dialer.dial(address, timeout_s=5)
        running = asyncio.create_task(leg.run())
        await asyncio.sleep(0.2)
        await leg.hang_up(HangUpReason.COMPLETED)
        await running
    assert await over(callee) is EndCause.PEER_HUNG_UP
    assert callee.calls[0].frames > 3


async def test_a_call_over_tcp() -> None:
    async with sip_bot() as caller, sip_bot() as callee:
        await call_and_hang_up(caller, callee, f"sip:bot@127.0.0.1:{callee.port};transport=tcp")
        assert callee.calls[0].leg.call.hop.transport is Transport.TCP


def test_calls_over_tcp_on_the_loop_that_the_server_runs_on() -> None:
    """uvloop's streams are no subclasses of asyncio's; under pytest's own loop nothing would show."""

    async def call() -> None:
        async with sip_bot() as caller, sip_bot() as callee:
            await call_and_hang_up(caller, callee, f"sip:bot@127.0.0.1:{callee.port};transport=tcp")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(call())


async def test_a_call_over_ipv6() -> None:
    async with sip_bot(host="::1") as caller, sip_bot(host="::1") as callee:
        await call_and_hang_up(caller, callee, f"sip:bot@[::1]:{callee.port}")


async def test_a_call_over_tls_with_certificates_on_both_sides(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    server, client = contexts(certificate, demand=True)
    client.load_cert_chain(certificate)
    async with sip_bot(client_tls=client) as caller, sip_bot(tls=server) as callee:
        port = callee.endpoint.transports.ports[Transport.TLS]
        await call_and_hang_up(caller, callee, f"sips:bot@127.0.0.1:{port}")
        assert callee.calls[0].leg.call.hop.transport is Transport.TLS


@pytest.mark.parametrize("knows", [True, False])
async def test_tls_without_the_right_certificate_reaches_nobody(tmp_path: Path, knows: bool) -> None:
    server, client = contexts(make_certificate(tmp_path), demand=True)
    async with (
        sip_bot(client_tls=client if knows else ssl.create_default_context()) as caller,
        sip_bot(tls=server) as callee,
    ):
        port = callee.endpoint.transports.ports[Transport.TLS]
        async with calling(caller) as dialer:
            with pytest.raises(DialFailed) as failed:
                await dialer.dial(f"sips:bot@127.0.0.1:{port}", timeout_s=5)
        assert failed.value.reason is DialFailure.UNREACHABLE
        assert callee.calls == []


async def test_a_trunk_over_tls_shows_the_certificate_of_its_domain(tmp_path: Path) -> None:
    server, client = contexts(make_certificate(tmp_path, x509.DNSName(TRUNK)), demand=False)
    async with sip_bot(client_tls=client) as caller, sip_bot(tls=server) as callee:
        port = callee.endpoint.transports.ports[Transport.TLS]
        await call_and_hang_up(caller, callee, f"sips:bot@{TRUNK}:{port}", OneHost())
        # What names only its address from now on, as a Record-Route may, goes over the same connection.
        streams = len(caller.endpoint.transports._streams)
        caller.endpoint.transports.send(PING, Hop(Transport.TLS, "127.0.0.1", port))
        assert (streams, len(caller.endpoint.transports._streams)) == (1, 1)
        assert not caller.endpoint.transports._connecting


async def test_a_trunk_that_shows_another_domains_certificate_is_not_spoken_with(tmp_path: Path) -> None:
    server, client = contexts(make_certificate(tmp_path, x509.DNSName("other.example")), demand=False)
    async with sip_bot(client_tls=client) as caller, sip_bot(tls=server) as callee:
        port = callee.endpoint.transports.ports[Transport.TLS]
        async with calling(caller, OneHost()) as dialer:
            with pytest.raises(DialFailed) as failed:
                await dialer.dial(f"sips:bot@{TRUNK}:{port}", timeout_s=5)
        assert failed.value.reason is DialFailure.UNREACHABLE
        assert callee.calls == []


async def test_a_port_nobody_listens_on_is_unreachable_at_once_over_tcp() -> None:
    async with sip_bot() as caller, calling(caller) as dialer:
        with pytest.raises(DialFailed) as failed:
            await dialer.dial("sip:x@127.0.0.1:9;transport=tcp", timeout_s=5)
        assert failed.value.reason is DialFailure.UNREACHABLE
        await caller.lets_go()


async def test_a_connection_too_many_fails_the_call_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with sip_bot() as caller, sip_bot() as callee, calling(caller) as dialer:
        monkeypatch.setattr(transport, "MAX_CONNECTIONS", 0)
        with pytest.raises(DialFailed) as failed:
            await dialer.dial(f"sip:x@127.0.0.1:{callee.port};transport=tcp", timeout_s=3)
        assert failed.value.reason is DialFailure.UNREACHABLE
        assert "too_many_connections" in caller.violations


async def test_messages_come_in_pieces_and_together_over_tcp() -> None:
    async with sip_bot() as bot:
        reader, writer = await asyncio.open_connection("127.0.0.1", bot.port)
        data = raw("OPTIONS", via="SIP/2.0/TCP 127.0.0.1:5070")
        for byte in data[:-40]:
            writer.write(bytes([byte]))
        writer.write(data[-40:] + raw("OPTIONS", branch="z9hG4bKtwo", via="SIP/2.0/TCP 127.0.0.1:5070"))
        answers = b""
        async with asyncio.timeout(20):
            while answers.count(b"SIP/2.0 200") < 2:
                answers += await reader.read(4096)
        writer.close()


async def test_a_keep_alive_is_answered_over_tcp() -> None:
    async with sip_bot() as bot:
        reader, writer = await asyncio.open_connection("127.0.0.1", bot.port)
        writer.write(PING)
        async with asyncio.timeout(20):
            assert await reader.readexactly(2) == b"\r\n"
        writer.close()


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"x" * 70_000, b"INVITE sip:x SIP/2.0\r\nl: 999999\r\n\r\n"]
)
async def test_a_stream_that_is_no_sip_is_closed_and_counted(data: bytes) -> None:
    async with sip_bot() as bot:
        reader, writer = await asyncio.open_connection("127.0.0.1", bot.port)
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            async with asyncio.timeout(20):
                assert await reader.read() == b""
        assert bot.violations
        writer.close()


async def test_a_connection_that_breaks_leaves_the_call_to_its_media_and_the_next_answer_to_nobody() -> None:
    async with sip_bot(media_timeout_s=0.5) as bot:
        reader, writer = await asyncio.open_connection("127.0.0.1", bot.port)
        writer.write(raw(body=SDP, via="SIP/2.0/TCP 127.0.0.1:5070", contact="<sip:x@127.0.0.1:9;transport=tcp>"))
        async with asyncio.timeout(20):
            data = b""
            while b"SIP/2.0 200" not in data:
                data += await reader.read(4096)
        answered = parse(data[data.index(b"SIP/2.0 200") :])
        writer.write(raw("ACK", branch="z9hG4bKa", to_tag=tag(answered), via="SIP/2.0/TCP 127.0.0.1:5070"))  # type: ignore[arg-type]
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()
        assert await over(bot) is EndCause.MEDIA_TIMEOUT


async def test_a_large_request_goes_over_tcp_where_the_peer_has_it_and_over_udp_where_not() -> None:
    big = (("X-Context", "c" * 1500),)
    async with sip_bot() as caller, sip_bot() as callee, calling(caller) as dialer:
        leg = await dialer.dial(f"sip:bot@127.0.0.1:{callee.port}", timeout_s=5, headers=big)
        assert callee.calls[0].leg.call.hop.transport is Transport.TCP
        await leg.hang_up(HangUpReason.COMPLETED)
    async with sip_bot() as caller, phone(0) as callee, calling(caller) as dialer:
        dialling = asyncio.create_task(dialer.dial(f"sip:x@127.0.0.1:{callee.port}", timeout_s=1, headers=big))
        invite = await callee.request("INVITE")
        assert invite.headers["Via"].startswith("SIP/2.0/UDP")
        with pytest.raises(DialFailed):
            await dialling


async def test_a_port_in_use_is_told_by_name() -> None:
    async with sip_bot() as first, sip_bot() as second:
        with pytest.raises(CannotListen, match=str(first.port)):
            await second.endpoint.transports.listen("127.0.0.1", first.port)


def test_the_stream_cutter_takes_compact_lengths_and_drops_empty_lines_between_messages() -> None:
    cutter = StreamCutter()
    message = b"OPTIONS sip:x SIP/2.0\r\nl: 3\r\n\r\nabc"
    assert cutter.feed(b"\r\n" + message + PING + message) == [message, PING, message]


def test_hops_over_streams_are_reliable() -> None:
    assert [Hop(kind, "127.0.0.1", 1).is_reliable for kind in Transport] == [False, True, True]


LOOPBACK = x509.IPAddress(IPv4Address("127.0.0.1"))


def make_certificate(folder: Path, subject: x509.GeneralName = LOOPBACK) -> Path:
    """Write a certificate for `subject` that signs itself, with its key, and return the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bot")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(secrets.randbits(64))
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([subject]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "bot.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


def contexts(certificate: Path, *, demand: bool) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificate))
    server.load_cert_chain(certificate)
    if demand:
        server.verify_mode = ssl.CERT_REQUIRED
    return server, ssl.create_default_context(cafile=str(certificate))
