from __future__ import annotations

import pytest

from tests.fakes.socket import FakeClock
from voicebot.web import limits
from voicebot.web.limits import ConnectionLimit, RateLimit, TooManyConnections


def test_connections_of_one_address_leave_room_for_others() -> None:
    limit = ConnectionLimit(max_connections=3, max_per_address=2)

    with limit.hold("a"), limit.hold("a"):
        with pytest.raises(TooManyConnections), limit.hold("a"):
            pass
        with limit.hold("b"):
            assert limit.count == 3
            with pytest.raises(TooManyConnections), limit.hold("c"):
                pass
    assert limit.count == 0


def test_a_connection_that_fails_gives_its_place_back() -> None:
    limit = ConnectionLimit(max_connections=1, max_per_address=1)

    with pytest.raises(ZeroDivisionError), limit.hold("a"):
        raise ZeroDivisionError
    with limit.hold("a"):
        assert limit.count == 1


def test_a_rate_is_counted_over_a_sliding_window_and_by_key() -> None:
    clock = FakeClock()
    limit = RateLimit(max_events=2, window_s=60, clock=clock)

    assert [limit.allow("a"), limit.allow("a"), limit.allow("a"), limit.allow("b")] == [True, True, False, True]
    clock.now_s += 59
    assert not limit.allow("a")
    clock.now_s += 1
    assert limit.allow("a")


def test_a_flood_of_invented_keys_is_forgotten_from_the_oldest_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_REMEMBERED", 3)
    limit = RateLimit(max_events=1, window_s=60, clock=FakeClock())

    for key in ("a", "b", "c", "b", "d", "e"):
        limit.allow(key)

    assert len(limit._events) == 3
    assert not limit.allow("b")
    assert limit.allow("a")
