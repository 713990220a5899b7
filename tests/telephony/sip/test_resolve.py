"""From URIs to sockets, with a DNS of the test's own."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from voicebot.telephony.sip.hop import Hop, Transport
from voicebot.telephony.sip.message import parse_uri
from voicebot.telephony.sip.resolve import DnsLookup, Naptr, Resolver, Srv, Unresolvable


class Zone:
    """example.com as RFC 3263 section 4.1 has it: TLS before TCP, two servers for TCP."""

    async def naptr(self, name: str) -> Sequence[Naptr]:
        if name != "example.com":
            return []
        return [
            Naptr(90, 50, "SIP+D2T", "_sip._tcp.example.com."),
            Naptr(50, 50, "SIPS+D2T", "_sips._tcp.example.com."),
            Naptr(10, 50, "E2U+sip", "elsewhere."),
        ]

    async def srv(self, name: str) -> Sequence[Srv]:
        return {
            "_sip._tcp.example.com": [Srv(1, 1, "b.example.com", 5080), Srv(0, 1, "a.example.com", 5070)],
            "_sips._tcp.example.com": [Srv(0, 1, "a.example.com", 5071)],
            "_sip._udp.old.example": [Srv(0, 1, "a.example.com", 5090)],
        }.get(name, [])

    async def addresses(self, name: str) -> Sequence[str]:
        return {"a.example.com": ["192.0.2.1"], "b.example.com": ["192.0.2.2"], "plain.example": ["192.0.2.9"]}.get(
            name, []
        )


@pytest.mark.parametrize(
    ("uri", "hops"),
    [
        ("sip:192.0.2.7", [Hop(Transport.UDP, "192.0.2.7", 5060)]),
        ("sip:[2001:db8::1]:5070;transport=tcp", [Hop(Transport.TCP, "2001:db8::1", 5070)]),
        ("sips:192.0.2.7", [Hop(Transport.TLS, "192.0.2.7", 5061)]),
        ("sip:192.0.2.7;transport=tls", [Hop(Transport.TLS, "192.0.2.7", 5061)]),
        ("sip:plain.example:5080", [Hop(Transport.UDP, "192.0.2.9", 5080)]),
        ("sip:plain.example", [Hop(Transport.UDP, "192.0.2.9", 5060)]),
        # The certificate must be that of the domain that was asked for, not of the server that DNS names.
        ("sip:example.com", [Hop(Transport.TLS, "192.0.2.1", 5071, "example.com")]),
        ("sips:plain.example:5081", [Hop(Transport.TLS, "192.0.2.9", 5081, "plain.example")]),
        (
            "sip:example.com;transport=tcp",
            [Hop(Transport.TCP, "192.0.2.1", 5070), Hop(Transport.TCP, "192.0.2.2", 5080)],
        ),
        ("sip:old.example", [Hop(Transport.UDP, "192.0.2.1", 5090)]),
        ("sip:bot@elsewhere.example;maddr=192.0.2.3", [Hop(Transport.UDP, "192.0.2.3", 5060)]),
    ],
)
async def test_a_uri_leads_to_its_servers_in_order(uri: str, hops: list[Hop]) -> None:
    assert await Resolver(Zone()).resolve(parse_uri(uri)) == hops


@pytest.mark.parametrize("uri", ["sip:nowhere.example", "sip:nowhere.example:5060"])
async def test_a_name_without_address_is_told_so(uri: str) -> None:
    with pytest.raises(Unresolvable, match=r"nowhere\.example"):
        await Resolver(Zone()).resolve(parse_uri(uri))


async def test_a_name_that_no_host_can_have_has_no_address() -> None:
    """Peers write any name into their Contact; the codec of the standard library refuses this one otherwise."""
    assert await DnsLookup().addresses(f"{'a' * 64}.example") == []
