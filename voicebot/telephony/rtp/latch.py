"""Where the peer's media comes from, and so where ours goes: symmetric RTP (RFC 4961), but not for anybody. Pure.

A peer behind NAT sends from another port, or address, than its description says. The first packet decides, as long
as it comes from the negotiated address or the one that signals; nobody else can take over a call's audio.
"""

from __future__ import annotations

Address = tuple[str, int]

#: A new source is believed once the old one was silent for this long.
SILENT_S = 2.0


class Latch:
    """`negotiated` is the description's address, `trusted` are hosts media may come from besides."""

    def __init__(self, negotiated: Address, trusted: frozenset[str], *, symmetric: bool) -> None:
        self.negotiated = negotiated
        self._hosts = trusted | {negotiated[0]}
        self._symmetric = symmetric
        self._source: Address | None = None
        self._heard_s = 0.0

    @property
    def destination(self) -> Address:
        """Where to send."""
        return self._source if self._source and self._symmetric else self.negotiated

    def admits(self, source: Address, now_s: float) -> bool:
        """Return whether a packet from `source` may be looked at."""
        if source == self._source:
            return True
        if source[0] not in self._hosts:
            return False
        return self._source is None or now_s - self._heard_s > SILENT_S

    def knows(self, host: str) -> bool:
        """Return whether reports from `host` are the peer's."""
        return host in self._hosts

    def heard(self, source: Address, now_s: float) -> bool:
        """Note a packet that proved good; return whether the peer speaks from a new source now."""
        self._heard_s = now_s
        if source == self._source:
            return False
        self._source = source
        return True
