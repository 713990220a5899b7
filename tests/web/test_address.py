from __future__ import annotations

from ipaddress import ip_network

import pytest

from voicebot.errors import RemoteProtocolError
from voicebot.web.address import PublicAddress, socket_url

PROXIED = PublicAddress(trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")))
FORWARDED = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "bot.example.com",
    "X-Forwarded-For": "203.0.113.7, 198.51.100.4",
}


def base(public: PublicAddress, peer: str, headers: dict[str, str], host: str = "localhost:8080") -> str:
    return public.base(peer=peer, scheme="http", host=host, headers=headers)


def test_without_a_proxy_the_address_is_the_requests_own() -> None:
    assert base(PublicAddress(), "203.0.113.7", FORWARDED) == "http://localhost:8080"
    assert base(PROXIED, "203.0.113.7", FORWARDED) == "http://localhost:8080"


@pytest.mark.parametrize("peer", ["10.1.2.3", "fd00::1"])
def test_a_trusted_proxy_says_what_it_was_called_as(peer: str) -> None:
    assert base(PROXIED, peer, FORWARDED) == "https://bot.example.com"
    assert base(PROXIED, peer, {}) == "http://localhost:8080"


def test_of_several_forwarded_values_the_nearest_proxys_counts() -> None:
    chain = {"X-Forwarded-Proto": "gopher, HTTPS", "X-Forwarded-Host": "evil.example, bot.example.com:8443"}

    assert base(PROXIED, "10.1.2.3", chain) == "https://bot.example.com:8443"


@pytest.mark.parametrize("host", ["", "a b", "bot.example.com/path", 'x"><script>', "user@bot", "[::1", "a:port"])
def test_a_host_no_url_can_have_is_refused(host: str) -> None:
    with pytest.raises(RemoteProtocolError):
        base(PublicAddress(), "10.1.2.3", {}, host)


def test_ipv6_hosts_are_hosts() -> None:
    assert base(PublicAddress(), "::1", {}, "[::1]:8080") == "http://[::1]:8080"


def test_the_client_is_who_the_proxy_forwards_for() -> None:
    assert PROXIED.client(peer="10.1.2.3", headers=FORWARDED) == "198.51.100.4"
    assert PROXIED.client(peer="203.0.113.9", headers=FORWARDED) == "203.0.113.9"
    assert PROXIED.client(peer="10.1.2.3", headers={"X-Forwarded-For": "junk"}) == "10.1.2.3"
    assert PROXIED.client(peer="", headers=FORWARDED) == ""


def test_sockets_are_as_secure_as_the_page() -> None:
    assert socket_url("http://localhost:8080", "/m") == "ws://localhost:8080/m"
    assert socket_url("https://bot.example.com", "/m") == "wss://bot.example.com/m"
