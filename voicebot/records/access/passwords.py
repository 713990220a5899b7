"""Passwords: what is good enough, and argon2 with the parameters of RFC 9106 for small memory (64 MiB)."""

from __future__ import annotations

import asyncio
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from voicebot.errors import VoicebotError

MIN_CHARS = 12
#: Argon2 takes any length; this keeps a form from being a way to burn time.
MAX_CHARS = 512
#: Hashes made at once: each takes 64 MiB and all lanes of a core or two for about 50 ms.
_AT_ONCE = 2

_HASHER = PasswordHasher()


class PasswordTooWeak(VoicebotError):
    """A password that would be guessed."""


def check_strength(password: str, user: str) -> None:
    """Raise `PasswordTooWeak` unless the password is long, has some variety and is not the user's name."""
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        raise PasswordTooWeak(f"A password has {MIN_CHARS} to {MAX_CHARS} characters; several words make a good one.")
    if len(set(password)) < MIN_CHARS // 2 or user in password.lower():
        raise PasswordTooWeak("That password is too easy to guess: the same characters again, or the user's name.")


class Passwords:
    """Hashes and checks away from the event loop, so that calls go on meanwhile. Belongs to one event loop."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def hash(self, password: str) -> str:
        async with self._turn:
            return await asyncio.to_thread(_HASHER.hash, password)

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Tell whether the password is the one hashed; without a hash it takes as long, and never is."""
        async with self._turn:
            return await asyncio.to_thread(_matches, password, password_hash)

    @staticmethod
    def is_dated(password_hash: str) -> bool:
        """Tell whether the hash was made with parameters that are no longer thought strong enough."""
        return _HASHER.check_needs_rehash(password_hash)


def _matches(password: str, password_hash: str | None) -> bool:
    try:
        _HASHER.verify(password_hash or _nobodys(), password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


@cache
def _nobodys() -> str:
    """A hash of nobody's, so that an unknown name is refused no sooner than a wrong password."""
    return _HASHER.hash("nobody has this password")
