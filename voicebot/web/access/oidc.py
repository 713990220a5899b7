"""OpenID Connect, as a client: discovery, the authorization code flow with PKCE, and the check of ID tokens.

OpenID Connect Core 1.0 section 3.1, Discovery 1.0, RFC 7636 (PKCE) and RFC 9207 (`iss` in the answer).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode

import aiohttp
import jwt

from voicebot.backends.answer import read_answer
from voicebot.errors import VoicebotError
from voicebot.records.access.roles import Role
from voicebot.web.access.cookies import is_plain_loopback

SCOPES = "openid profile email"
#: Signatures by a key pair only: with a shared secret, whoever knows it could make tokens too.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_TIMEOUT = aiohttp.ClientTimeout(total=10)
_MAX_BYTES = 256 * 1024
_DISCOVERED_FOR_S = 3600.0
_KEYS_ASKED_AGAIN_AFTER_S = 60.0
_LEEWAY_S = 60


class OidcRefused(VoicebotError):
    """The provider, or what came from it, is not as it must be. The message holds nothing secret."""


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """Who vouches for users. `roles` says which value of the claim `role_claim` makes whom; none of them, no entry."""

    issuer: str
    client_id: str
    client_secret: str | None
    name: str
    role_claim: str
    roles: Mapping[str, Role]


@dataclass(frozen=True, slots=True)
class OidcUser:
    """Whom the provider vouched for; `subject` is theirs for ever, `name` is for people."""

    subject: str
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class _Discovered:
    authorization: str
    token: str
    keys: str
    basic_authentication: bool


@dataclass(slots=True)
class _Cached:
    """What was fetched, and when by the monotonic clock."""

    at_s: float
    value: Any = field(repr=False)


class OidcClient:
    """`clock` is monotonic, in seconds."""

    def __init__(self, provider: OidcProvider, *, clock: Callable[[], float]) -> None:
        self.provider = provider
        self._clock = clock
        self._discovered: _Cached | None = None
        self._keys: _Cached | None = None

    async def authorization_url(self, *, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        """Return where to send the browser; raises `OidcRefused` when the provider cannot be asked."""
        found = await self._discover()
        challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        query = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": SCOPES,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{found.authorization}{'&' if '?' in found.authorization else '?'}{urlencode(query)}"

    async def user(self, *, code: str, redirect_uri: str, verifier: str, nonce: str) -> OidcUser:
        """Exchange the code that came back for whom it is; raises `OidcRefused`."""
        found = await self._discover()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        secret, credentials = self.provider.client_secret, None
        if secret is not None and found.basic_authentication:
            # RFC 6749 section 2.3.1: encoded as in a form before they are joined.
            credentials = aiohttp.encode_basic_auth(quote_plus(self.provider.client_id), quote_plus(secret))
        else:
            form["client_id"] = self.provider.client_id
            if secret is not None:
                form["client_secret"] = secret
        answer = await _fetch(found.token, form=form, credentials=credentials)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise OidcRefused("The provider's answer holds no ID token.")
        claims = await self._claims(token)
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise OidcRefused("The ID token was made for another sign-in.")
        return self._known(claims)

    async def _claims(self, token: str) -> Mapping[str, Any]:
        provider = self.provider
        try:
            key = await self._key(jwt.get_unverified_header(token).get("kid"))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=provider.client_id,
                issuer=provider.issuer,
                leeway=_LEEWAY_S,
                options={"require": ["iss", "sub", "aud", "exp", "iat"]},
            )
        except jwt.PyJWTError as error:
            raise OidcRefused(f"The ID token is not good: {type(error).__name__}.") from error
        authorized = claims.get("azp", provider.client_id)
        if authorized != provider.client_id or (isinstance(claims["aud"], list) and len(claims["aud"]) > 1):
            raise OidcRefused("The ID token was made for another program too.")
        return claims

    def _known(self, claims: Mapping[str, Any]) -> OidcUser:
        provider = self.provider
        given = claims.get(provider.role_claim)
        values = given if isinstance(given, list) else [given]
        roles = {provider.roles[value] for value in values if isinstance(value, str) and value in provider.roles}
        # The roles are listed with the most powerful first.
        role = next((role for role in Role if role in roles), None)
        if role is None:
            raise OidcRefused("You have no role here. Ask whoever looks after this server.")
        name = claims.get("preferred_username") or claims.get("email") or claims["sub"]
        return OidcUser(f"{provider.issuer}#{claims['sub']}", str(name), role)

    async def _discover(self) -> _Discovered:
        now_s = self._clock()
        if self._discovered is not None and now_s - self._discovered.at_s < _DISCOVERED_FOR_S:
            found: _Discovered = self._discovered.value
            return found
        issuer = self.provider.issuer
        document = await _fetch(issuer.rstrip("/") + "/.well-known/openid-configuration")
        if document.get("issuer") != issuer:
            raise OidcRefused("The provider says that it is another one; check the setting `oidc.issuer`.")
        methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        found = _Discovered(
            authorization=_safe_url(document.get("authorization_endpoint")),
            token=_safe_url(document.get("token_endpoint")),
            keys=_safe_url(document.get("jwks_uri")),
            basic_authentication="client_secret_basic" in methods,
        )
        self._discovered = _Cached(now_s, found)
        return found

    async def _key(self, key_id: str | None) -> jwt.PyJWK:
        """Return the provider's key; keys are fetched anew when one is unknown, but not for every made-up name."""
        now_s = self._clock()
        if self._keys is not None:
            known = _chosen(self._keys.value, key_id)
            if known is not None:
                return known
            if now_s - self._keys.at_s < _KEYS_ASKED_AGAIN_AFTER_S:
                raise OidcRefused("The ID token is signed with a key that the provider does not have.")
        keys = jwt.PyJWKSet.from_dict(await _fetch((await self._discover()).keys)).keys
        self._keys = _Cached(now_s, keys)
        fetched = _chosen(keys, key_id)
        if fetched is None:
            raise OidcRefused("The ID token is signed with a key that the provider does not have.")
        return fetched


def _chosen(keys: list[jwt.PyJWK], key_id: str | None) -> jwt.PyJWK | None:
    signing = [key for key in keys if key.public_key_use in {None, "sig"}]
    if key_id is None:
        return signing[0] if len(signing) == 1 else None
    return next((key for key in signing if key.key_id == key_id), None)


def _safe_url(given: object) -> str:
    if isinstance(given, str) and (given.startswith("https://") or is_plain_loopback(given)):
        return given
    raise OidcRefused("The provider names an address that is not https.")


async def _fetch(url: str, *, form: Mapping[str, str] | None = None, credentials: str | None = None) -> dict[str, Any]:
    """Get or post, and return the JSON object that comes back; raises `OidcRefused`."""
    _safe_url(url)
    headers = {"Accept": "application/json"}
    if credentials is not None:
        headers["Authorization"] = credentials
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as http,
            http.request("POST" if form else "GET", url, data=form, headers=headers, allow_redirects=False) as answer,
        ):
            body = await read_answer(answer, _MAX_BYTES)
            if len(body) > _MAX_BYTES:
                raise OidcRefused("The OpenID provider's answer is too long.")
            document = json.loads(body) if answer.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise OidcRefused(f"The OpenID provider does not answer as it should: {type(error).__name__}.") from error
    if not isinstance(document, dict):
        raise OidcRefused(f"The OpenID provider answered with status {answer.status}.")
    return document
