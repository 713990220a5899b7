"""From a SIP URI to the sockets to try, in order (RFC 3263), with dnspython for NAPTR and SRV records."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import structlog
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV
from sipmessage import URI

from voicebot.errors import VoicebotError
from voicebot.telephony.sip.dialog import Dialog
from voicebot.telephony.sip.hop import Hop, Transport
from voicebot.telephony.sip.message import SIP_PORT, SIPS_PORT

_log = structlog.get_logger()

DNS_TIMEOUT_S = 4.0
MAX_HOPS = 8
_SERVICES = {Transport.UDP: "_sip._udp", Transport.TCP: "_sip._tcp", Transport.TLS: "_sips._tcp"}
_NAPTR_SERVICES = {"SIP+D2U": Transport.UDP, "SIP+D2T": Transport.TCP, "SIPS+D2T": Transport.TLS}


class Unresolvable(VoicebotError):
    """A host has no address that SIP could be sent to."""


@dataclass(frozen=True, slots=True)
class Naptr:
    order: int
    preference: int
    service: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Srv:
    priority: int
    weight: int
    target: str
    port: int


class Lookup(Protocol):
    """Asks the DNS; what does not exist is an empty answer."""

    async def naptr(self, name: str) -> Sequence[Naptr]: ...
    async def srv(self, name: str) -> Sequence[Srv]: ...
    async def addresses(self, name: str) -> Sequence[str]: ...


class DnsLookup:
    """NAPTR and SRV by dnspython, addresses by the system, which knows /etc/hosts too."""

    async def naptr(self, name: str) -> Sequence[Naptr]:
        return [
            Naptr(
                record.order,
                record.preference,
                record.service.decode("ascii", "replace").upper(),
                str(record.replacement),
            )
            for record in await self._ask(name, "NAPTR")
            if isinstance(record, NAPTR)
        ]

    async def srv(self, name: str) -> Sequence[Srv]:
        return [
            Srv(record.priority, record.weight, str(record.target).rstrip("."), record.port)
            for record in await self._ask(name, "SRV")
            if isinstance(record, SRV)
        ]

    async def addresses(self, name: str) -> Sequence[str]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError):  # of a name that no host can have, such as one with a label of 64 letters
            return []
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    async def _ask(self, name: str, kind: str) -> list[object]:
        try:
            answer = await dns.asyncresolver.resolve(name, kind, lifetime=DNS_TIMEOUT_S)
        except dns.exception.DNSException:
            return []
        return list(answer)


class Resolver:
    """Finds where requests go. `pick` chooses by weight among equal SRV records: it gets their number's sum."""

    def __init__(self, lookup: Lookup, *, pick: Callable[[int], int] = lambda most: random.randint(0, most)) -> None:  # noqa: S311  # load, not secrets
        self._lookup = lookup
        self._pick = pick

    async def resolve(self, uri: URI) -> list[Hop]:
        """Return the hops to try, best first; raises `Unresolvable`."""
        host = (uri.parameters.get("maddr") or uri.host).strip("[]").rstrip(".")
        transport = _transport_of(uri)
        if is_address(host):
            kind = transport or Transport.UDP
            return [Hop(kind, host, uri.port or default_port(kind))]
        if uri.port is not None:
            return await self._hops(transport or Transport.UDP, host, [(host, uri.port)])
        targets = await self._targets(host, transport, secure=uri.scheme == "sips")
        hops: list[Hop] = []
        for kind, name, port in targets:
            hops += await self._hops(kind, host, [(name, port)], strict=False)
        if not hops:
            raise Unresolvable(f"No SIP address was found for {host}.")
        return hops[:MAX_HOPS]

    async def of_dialog(self, dialog: Dialog, source: Hop) -> Hop:
        """Return where requests of a dialog go. What tells nothing usable gives way to where the peer's came from."""
        uri = dialog.next_hop
        if not dialog.route_set:
            host = uri.host.strip("[]")
            if source.is_reliable:
                return source
            if is_address(host) and ip_address(host).is_private and not ip_address(source.host).is_private:
                # The peer sits behind a NAT and does not know it.
                return source
        try:
            return (await self.resolve(uri))[0]
        except Unresolvable:
            _log.warning("a dialog's next hop has no address; its requests go where the peer's came from")
            return source

    async def _targets(
        self, host: str, transport: Transport | None, *, secure: bool
    ) -> list[tuple[Transport, str, int]]:
        kinds = [transport] if transport else ([Transport.TLS] if secure else list(_SERVICES))
        services: list[tuple[Transport, str]] = []
        if transport is None:
            records = sorted(await self._lookup.naptr(host), key=lambda record: (record.order, record.preference))
            services = [
                (_NAPTR_SERVICES[record.service], record.replacement.rstrip("."))
                for record in records
                if _NAPTR_SERVICES.get(record.service) in kinds
            ]
        for kind, name in services or [(kind, f"{_SERVICES[kind]}.{host}") for kind in kinds]:
            found = self._in_order(await self._lookup.srv(name))
            if found:
                return [(kind, record.target, record.port) for record in found]
        kind = kinds[0]
        return [(kind, host, default_port(kind))]

    def _in_order(self, records: Sequence[Srv]) -> list[Srv]:
        """Return SRV records as RFC 2782 orders them: by priority, then drawn by weight."""
        ordered: list[Srv] = []
        for priority in sorted({record.priority for record in records}):
            left = sorted(
                (record for record in records if record.priority == priority), key=lambda record: record.weight
            )
            while left:
                drawn = self._pick(sum(record.weight for record in left))
                for record in left:
                    drawn -= record.weight
                    if drawn <= 0:
                        break
                left.remove(record)
                ordered.append(record)
        return ordered

    async def _hops(
        self, kind: Transport, domain: str, targets: list[tuple[str, int]], *, strict: bool = True
    ) -> list[Hop]:
        hops = [
            Hop(kind, address, port, domain if kind is Transport.TLS else "")
            for name, port in targets
            for address in ([name] if is_address(name) else await self._lookup.addresses(name))
        ]
        if strict and not hops:
            raise Unresolvable(f"No address was found for {targets[0][0]}.")
        return hops


def is_address(host: str) -> bool:
    """Tell whether a host is an IP address, without brackets."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def default_port(transport: Transport) -> int:
    return SIPS_PORT if transport is Transport.TLS else SIP_PORT


def _transport_of(uri: URI) -> Transport | None:
    named = (uri.parameters.get("transport") or "").upper()
    if uri.scheme == "sips" or named == "TLS":
        return Transport.TLS
    return Transport(named) if named in {"UDP", "TCP"} else None
