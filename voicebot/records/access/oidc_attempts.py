"""Sign-ins that were sent to the OpenID provider: each comes back once, to the browser it began in, and in time."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select

from voicebot.records.access.sessions import digest
from voicebot.records.database import Database
from voicebot.records.tables import OIDC_ATTEMPTS

LIFETIME = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class OidcAttempt:
    """`state` and `nonce` come back from the provider, `verifier` is PKCE's, `browser` stays in a cookie."""

    state: str
    browser: str
    nonce: str
    verifier: str
    then: str


class OidcAttempts:
    def __init__(self, database: Database, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    async def begin(self, then: str) -> OidcAttempt:
        """Begin a sign-in that leads on to the path `then`; those that never came back are forgotten."""
        attempt = OidcAttempt(
            state=secrets.token_urlsafe(32),
            browser=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(32),
            then=then,
        )
        values = {
            "state_hash": digest(attempt.state),
            "browser_hash": digest(attempt.browser),
            "nonce": attempt.nonce,
            "verifier": attempt.verifier,
            "then": then,
            "expires_at": self._now() + LIFETIME,
        }
        async with self._database.begin() as connection:
            await connection.execute(delete(OIDC_ATTEMPTS).where(OIDC_ATTEMPTS.c.expires_at <= self._now()))
            await connection.execute(insert(OIDC_ATTEMPTS).values(values))
        return attempt

    async def take(self, state: str, browser: str) -> OidcAttempt | None:
        """Return the attempt that came back, which is spent by that; None for a stranger's, an old or a spent one."""
        mine = OIDC_ATTEMPTS.c.state_hash == digest(state)
        async with self._database.begin() as connection:
            row = (await connection.execute(select(OIDC_ATTEMPTS).where(mine).with_for_update())).first()
            if row is None or not hmac.compare_digest(row.browser_hash, digest(browser)):
                return None
            await connection.execute(delete(OIDC_ATTEMPTS).where(mine))
        if row.expires_at <= self._now():
            return None
        return OidcAttempt(state, browser, row.nonce, row.verifier, row.then)
