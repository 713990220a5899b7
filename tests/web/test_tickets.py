from __future__ import annotations

import jwt
import pytest

from tests.fakes.socket import FakeClock
from voicebot.web.tickets import Audience, Ticket, TicketRefused, Tickets

SECRET = b"s" * 32


def made(clock: FakeClock | None = None) -> Tickets:
    ids = iter(range(1000))
    return Tickets(SECRET, clock=clock or FakeClock(), new_id=lambda: str(next(ids)))


def refusal(tickets: Tickets, token: str, audience: Audience = Audience.TWILIO_STREAM) -> str:
    with pytest.raises(TicketRefused) as caught:
        tickets.redeem(token, audience)
    return caught.value.kind


def test_a_ticket_tells_what_it_was_issued_for() -> None:
    tickets = made()
    token = tickets.issue(Audience.TWILIO_STREAM, "CA1", lifetime_s=60, claims={"from": "+15550100"})

    assert tickets.redeem(token, Audience.TWILIO_STREAM) == Ticket("CA1", {"from": "+15550100"})


def test_a_ticket_is_good_once() -> None:
    tickets = made()
    token = tickets.issue(Audience.TWILIO_STREAM, "CA1", lifetime_s=60)
    tickets.redeem(token, Audience.TWILIO_STREAM)

    assert refusal(tickets, token) == "used"
    assert tickets.redeem(tickets.issue(Audience.TWILIO_STREAM, "CA1", lifetime_s=60), Audience.TWILIO_STREAM)


def test_a_ticket_ends_with_its_time_and_is_then_forgotten() -> None:
    clock = FakeClock()
    tickets = made(clock)
    token = tickets.issue(Audience.TWILIO_STREAM, "CA1", lifetime_s=60)
    tickets.redeem(token, Audience.TWILIO_STREAM)
    clock.now_s += 60

    assert refusal(tickets, token) == "expired"
    tickets.redeem(tickets.issue(Audience.TWILIO_STREAM, "CA2", lifetime_s=60), Audience.TWILIO_STREAM)
    assert len(tickets._spent) == 1


def test_checking_does_not_spend() -> None:
    tickets = made()
    token = tickets.issue(Audience.CHAT, "reader", lifetime_s=60)

    assert tickets.check(token, Audience.CHAT) == tickets.check(token, Audience.CHAT)


def test_a_ticket_for_one_door_opens_no_other() -> None:
    tickets = made()

    assert refusal(tickets, tickets.issue(Audience.BROWSER_STREAM, "call", lifetime_s=60)) == "forged"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "é",
        jwt.encode({"aud": "twilio-stream", "sub": "CA1", "jti": "1", "exp": 9e9}, b"x" * 32, algorithm="HS256"),
        jwt.encode({"aud": "twilio-stream", "sub": "CA1", "jti": "1", "exp": 9e9}, "", algorithm="none"),
        jwt.encode({"aud": "twilio-stream", "sub": "CA1", "exp": 9e9}, SECRET, algorithm="HS256"),
        jwt.encode({"aud": "twilio-stream", "sub": "CA1", "jti": "1"}, SECRET, algorithm="HS256"),
    ],
    ids=["empty", "letter", "dots", "not ascii", "another secret", "no signature", "no id", "no end"],
)
def test_what_was_not_issued_here_is_forged(token: str) -> None:
    assert refusal(made(), token) == "forged"


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        Tickets(b"short", clock=FakeClock(), new_id=lambda: "1")
