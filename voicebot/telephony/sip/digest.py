"""Digest authentication, both sides, with SHA-256 and MD5 (RFC 3261 section 22, RFC 7616, RFC 8760). Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from sipmessage import Request, Response

#: Better first.
_HASHES: dict[str, Callable[[bytes], str]] = {
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
}
_PARAMETER = re.compile(r"\s*([A-Za-z0-9_-]{1,32})\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s,\"]+))\s*(?:,|$)")
NONCE_LIFETIME_S = 300.0
#: Nonces whose count is remembered, against requests that are played again.
MAX_NONCES = 5_000


def parse_digest(value: str) -> dict[str, str] | None:
    """Return the parameters of a Digest challenge or credentials, names in lower case; None when it is no digest."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest":
        return None
    parameters: dict[str, str] = {}
    position = 0
    while position < len(rest):
        found = _PARAMETER.match(rest, position)
        if found is None:
            return None
        text = found[3] if found[2] is None else re.sub(r"\\(.)", r"\1", found[2])
        parameters[found[1].lower()] = text
        position = found.end()
    return parameters


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _response(
    algorithm: str, *, user: str, realm: str, password: str, method: str, uri: str, given: Mapping[str, str]
) -> str:
    digest = _HASHES[algorithm]
    first = digest(f"{user}:{realm}:{password}".encode())
    second = digest(f"{method}:{uri}".encode())
    if given.get("qop"):
        middle = f"{given['nonce']}:{given.get('nc', '')}:{given.get('cnonce', '')}:{given['qop']}"
    else:
        middle = given["nonce"]
    return digest(f"{first}:{middle}:{second}".encode())


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to a PBX or provider. `new_id` gives fresh client nonces."""

    user: str
    password: str = field(repr=False)
    new_id: Callable[[], str]

    def answer(self, response: Response, request: Request) -> list[tuple[str, str]]:
        """Return the header that answers a 401 or 407, or nothing when it cannot be answered, or was and in vain."""
        if response.code not in {401, 407}:
            return []
        asked, given = (
            ("WWW-Authenticate", "Authorization")
            if response.code == 401
            else ("Proxy-Authenticate", "Proxy-Authorization")
        )
        challenges = [found for value in response.headers.getlist(asked) if (found := parse_digest(value))]
        by_algorithm = {challenge.get("algorithm", "MD5").upper(): challenge for challenge in reversed(challenges)}
        chosen = next((name for name in _HASHES if name in by_algorithm), None)
        if chosen is None:
            return []
        challenge = by_algorithm[chosen]
        if request.headers.get(given) is not None and challenge.get("stale", "").lower() != "true":
            return []
        return [(given, self._credentials(chosen, challenge, request))]

    def _credentials(self, algorithm: str, challenge: Mapping[str, str], request: Request) -> str:
        uri, realm, nonce = str(request.uri), challenge.get("realm", ""), challenge.get("nonce", "")
        parts = [
            f"username={_quoted(self.user)}",
            f"realm={_quoted(realm)}",
            f"nonce={_quoted(nonce)}",
            f"uri={_quoted(uri)}",
            f"algorithm={algorithm}",
        ]
        used = {"nonce": nonce}
        if "auth" in [choice.strip() for choice in challenge.get("qop", "").split(",")]:
            used |= {"qop": "auth", "nc": "00000001", "cnonce": self.new_id()}
            parts += ["qop=auth", "nc=00000001", f"cnonce={_quoted(used['cnonce'])}"]
        if "opaque" in challenge:
            parts.append(f"opaque={_quoted(challenge['opaque'])}")
        result = _response(
            algorithm, user=self.user, realm=realm, password=self.password, method=request.method, uri=uri, given=used
        )
        return f"Digest {', '.join(parts)}, response={_quoted(result)}"


class Verdict(StrEnum):
    """What a request's credentials are worth."""

    MISSING = "missing"
    WRONG = "wrong"
    STALE = "stale"


