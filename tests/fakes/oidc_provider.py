"""A small OpenID provider on loopback that signs everybody in at once, and does wrong when told to."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT_ID = "voicebot"
CLIENT_SECRET = "shared with the provider of this test"  # opens nothing else


@dataclass
class FakeProvider:
    """`claims` are put into ID tokens over the right ones; the rest says what else to do wrong."""

    issuer: str
    claims: dict[str, Any] = field(default_factory=dict)
    claimed_issuer: str | None = None
    sign_as: str = "RS256"
    sign_with: Any = None
    key_id: str = "key-1"
    refuse: bool = False
    padding_bytes: int = 0
    asked: list[dict[str, str]] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    async def discovery(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(
            {
                "issuer": self.claimed_issuer or self.issuer,
                "authorization_endpoint": self.issuer + "/authorize",
                "token_endpoint": self.issuer + "/token",
                "jwks_uri": self.issuer + "/keys",
            }
        )

    async def authorize(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        self.asked.append(query)
        answer = {"state": query["state"], "iss": self.issuer}
        if self.refuse:
            answer["error"] = "access_denied"
        else:
            answer["code"] = uuid.uuid4().hex
            self.codes[answer["code"]] = query
        return web.Response(status=303, headers={"Location": f"{query['redirect_uri']}?{urlencode(answer)}"})

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self.codes.pop(str(form["code"]), None)
        expected = base64.b64encode(f"{CLIENT_ID}:{quote_plus(CLIENT_SECRET)}".encode()).decode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(str(form["code_verifier"]).encode()).digest())
        if (
            asked is None
            or request.headers.get("Authorization") != f"Basic {expected}"
            or asked["code_challenge"] != challenge.decode().rstrip("=")
            or asked["redirect_uri"] != form["redirect_uri"]
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": asked["client_id"],
            "sub": "4711",
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "preferred_username": "Dana",
            "groups": ["staff", "reviewers"],
        }
        signed = jwt.encode(
            claims | self.claims, self.sign_with or self.key, algorithm=self.sign_as, headers={"kid": self.key_id}
        )
        return web.json_response({"access_token": "x", "token_type": "Bearer", "id_token": signed})

    async def keys(self, request: web.Request) -> web.StreamResponse:
        """Send the keys as large ones come: in more than one packet."""
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        body = json.dumps({"keys": [{**public, "kid": "key-1", "use": "sig", "alg": "RS256"}]}).encode()
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        await answer.write(body[:100])
        await asyncio.sleep(0.02)
        await answer.write(body[100:] + b" " * self.padding_bytes)
        await answer.write_eof()
        return answer


@asynccontextmanager
async def oidc_provider() -> AsyncIterator[FakeProvider]:
    provider = FakeProvider("")
    app = web.Application()
    app.add_routes(
        [
            web.get("/.well-known/openid-configuration", provider.discovery),
            web.get("/authorize", provider.authorize),
            web.post("/token", provider.token),
            web.get("/keys", provider.keys),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    provider.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield provider
    finally:
        await runner.cleanup()
