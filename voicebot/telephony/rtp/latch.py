"""Where the peer's media comes from, and so where ours goes: symmetric RTP (RFC 4961), but not for anybody. Pure.

A peer behind NAT sends from another port, or address, than its description says. The first packet decides, as long
as it comes from the negotiated address or the one that signals; nobody else can take over a call's audio.
"""

from __future__ import annotations

Address = tuple[str, int]

#: A new source is believed once the old one was silent for this long.
SILENT_S = 2.0


class Latch:
    """`negotiated` is the description's address, `signalling` a host that media may come from besides, if not empty.

    `before` is the latch of the description that this one replaces.
    """

    def __init__(self, negotiated: Address, signalling: str, *, symmetric: bool, before: Latch | None = None) -> None:
        self.negotiated = negotiated
        self._signalling = signalling
        self._symmetric = symmetric
        #: Where the peer was heard from, and when last; both are `heard`'s to set, but for the time of the same source.
        self.source: Address | None = None
        self.heard_s = 0.0
        #: Where to send before media has come; None where the description says.
        self._guess = self._still_there(before) if before else None
        guessed = {self._guess[0]} if self._guess else set()
        self._hosts = frozenset({negotiated[0], signalling} - {""} | guessed)

    def _still_there(self, before: Latch) -> Address | None:
        """Return where the peer was heard before, if it was never where it said and seems not to have moved.

        A peer that does not know its own address does not know the new one either; one that did has moved.
        """
        if before.destination == before.negotiated:
            return None
        moved = before.negotiated[0] != self.negotiated[0] and before.negotiated[1] != self.negotiated[1]
        return None if moved else before.destination

    @property
    def destination(self) -> Address:
        """Where to send."""
        return (self.source or self._guess or self.negotiated) if self._symmetric else self.negotiated

    def unreachable(self) -> bool:
        """Nothing can be sent to the negotiated address: until media comes, try the host that signals.

        Return whether that is another one than was tried.
        """
        if self.source is not None or self._guess is not None or self._signalling in {"", self.negotiated[0]}:
            return False
        self._guess = (self._signalling, self.negotiated[1])
        return True

    def admits(self, source: Address, now_s: float) -> bool:
        """Return whether a packet from `source` may be looked at."""
        if source == self.source:
            return True
        if source[0] not in self._hosts:
            return False
        return self.source is None or now_s - self.heard_s > SILENT_S

    def knows(self, host: str) -> bool:
        """Return whether reports from `host` are the peer's."""
        return host in self._hosts

    def heard(self, source: Address, now_s: float) -> bool:
        """Note a packet that proved good; return whether the peer speaks from a new source now."""
        self.heard_s = now_s
        if source == self.source:
            return False
        self.source = source
        return True
