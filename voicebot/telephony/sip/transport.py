"""Sockets for SIP: UDP, TCP and TLS, over IPv4 and IPv6 (RFC 3261 section 18). No SIP is read here."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import structlog

from voicebot.errors import RemoteProtocolError, VoicebotError
from voicebot.telephony.sip.hop import Hop, Transport
from voicebot.telephony.sip.stream import PING, PONG, StreamCutter

#: Connections kept at once; a further one is closed at once, so that a flood cannot take all descriptors.
MAX_CONNECTIONS = 500
CONNECT_TIMEOUT_S = 4.0
#: How often a port that is free for UDP is tried for TCP too.
PORT_ATTEMPTS = 10
#: What a peer that does not read may leave unsent before its connection is dropped.
MAX_UNSENT_BYTES = 1_000_000
#: A connection on which nothing came for this long is closed: longer than any call without a session timer.
IDLE_S = 7200.0
#: RFC 5626 section 4.4.1: keep-alives of a client over TCP, kept below the two minutes after which NATs forget.
KEEP_ALIVE_S = 95.0

#: Any port serves to ask for a route (RFC 863).
_DISCARD_PORT = 9

_log = structlog.get_logger()


class CannotListen(VoicebotError):
    """A SIP port cannot be opened; the message says which, and why."""


class Transports:
    """Everything this endpoint listens on and is connected to.

    `on_data` gets a message's bytes and source, `on_failed` a hop that cannot be reached, `on_violation` a constant.
    """

    def __init__(
        self,
        *,
        on_data: Callable[[bytes, Hop], None],
        on_failed: Callable[[Hop], None],
        on_violation: Callable[[str], None],
        client_tls: ssl.SSLContext,
        public_host: str | None = None,
    ) -> None:
        self._on_data = on_data
        self._on_failed = on_failed
        self._on_violation = on_violation
        self._client_tls = client_tls
        self._public_host = public_host
        self._udp: dict[int, asyncio.DatagramTransport] = {}
        self._servers: list[asyncio.Server] = []
        self._streams: dict[Hop, _Stream] = {}
        self._connecting: dict[Hop, list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ports: dict[Transport, int] = {}
        self._local_hosts: dict[tuple[str, int], str] = {}

    @property
    def ports(self) -> dict[Transport, int]:
        """Return the ports really bound."""
        return dict(self._ports)

    async def listen(self, host: str, port: int) -> int:
        """Listen for UDP and TCP on an IP address and return the port; 0 takes one that is free for both.

        Raises `CannotListen`. May be called again for an address of the other family.
        """
        for attempt in range(PORT_ATTEMPTS):
            try:
                datagrams = _bound(host, port, socket.SOCK_DGRAM)
                bound = int(datagrams.getsockname()[1])
                try:
                    await self._listen_stream(host, bound, Transport.TCP, None)
                except OSError:
                    datagrams.close()
                    raise
                transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda: _Datagrams(self._received_datagram), sock=datagrams
                )
            except OSError as error:
                if port or attempt == PORT_ATTEMPTS - 1:
                    raise CannotListen(f"cannot listen on {host}:{port} for SIP ({error.strerror or error})") from error
            else:
                self._udp[int(datagrams.family)] = transport
                self._ports[Transport.UDP] = self._ports[Transport.TCP] = bound
                return bound
        raise CannotListen(f"no port on {host} is free for both UDP and TCP")

    async def listen_tls(self, host: str, port: int, tls: ssl.SSLContext) -> int:
        """Listen for TLS and return the port; raises `CannotListen`."""
        try:
            await self._listen_stream(host, port, Transport.TLS, tls)
        except OSError as error:
            raise CannotListen(
                f"cannot listen on {host}:{port} for SIP over TLS ({error.strerror or error})"
            ) from error
        return self._ports[Transport.TLS]

    async def _listen_stream(self, host: str, port: int, kind: Transport, tls: ssl.SSLContext | None) -> None:
        listening = _bound(host, port, socket.SOCK_STREAM)
        server = await asyncio.get_running_loop().create_server(lambda: _Stream(self, kind), sock=listening, ssl=tls)
        self._servers.append(server)
        self._ports[kind] = int(listening.getsockname()[1])

    def local(self, hop: Hop) -> tuple[str, int]:
        """Return the address under which the peer at `hop` reaches us, for Via and Contact."""
        port = self._ports.get(hop.transport) or self._ports[Transport.UDP]
        if self._public_host is not None:
            return self._public_host, port
        return self.local_host(hop), port

    def local_host(self, hop: Hop) -> str:
        """Return the address of ours from which packets go to `hop`."""
        key = (hop.host, 0)
        if key not in self._local_hosts:
            family = socket.AF_INET6 if ":" in hop.host else socket.AF_INET
            with contextlib.closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
                try:
                    # Connecting a datagram socket sends nothing; it only asks for the route.
                    probe.connect((hop.host, _DISCARD_PORT))
                    self._local_hosts[key] = str(probe.getsockname()[0])
                except OSError:
                    return "::1" if family == socket.AF_INET6 else "127.0.0.1"
            if len(self._local_hosts) > 10_000:
                self._local_hosts.clear()
        return self._local_hosts.get(key, "127.0.0.1")

    def send(self, data: bytes, hop: Hop) -> None:
        """Send a message, over a stream that is open or will be; what cannot be sent comes back by `on_failed`."""
        if not hop.is_possible:
            # A peer may write any port into Via or Contact; asyncio would close our socket over it.
            self._on_violation("impossible_port")
            self._fail_soon(hop)
        elif hop.transport is Transport.UDP:
            self._send_datagram(data, hop)
        elif (stream := self._stream_to(hop)) is not None:
            stream.send(data)
        elif hop in self._connecting:
            self._connecting[hop].append(data)
        else:
            self._connecting[hop] = [data]
            task = asyncio.get_running_loop().create_task(self._connect(hop))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _stream_to(self, hop: Hop) -> _Stream | None:
        """Return the connection that is open; one to a domain serves for its bare address, as a Record-Route has it."""
        stream = self._streams.get(hop)
        if stream is None and hop.transport is Transport.TLS and not hop.domain:
            known = (other for other in self._streams if replace(other, domain="") == hop)
            stream = next((self._streams[other] for other in known), None)
        return stream

    async def connect(self, hop: Hop) -> bool:
        """Open a stream unless there is one, and tell whether there is."""
        if hop.is_possible and hop not in self._streams and hop not in self._connecting:
            self._connecting[hop] = []
            await self._connect(hop)
        return hop in self._streams

    async def close(self) -> None:
        """Close all sockets; what was sent last still goes out."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for datagrams in self._udp.values():
            datagrams.close()
        self._udp.clear()
        for server in self._servers:
            server.close()
        for stream in list(self._streams.values()):
            stream.close()
        self._streams.clear()
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()
        # A transport frees its port in the loop's next round.
        await asyncio.sleep(0)

    def _received_datagram(self, data: bytes, address: tuple[str, int]) -> None:
        self._on_data(data, Hop(Transport.UDP, _plain_host(address[0]), address[1]))

    def _send_datagram(self, data: bytes, hop: Hop) -> None:
        family = socket.AF_INET6 if ":" in hop.host else socket.AF_INET
        transport = self._udp.get(family)
        if transport is None or transport.is_closing():
            self._fail_soon(hop)
            return
        transport.sendto(data, (hop.host, hop.port))

    def _fail_soon(self, hop: Hop) -> None:
        asyncio.get_running_loop().call_soon(self._on_failed, hop)

    async def _connect(self, hop: Hop) -> None:
        tls = self._client_tls if hop.transport is Transport.TLS else None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, stream = await asyncio.get_running_loop().create_connection(
                    lambda: _Stream(self, hop.transport, hop),
                    hop.host,
                    hop.port,
                    ssl=tls,
                    server_hostname=(hop.domain or hop.host) if tls else None,
                )
        except (OSError, ssl.SSLError, TimeoutError) as error:
            _log.warning(
                "no connection",
                transport=hop.transport,
                host=hop.domain or hop.host,
                port=hop.port,
                problem=type(error).__name__,
            )
            self._connecting.pop(hop, None)
            self._on_failed(hop)
            return
        waiting = self._connecting.pop(hop, [])
        if hop not in self._streams:  # there were too many, or it broke at once
            self._on_failed(hop)
            return
        for data in waiting:
            stream.send(data)

    def stream_opened(self, hop: Hop, stream: _Stream) -> bool:
        """Keep a connection; False when there are too many."""
        if len(self._streams) >= MAX_CONNECTIONS:
            self._on_violation("too_many_connections")
            return False
        self._streams[hop] = stream
        return True

    def stream_closed(self, hop: Hop, stream: _Stream) -> None:
        if self._streams.get(hop) is stream:
            del self._streams[hop]
            self._on_failed(hop)

    def stream_received(self, data: bytes, hop: Hop) -> None:
        self._on_data(data, hop)

    def stream_violated(self, kind: str) -> None:
        self._on_violation(kind)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, on_datagram: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._on_datagram = on_datagram

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        if data.strip(b"\r\n\0 "):
            self._on_datagram(data.lstrip(b"\r\n"), (str(addr[0]), addr[1]))

    def error_received(self, exc: Exception) -> None:
        # An ICMP error does not say which request it is about; the transaction's timer does.
        _log.debug("a datagram came back", problem=type(exc).__name__)


