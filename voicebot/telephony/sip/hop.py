"""Where a message goes to or came from. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Transport(StrEnum):
    """As Via names it."""

    UDP = "UDP"
    TCP = "TCP"
    TLS = "TLS"


@dataclass(frozen=True, slots=True)
class Hop:
    """One peer's socket: `host` is an IP address without brackets. Over a stream it names the connection too.

    `domain` is what was asked for where that led to the address over TLS: the certificate must be that domain's
    (RFC 5922 section 4). Empty where nothing but the address was known.
    """

    transport: Transport
    host: str
    port: int
    domain: str = ""

    @property
    def is_possible(self) -> bool:
        """Whether there is such a port; peers write what they like."""
        return 0 < self.port < 65536

    @property
    def is_reliable(self) -> bool:
        return self.transport is not Transport.UDP


def host_port(host: str, port: int | None) -> str:
    """Return ``host:port``, with brackets around an IPv6 address; without a port only the host."""
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"
