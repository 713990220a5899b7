"""Which address a request was sent to and from, as seen from outside any proxies in front of the server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from voicebot.errors import RemoteProtocolError

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


@dataclass(frozen=True, slots=True)
class PublicAddress:
    """Under which address carriers and browsers reach this server; what Twilio signs begins with it.

    `url` (``"https://bot.example.com"``) settles it. Without one it is what the request says, and what
    `X-Forwarded-Proto` and `X-Forwarded-Host` say when the request came from one of `trusted_proxies`.
    """

    url: str | None = None
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()

    def base(self, *, peer: str, scheme: str, host: str, headers: Mapping[str, str]) -> str:
        """Return scheme and host without a trailing slash; raises `RemoteProtocolError` for an impossible host."""
        if self.url is not None:
            return self.url.rstrip("/")
        if self.trusts(peer):
            # The last value is the one the nearest proxy wrote; earlier ones may come from the client itself.
            scheme = headers.get("X-Forwarded-Proto", scheme).rpartition(",")[2].strip().lower()
            host = headers.get("X-Forwarded-Host", host).rpartition(",")[2].strip()
        if scheme not in {"http", "https"} or _HOST.fullmatch(host) is None:
            raise RemoteProtocolError("bad_host", "The request's scheme or host is not one a URL can have.")
        return f"{scheme}://{host}"

    def trusts(self, peer: str) -> bool:
        """Tell whether the IP address `peer` is one of the trusted proxies."""
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self.trusted_proxies)

    def client(self, *, peer: str, headers: Mapping[str, str]) -> str:
        """Return the IP address of the client: the peer's, or what a trusted proxy says it forwards for."""
        if self.trusts(peer):
            forwarded = headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
            try:
                return str(ip_address(forwarded))
            except ValueError:
                return peer
        return peer


def socket_url(base: str, path: str) -> str:
    """Return the WebSocket URL beside an http one: `ws` for http, `wss` for https."""
    scheme, _, host = base.partition("://")
    return f"{'wss' if scheme == 'https' else 'ws'}://{host}{path}"