class _Stream(asyncio.Protocol):
    """One TCP or TLS connection, ours (`hop` given) or a peer's."""

    def __init__(self, owner: Transports, kind: Transport, hop: Hop | None = None) -> None:
        self._owner = owner
        self._kind = kind
        self._hop = hop
        self._ours = hop is not None
        self._cutter = StreamCutter()
        self._transport: asyncio.Transport | None = None
        self._heard_s = 0.0
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's streams are no subclasses of asyncio's, only of the same shape.
        self._transport = stream = cast("asyncio.Transport", transport)
        if self._hop is None:
            peer = stream.get_extra_info("peername")
            self._hop = Hop(self._kind, _plain_host(str(peer[0])), int(peer[1]))
        if not self._owner.stream_opened(self._hop, self):
            stream.abort()
            return
        loop = asyncio.get_running_loop()
        self._heard_s = loop.time()
        self._watch = loop.call_later(KEEP_ALIVE_S, self._keep_alive)

    def data_received(self, data: bytes) -> None:
        if self._hop is None or self._transport is None:
            return
        self._heard_s = asyncio.get_running_loop().time()
        try:
            messages = self._cutter.feed(data)
        except RemoteProtocolError as error:
            self._owner.stream_violated(error.kind)
            self._transport.close()
            return
        for message in messages:
            if message == PING:
                self._transport.write(PONG)
            else:
                self._owner.stream_received(message, self._hop)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._watch is not None:
            self._watch.cancel()
        if self._hop is not None:
            self._owner.stream_closed(self._hop, self)

    def send(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._transport.abort()
            return
        self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _keep_alive(self) -> None:
        loop = asyncio.get_running_loop()
        if self._transport is None or self._transport.is_closing():
            return
        if loop.time() - self._heard_s > IDLE_S:
            self._transport.close()
            return
        if self._ours:
            self._transport.write(PING)
        self._watch = loop.call_later(KEEP_ALIVE_S, self._keep_alive)


def _bound(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, kind)
    try:
        bound.setblocking(False)  # noqa: FBT003  # the standard library's signature
        if kind is socket.SOCK_STREAM:
            # Connections of a server that was stopped just now do not keep the next one out.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


def _plain_host(host: str) -> str:
    """Return an address without its zone, and an IPv4 address that came over an IPv6 socket as what it is."""
    bare = host.partition("%")[0]
    return bare.removeprefix("::ffff:") if "." in bare else bare
