"""Short-lived signed tickets, good for one use: only a stream that this server asked for may be opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import jwt

from voicebot.errors import VoicebotError

_ALGORITHM = "HS256"
MIN_SECRET_BYTES = 32
#: Claims this module sets itself.
_OWN_CLAIMS = frozenset({"aud", "exp", "jti", "sub"})


class Audience(StrEnum):
    """What a ticket opens; a ticket for one door does not open another."""

    TWILIO_STREAM = "twilio-stream"
    #: The stream of a call that we placed, by the call's id.
    TWILIO_DIALLED = "twilio-dialled"
    #: The stream of a call that comes back from elsewhere, by its call SID.
    TWILIO_RETURN = "twilio-return"
    BROWSER_STREAM = "browser-stream"
    CHAT = "chat"
    DESK_AUDIO = "desk-audio"


class TicketRefused(VoicebotError):
    """A ticket is not good. `kind` is a constant that metrics count."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"The ticket was refused: {kind}.")
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Ticket:
    """`subject` is what the ticket was issued for (a call SID); `claims` are further facts the issuer vouches for."""

    subject: str
    claims: Mapping[str, str] = field(default_factory=dict)


class Tickets:
    """Issues and redeems tickets. `clock` gives seconds since the epoch, `new_id` a fresh random name.

    Processes that share a `secret` accept each other's tickets; that a ticket is used once is kept by each process,
    so the balancer in front must keep a caller with the process that answered the webhook.
    """

    def __init__(self, secret: bytes, *, clock: Callable[[], float], new_id: Callable[[], str]) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"A ticket secret has at least {MIN_SECRET_BYTES} bytes.")
        self._secret = secret
        self._clock = clock
        self._new_id = new_id
        self._spent: dict[str, float] = {}

    def issue(
        self, audience: Audience, subject: str, *, lifetime_s: float, claims: Mapping[str, str] | None = None
    ) -> str:
        """Return a ticket as URL-safe text of about 250 characters."""
        body: dict[str, str | float] = {
            **(claims or {}),
            "aud": str(audience),
            "sub": subject,
            "jti": self._new_id(),
            "exp": self._clock() + lifetime_s,
        }
        return jwt.encode(body, self._secret, algorithm=_ALGORITHM)

    def check(self, token: str, audience: Audience) -> Ticket:
        """Return the ticket without spending it; raises `TicketRefused`."""
        return self._read(token, audience)[0]

    def redeem(self, token: str, audience: Audience) -> Ticket:
        """Return the ticket and spend it; raises `TicketRefused` (``"forged"``, ``"expired"``, ``"used"``)."""
        ticket, ticket_id, expires_s = self._read(token, audience)
        now_s = self._clock()
        self._spent = {spent: until_s for spent, until_s in self._spent.items() if until_s > now_s}
        if ticket_id in self._spent:
            raise TicketRefused("used")
        self._spent[ticket_id] = expires_s
        return ticket

    def _read(self, token: str, audience: Audience) -> tuple[Ticket, str, float]:
        try:
            body = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=str(audience),
                # The time is checked below, by the clock that was given.
                options={"require": ["aud", "sub", "jti", "exp"], "verify_exp": False},
            )
        except jwt.InvalidTokenError as error:
            raise TicketRefused("forged") from error
        expires_s = float(body["exp"])
        if expires_s <= self._clock():
            raise TicketRefused("expired")
        claims = {name: value for name, value in body.items() if name not in _OWN_CLAIMS and isinstance(value, str)}
        return Ticket(body["sub"], claims), body["jti"], expires_s
