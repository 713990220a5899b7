"""Where media goes before and after the peer is heard, and when what was agreed changes."""

from __future__ import annotations

import pytest

from voicebot.telephony.rtp.latch import SILENT_S, Address, Latch

NAMED = ("192.0.2.7", 4000)
NAT = ("203.0.113.5", 61000)
PROXY = "203.0.113.5"


def latch(named: Address, before: Latch | None = None, *, symmetric: bool = True) -> Latch:
    return Latch(named, PROXY, symmetric=symmetric, before=before)


def heard_from(source: Address) -> Latch:
    heard = latch(NAMED)
    assert heard.admits(source, 0.0)
    heard.heard(source, 0.0)
    return heard


def test_media_goes_where_the_description_says_until_the_peer_is_heard_from_elsewhere() -> None:
    one = latch(NAMED)
    assert one.destination == NAMED
    one.heard(NAT, 0.0)
    assert one.destination == NAT
    assert not one.admits(NAMED, SILENT_S)
    assert one.admits(NAMED, SILENT_S + 0.1)


@pytest.mark.parametrize("named", [("192.0.2.7", 4002), ("198.51.100.1", 4000)])
def test_a_peer_behind_nat_is_sent_to_where_it_was_heard_until_it_is_heard_from_elsewhere(named: Address) -> None:
    again = latch(named, heard_from(NAT))
    assert again.destination == NAT
    assert again.admits((NAT[0], 61002), 0.1)
    again.heard((NAT[0], 61002), 0.1)
    assert again.destination == (NAT[0], 61002)


def test_a_peer_that_spoke_from_where_it_said_has_moved_when_it_says_so() -> None:
    assert latch(("192.0.2.7", 4002), heard_from(NAMED)).destination == ("192.0.2.7", 4002)


def test_a_peer_behind_nat_that_names_another_host_and_port_has_moved() -> None:
    moved = latch(("198.51.100.1", 9000), heard_from(NAT))
    assert moved.destination == ("198.51.100.1", 9000)


def test_where_nothing_can_be_sent_the_host_that_signals_is_tried_once() -> None:
    lost = latch(NAMED)
    assert lost.unreachable()
    assert lost.destination == (PROXY, NAMED[1])
    assert not lost.unreachable()
    assert latch(("192.0.2.7", 4002), lost).destination == (PROXY, NAMED[1])
    nobody_else = Latch(NAMED, "", symmetric=True)
    assert not nobody_else.unreachable()
    assert nobody_else.destination == NAMED


def test_asymmetric_media_goes_only_where_the_description_says() -> None:
    strict = latch(NAMED, symmetric=False)
    strict.heard(NAT, 0.0)
    strict.unreachable()
    assert strict.destination == NAMED