class WrongTries(Protocol):
    """Counts wrong passwords by the host they came from."""

    def is_spent(self, key: str) -> bool:
        """Tell whether there were too many of late."""
        ...

    def allow(self, key: str) -> bool:
        """Count one more."""
        ...


class Authenticator:
    """Asks peers who they are. Challenges need no memory; which counts were used is remembered for `MAX_NONCES`.

    `users` are passwords by name, `key` is random and secret, `clock` any clock in seconds. A host of which
    `wrong_tries` has had too many is not believed whatever it shows. Nonces are good for the host they were given to,
    so that nobody can use up another one's tries by datagrams in its name.
    """

    def __init__(
        self,
        users: Mapping[str, str],
        *,
        realm: str,
        key: bytes,
        clock: Callable[[], float],
        wrong_tries: WrongTries | None = None,
    ) -> None:
        self._users = dict(users)
        self._realm = realm
        self._key = key
        self._clock = clock
        self._wrong_tries = wrong_tries
        self._counts: OrderedDict[str, int] = OrderedDict()

    def challenges(self, host: str, *, stale: bool) -> list[tuple[str, str]]:
        """Return the headers of a 401, the better algorithm first (RFC 8760 section 2.3)."""
        ending = ", stale=true" if stale else ""
        nonce = self._nonce(host)
        return [
            (
                "WWW-Authenticate",
                f'Digest realm="{self._realm}", nonce="{nonce}", qop="auth", algorithm={name}{ending}',
            )
            for name in _HASHES
        ]

    def check(self, request: Request, host: str) -> str | Verdict:
        """Return the name of the user who sent a request from `host`, or what is wrong."""
        given = next(
            (
                found
                for value in request.headers.getlist("Authorization")
                if (found := parse_digest(value)) and found.get("realm") == self._realm
            ),
            None,
        )
        if given is None:
            return Verdict.MISSING
        user = given.get("username", "")
        algorithm = given.get("algorithm", "MD5").upper()
        if "nonce" not in given or algorithm not in _HASHES or given.get("qop") != "auth":
            return Verdict.WRONG
        if not re.fullmatch(r"[0-9a-fA-F]{8}", given.get("nc", "")):
            return Verdict.WRONG
        if self._wrong_tries is not None and self._wrong_tries.is_spent(host):
            return Verdict.WRONG
        expected = _response(
            algorithm,
            user=user,
            realm=self._realm,
            # A password nobody has: an unknown user takes as long as a wrong password.
            password=self._users.get(user, self._key.hex()),
            method=request.method,
            uri=given.get("uri", ""),
            given=given,
        )
        if (
            not hmac.compare_digest(expected.encode(), given.get("response", "").lower().encode())
            or user not in self._users
        ):
            if self._wrong_tries is not None and self._is_given_to(host, given["nonce"]):
                self._wrong_tries.allow(host)
            return Verdict.WRONG
        return user if self._is_fresh(host, given["nonce"], int(given["nc"], 16)) else Verdict.STALE

    def _nonce(self, host: str) -> str:
        made = f"{self._clock():.3f}"
        return f"{made}-{self._sign(made, host)}"

    def _sign(self, made: str, host: str) -> str:
        return hmac.new(self._key, f"{made} {host}".encode(), hashlib.sha256).hexdigest()[:32]

    def _is_given_to(self, host: str, nonce: str) -> bool:
        made, _, signature = nonce.partition("-")
        return hmac.compare_digest(signature.encode(), self._sign(made, host).encode())

    def _is_fresh(self, host: str, nonce: str, count: int) -> bool:
        if not self._is_given_to(host, nonce):
            return False
        made = nonce.partition("-")[0]
        if self._clock() - float(made) > NONCE_LIFETIME_S or count <= self._counts.get(nonce, 0):
            return False
        self._counts[nonce] = count
        self._counts.move_to_end(nonce)
        while len(self._counts) > MAX_NONCES:
            self._counts.popitem(last=False)
        return True
