"""Posts context packets to other systems: a signed webhook, and anything with a REST interface by a mapping."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote

import aiohttp
import structlog

from voicebot.records.context import ContextPacket, context_document
from voicebot.records.contexts import Contexts, Delivery

log = structlog.get_logger(__name__)

#: Waits before each attempt. A receiver that is away for longer finds the packet by its id.
ATTEMPT_AFTER_S = (0.0, 0.4, 2.0, 8.0, 30.0)
ATTEMPT_LIMIT_S = 5.0
SIGNATURE_HEADER = "X-Voicebot-Signature"
KEY_HEADER = "Idempotency-Key"
_BREAK = re.compile(r"[\x00-\x1f\x7f]+")
_NAME = re.compile(r"\{([a-z_]+(?:\.[a-z_0-9]+)*)\}")


@dataclass(frozen=True, slots=True)
class Post:
    """One request, ready to be sent any number of times."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class MakePost(Protocol):
    def __call__(self, packet: ContextPacket, key: str) -> Post: ...


def signature(secret: bytes, body: bytes) -> str:
    """Return ``sha256=HEX``, the HMAC of the body, as every webhook of ours bears it."""
    return f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"


def webhook(url: str, secret: bytes) -> MakePost:
    """Return what posts the whole packet to `url`, signed."""

    def make(packet: ContextPacket, key: str) -> Post:
        body = json.dumps(context_document(packet), ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/json",
            KEY_HEADER: key,
            SIGNATURE_HEADER: signature(secret, body),
        }
        return Post("POST", url, headers, body)

    return make


@dataclass(frozen=True, slots=True)
class Mapped:
    """How a packet becomes a request of some other system: texts may hold ``{fields.of.the.packet}``.

    `headers` and `url` may also hold ``{secret.NAME}``, from the environment.
    """

    name: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


def mapped(mapping: Mapped, secrets: Mapping[str, str]) -> MakePost:
    """Return what posts a packet as a mapping says; `secrets` are those that it names."""

    def make(packet: ContextPacket, key: str) -> Post:
        document = context_document(packet) | {"summary_text": " ".join(packet.summary)}
        known = document | {"secret": dict(secrets)}
        headers = {name: _one_line(_filled(text, known)) for name, text in mapping.headers.items()}
        body = json.dumps(_shaped(mapping.body, document), ensure_ascii=False).encode()
        return Post(
            mapping.method,
            _address(mapping.url, known),
            {"Content-Type": "application/json", KEY_HEADER: key, **headers},
            body,
        )

    return make


def names_of(value: object) -> set[str]:
    """Return every ``{name}`` in the texts of a mapping's part."""
    match value:
        case str():
            return set(_NAME.findall(value))
        case Mapping():
            return {name for part in value.values() for name in names_of(part)}
        case list() | tuple():
            return {name for part in value for name in names_of(part)}
        case _:
            return set()


def is_secret(name: str) -> bool:
    """Tell whether a name in a mapping stands for a secret of the environment."""
    return name.startswith("secret.")


def _shaped(value: object, document: Mapping[str, Any]) -> object:
    match value:
        case str():
            return _filled(value, document)
        case Mapping():
            return {name: _shaped(part, document) for name, part in value.items()}
        case list() | tuple():
            return [_shaped(part, document) for part in value]
        case _:
            return value


def _filled(text: str, document: Mapping[str, Any]) -> str:
    return _NAME.sub(lambda found: _text(_looked_up(found.group(1), document)), text)


def _address(text: str, document: Mapping[str, Any]) -> str:
    """Fill a URL; what came of the call stays within its part, while a secret may be a whole host."""

    def part(found: re.Match[str]) -> str:
        value = _text(_looked_up(found.group(1), document))
        return value if is_secret(found.group(1)) else quote(value, safe="")

    return _NAME.sub(part, text)


def _one_line(text: str) -> str:
    """Return what may stand in a header: a line break would begin another."""
    return " ".join(_BREAK.split(text))


def _looked_up(path: str, document: Mapping[str, Any]) -> object:
    value: object = document
    for part in path.split("."):
        match value:
            case Mapping():
                value = value.get(part, "")
            case list() | tuple() if part.isdecimal() and int(part) < len(value):
                value = value[int(part)]
            case _:
                return ""
    return value


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case list() | tuple():
            return "\n".join(_text(part) for part in value)
        case _:
            return json.dumps(value, ensure_ascii=False)


class HttpReceiver:
    """A `Receiver` over HTTP. `clock` is monotonic, `now` wall-clock time; `waits_s` are those before each attempt."""

    def __init__(
        self,
        name: str,
        http: aiohttp.ClientSession,
        make_post: MakePost,
        contexts: Contexts,
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        waits_s: tuple[float, ...] = ATTEMPT_AFTER_S,
    ) -> None:
        self.name = name
        self._http = http
        self._make_post = make_post
        self._contexts = contexts
        self._clock = clock
        self._now = now
        self._waits_s = waits_s

    async def send(self, packet: ContextPacket) -> bool:
        """Post until it is taken, refused for good, or every attempt is spent; each goes to the delivery log."""
        key = f"{self.name}:{packet.id}"
        for attempt, wait_s in enumerate(self._waits_s, start=1):
            await asyncio.sleep(wait_s)
            began_s, at = self._clock(), self._now()
            status, problem = await self._attempt(self._make_post(packet, key))
            delivered = status is not None and 200 <= status < 300
            took_ms = round((self._clock() - began_s) * 1000)
            await self._contexts.log(
                Delivery(key, self.name, packet.call_id, attempt, at, status, delivered, problem, took_ms)
            )
            if delivered:
                return True
            # A request that is wrong stays wrong; 408 and 429 ask for another attempt.
            if status is not None and 400 <= status < 500 and status not in {408, 429}:
                break
        log.error("a receiver did not take a packet", receiver=self.name, call_id=packet.call_id)
        return False

    async def _attempt(self, post: Post) -> tuple[int | None, str | None]:
        try:
            async with (
                asyncio.timeout(ATTEMPT_LIMIT_S),
                self._http.request(
                    post.method, post.url, headers=dict(post.headers), data=post.body, allow_redirects=False
                ) as answer,
            ):
                return answer.status, None if answer.status < 300 else answer.reason
        except (aiohttp.ClientError, TimeoutError) as error:
            return None, type(error).__name__
