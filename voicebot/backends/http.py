"""Operations of web services by the requests of ``systems.yaml``: typed, retried with care, never written twice."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from urllib.parse import quote

import aiohttp
import structlog

from voicebot.backends.answer import read_answer
from voicebot.backends.backends import BackendResult
from voicebot.backends.conversion import typed, written
from voicebot.backends.journal import Entry, Stage, WriteJournal
from voicebot.backends.resilience import Breaker, Clock, NotSent, RateLimit
from voicebot.backends.systems import HeaderAuth, HttpSpec, OAuthClient, Once, Request
from voicebot.dialog.events import SlotValue
from voicebot.dialog.flow import Operation
from voicebot.errors import BackendUnavailable, LocalProtocolError

log = structlog.get_logger(__name__)

_ANSWER_BYTES_MOST = 1_000_000
#: Statuses after which the same request may well succeed, and was surely not carried out.
_NOT_NOW = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
)
#: Tokens are renewed this long before they run out.
_TOKEN_MARGIN_S = 30.0
_TOKEN_LIFE_S = 300.0


class _NotCarriedOut(NotSent):
    """The system could not be reached or is busy, so the request surely had no effect: it may be sent again."""


class _Refused(NotSent):
    """The system works and does not want this request (4xx): it had no effect, and would have none when repeated.

    That says nothing about the system, so that one caller's odd number does not keep others from it.
    """


class _MaybeCarriedOut(BackendUnavailable):
    """The request left, and nobody knows whether it had its effect."""


@dataclass(slots=True)
class _Token:
    value: str = ""
    good_until_s: float = 0.0


class HttpSystem:
    """One web service. `environ` holds its secrets, `jitter` gives numbers from 0 to 1, `clock` monotonic seconds."""

    def __init__(
        self,
        spec: HttpSpec,
        contracts: Mapping[str, Operation],
        *,
        url: str,
        environ: Mapping[str, str],
        journal: WriteJournal,
        clock: Clock,
        jitter: Callable[[], float],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._spec = spec
        self._contracts = contracts
        self._url = url
        self._environ = environ
        self._journal = journal
        self._clock = clock
        self._jitter = jitter
        self._tls = tls
        self._breaker = Breaker(spec.name, clock)
        self._rate = RateLimit(spec.per_second, clock)
        self._token = _Token()
        self._session: aiohttp.ClientSession | None = None

    @property
    def operations(self) -> frozenset[str]:
        return frozenset(self._spec.requests)

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None
    ) -> BackendResult:
        """Carry it out. A write that may have arrived is sent again only where the other side tells it apart."""
        contract, request = self._contracts[operation], self._spec.requests[operation]
        if not contract.write:
            return await self._send_patiently(contract, request, arguments, None, may_repeat=True)
        key = idempotency_key or ""
        earlier = await self._journal.begin(key, operation)
        if earlier and (known := _known_answer(earlier, operation, request)):
            return known
        try:
            answer = await self._send_patiently(
                contract, request, arguments, key, may_repeat=request.once is Once.HEADER
            )
        except NotSent:
            await self._journal.forget(key)
            raise
        await self._journal.finish(key, answer.outcome, answer.result)
        return answer

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def _send_patiently(
        self,
        contract: Operation,
        request: Request,
        arguments: Mapping[str, SlotValue],
        key: str | None,
        *,
        may_repeat: bool,
    ) -> BackendResult:
        patience = self._spec.patience
        for attempt in range(patience.retries + 1):
            if attempt:
                await asyncio.sleep(patience.pause_before(attempt, self._jitter()))
            try:
                with self._breaker.attempt(_NotCarriedOut, _MaybeCarriedOut):
                    return await self._send(contract, request, arguments, key)
            except (_NotCarriedOut, _MaybeCarriedOut) as error:
                last = attempt == patience.retries
                if last or (isinstance(error, _MaybeCarriedOut) and not may_repeat):
                    raise
                log.info("request repeated", system=self._spec.name, operation=contract.name, attempt=attempt + 1)
        raise BackendUnavailable(f"'{self._spec.name}' was never asked.")

    async def _send(
        self, contract: Operation, request: Request, arguments: Mapping[str, SlotValue], key: str | None
    ) -> BackendResult:
        await self._rate.admit()
        headers = await self._headers()
        if key:
            headers["Idempotency-Key"] = key
        path = request.path.format_map({name: _path_part(value) for name, value in arguments.items()})
        body = {name: _json(arguments[argument]) for name, argument in request.body.items()} or None
        try:
            async with self._open().request(
                request.method,
                self._url + path,
                params={name: written(arguments[argument]) for name, argument in request.query.items()},
                json=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=self._spec.patience.timeout_s),
                allow_redirects=False,
                ssl=self._tls or True,
            ) as response:
                content = await read_answer(response, _ANSWER_BYTES_MOST)
                return self._result(contract, request, response.status, content)
        except aiohttp.ClientConnectorError as error:
            raise _NotCarriedOut(f"'{self._spec.name}' cannot be reached.") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            kind = type(error).__name__
            raise _MaybeCarriedOut(f"'{self._spec.name}' did not answer '{contract.name}' ({kind}).") from error

    def _result(self, contract: Operation, request: Request, status: int, content: bytes) -> BackendResult:
        outcome = request.failures.get(status)
        if outcome is None and status == HTTPStatus.UNAUTHORIZED:
            self._token = _Token()  # it may have been taken back early; the next try fetches a new one
            raise _NotCarriedOut(f"'{self._spec.name}' does not accept our credentials.")
        if outcome is None and status in _NOT_NOW:
            raise _NotCarriedOut(f"'{self._spec.name}' is too busy ({status}).")
        if outcome is None and not 200 <= status < 300:
            # A redirect is often the answer to a write that was carried out, so it counts as unknown.
            error = _Refused if 400 <= status < 500 else _MaybeCarriedOut
            raise error(f"'{self._spec.name}' answered '{contract.name}' with status {status}.")
        if len(content) > _ANSWER_BYTES_MOST:
            raise BackendUnavailable(f"'{self._spec.name}' gave more than {_ANSWER_BYTES_MOST} bytes.")
        return BackendResult(outcome or "ok", self._fields(contract, request, content))

    def _fields(self, contract: Operation, request: Request, content: bytes) -> dict[str, SlotValue | None]:
        if not request.result or not content.strip():
            return {}
        try:
            answer = json.loads(content, parse_float=Decimal)
            return {name: typed(_field(answer, path), contract.results[name]) for name, path in request.result.items()}
        except ValueError as error:  # no JSON, or a value of another kind
            raise BackendUnavailable(f"'{self._spec.name}' did not answer '{contract.name}' as declared.") from error

    async def _headers(self) -> dict[str, str]:
        match self._spec.auth:
            case HeaderAuth(header, prefix, value):
                return {header: prefix + self._secret(value)}
            case OAuthClient() as client:
                return {"Authorization": f"Bearer {await self._access_token(client)}"}
            case _:
                return {}

    async def _access_token(self, client: OAuthClient) -> str:
        if self._clock() < self._token.good_until_s:
            return self._token.value
        form = {"grant_type": "client_credentials"} | ({"scope": client.scope} if client.scope else {})
        login = aiohttp.encode_basic_auth(self._secret(client.client_id), self._secret(client.client_secret))
        try:
            async with self._open().post(
                client.token_url,
                data=form,
                headers={"Authorization": login},
                timeout=aiohttp.ClientTimeout(total=self._spec.patience.timeout_s),
                allow_redirects=False,
                ssl=self._tls or True,
            ) as response:
                content = await read_answer(response, _ANSWER_BYTES_MOST)
                answer = json.loads(content) if response.status == HTTPStatus.OK else {}
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise _NotCarriedOut(f"'{self._spec.name}' gave no token ({type(error).__name__}).") from error
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str):
            raise _NotCarriedOut(f"'{self._spec.name}' gave no token.")
        life_s = answer.get("expires_in")
        lasts_s = float(life_s) if isinstance(life_s, int | float) else _TOKEN_LIFE_S
        self._token = _Token(token, self._clock() + max(lasts_s - _TOKEN_MARGIN_S, 0.0))
        return token

    def _secret(self, variable: str) -> str:
        value = self._environ.get(variable)
        if not value:
            raise NotSent(f"The environment variable {variable} for '{self._spec.name}' is not set.")
        return value

    def _open(self) -> aiohttp.ClientSession:
        """Make the session on the loop that uses it."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session


def _known_answer(earlier: Entry, operation: str, request: Request) -> BackendResult | None:
    """The answer of an earlier write with this key; None when it may be sent again."""
    if earlier.operation != operation:
        raise LocalProtocolError(f"An idempotency key of '{earlier.operation}' came again for '{operation}'.")
    if earlier.stage is Stage.DONE and earlier.result:
        return earlier.result
    if request.once is Once.HEADER:
        return None
    raise BackendUnavailable(f"An earlier '{operation}' was cut off, and nobody knows whether it arrived.")


def _path_part(value: SlotValue) -> str:
    """One part of a path: what a caller said must not lead to another place."""
    part = quote(written(value), safe="")
    if part.strip(".") == "":
        raise NotSent("An argument cannot stand in a path.")
    return part


def _json(value: SlotValue) -> str | int | bool:
    """JSON has no exact decimals, days or times: they go as text."""
    return value if isinstance(value, bool | int) else written(value)


def _field(answer: object, path: str) -> object:
    """Follow ``promised.date`` or ``items.0.name`` into a JSON answer; None where it leads nowhere."""
    found = answer
    for part in path.split("."):
        if isinstance(found, dict):
            found = found.get(part)
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            return None
    return found
