"""Who may call in: trunks by their addresses, others by name and password. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from sipmessage import Request

from voicebot.telephony.sip.digest import Authenticator, Verdict


@dataclass(frozen=True, slots=True)
class Admitted:
    """`user` is empty for a peer known by its address."""

    user: str = ""


@dataclass(frozen=True, slots=True)
class Challenged:
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Forbidden:
    """A stranger, or a wrong password."""


class Access:
    """Trunks are networks; without an `authenticator` nobody else comes in."""

    def __init__(self, trunks: Sequence[IPv4Network | IPv6Network], authenticator: Authenticator | None) -> None:
        self._trunks = tuple(trunks)
        self._authenticator = authenticator

    def is_trunk(self, host: str) -> bool:
        """Tell whether an IP address belongs to a trunk."""
        address = ip_address(host)
        return any(address in network for network in self._trunks if network.version == address.version)

    def judge(self, request: Request, host: str) -> Admitted | Challenged | Forbidden:
        """Decide about an INVITE that came from `host`."""
        if self.is_trunk(host):
            return Admitted()
        if self._authenticator is None:
            return Forbidden()
        match self._authenticator.check(request, host):
            case Verdict.MISSING:
                return Challenged(tuple(self._authenticator.challenges(host, stale=False)))
            case Verdict.STALE:
                return Challenged(tuple(self._authenticator.challenges(host, stale=True)))
            case Verdict.WRONG:
                return Forbidden()
            case user:
                return Admitted(user)
