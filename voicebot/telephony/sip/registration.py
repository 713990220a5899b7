"""Makes this server known to a PBX or provider, and keeps it so (RFC 3261 section 10, back-off after RFC 5626)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import structlog
from sipmessage import URI, Request, Response

from voicebot.telephony.sip.dialog import MAX_FORWARDS
from voicebot.telephony.sip.digest import Credentials
from voicebot.telephony.sip.endpoint import ALLOW, Endpoint
from voicebot.telephony.sip.exchange import NoAnswer, final_response
from voicebot.telephony.sip.hop import Hop
from voicebot.telephony.sip.message import set_body, whole_number
from voicebot.telephony.sip.resolve import Unresolvable

_log = structlog.get_logger()

BASE_WAIT_S = 30.0
MOST_WAIT_S = 1800.0
#: A binding is refreshed when this share of its time is over, so that a lost try can be repeated.
REFRESH_AT = 0.8
UNREGISTER_TIMEOUT_S = 2.0
LEAST_EXPIRES_S = 30


class RegistrationState(StrEnum):
    UNREGISTERED = "unregistered"
    REGISTERED = "registered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RegistrationPlan:
    """`registrar` gets the REGISTER, `account` is the address of record, such as ``sip:bot@pbx.example``."""

    registrar: URI
    account: URI
    expires_s: int = 600


class Reach(Protocol):
    async def resolve(self, uri: URI) -> Sequence[Hop]: ...


def wait_s(failures: int, draw: Callable[[float, float], float]) -> float:
    """Return how long to wait after so many failures in a row (RFC 5626 section 4.5)."""
    return draw(0.5, 1.0) * min(MOST_WAIT_S, BASE_WAIT_S * 2.0 ** min(failures, 10))


class Registration:
    """One binding. `run` keeps it until cancelled, and then takes it back."""

    def __init__(
        self, endpoint: Endpoint, plan: RegistrationPlan, credentials: Credentials | None, reach: Reach
    ) -> None:
        self._endpoint = endpoint
        self._plan = plan
        self._credentials = credentials
        self._reach = reach
        self._call_id = endpoint.new_id()
        self._tag = endpoint.new_id()
        self._cseq = 0
        self._expires_s = plan.expires_s
        self.state = RegistrationState.UNREGISTERED

    async def run(self) -> None:
        """Register, refresh and, after failures, try again later and later."""
        failures = 0
        try:
            while True:
                granted_s = await self._register(self._expires_s)
                if granted_s is None:
                    self._set_state(RegistrationState.FAILED)
                    pause_s = wait_s(failures, random.uniform)
                    failures += 1
                else:
                    self._set_state(RegistrationState.REGISTERED)
                    failures = 0
                    pause_s = granted_s * REFRESH_AT
                await asyncio.sleep(pause_s)
        finally:
            if self.state is RegistrationState.REGISTERED:
                await self._unregister()

    async def _unregister(self) -> None:
        try:
            async with asyncio.timeout(UNREGISTER_TIMEOUT_S):
                await self._register(0)
        except TimeoutError:
            _log.info("the registrar did not answer the last request")
        self._set_state(RegistrationState.UNREGISTERED)

    async def _register(self, expires_s: int) -> int | None:
        """Return for how many seconds the binding holds, or None when there is none."""
        try:
            hops = await self._reach.resolve(self._plan.registrar)
        except Unresolvable:
            _log.warning("the registrar has no address")
            return None
        for hop in hops:
            try:
                response = await self._ask(hop, expires_s)
            except NoAnswer:
                continue
            if response.code < 300:
                return _granted_s(response, self._endpoint.contact(hop), expires_s)
            _log.warning("registration refused", status=response.code)
            return None
        _log.warning("the registrar does not answer")
        return None

    async def _ask(self, hop: Hop, expires_s: int) -> Response:
        authorization: list[tuple[str, str]] = []
        for _ in range(3):
            request = self._request(hop, expires_s, authorization)
            response = await final_response(self._endpoint, request, hop)
            if response.code == 423:
                lowest = whole_number(response.headers.get("Min-Expires") or "")
                if lowest is None or lowest <= expires_s:
                    return response
                self._expires_s = expires_s = lowest
                continue
            authorization = self._credentials.answer(response, request) if self._credentials else []
            if not authorization:
                return response
        return response

    def _request(self, hop: Hop, expires_s: int, authorization: list[tuple[str, str]]) -> Request:
        self._cseq += 1
        request = Request("REGISTER", self._plan.registrar)
        headers = [
            ("Max-Forwards", str(MAX_FORWARDS)),
            ("From", f"<{self._plan.account}>;tag={self._tag}"),
            ("To", f"<{self._plan.account}>"),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._cseq} REGISTER"),
            ("Contact", self._endpoint.contact(hop)),
            ("Expires", str(expires_s)),
            ("Allow", ALLOW),
            *authorization,
        ]
        for name, value in headers:
            request.headers.set(name, value)
        set_body(request, b"", "")
        return request

    def _set_state(self, state: RegistrationState) -> None:
        if state is not self.state:
            _log.info("registration changed", was=self.state, now=state)
            self.state = state


def _granted_s(response: Response, contact: str, asked_s: int) -> int:
    """Return the seconds the registrar gives our binding among all it lists (section 10.2.4)."""
    given = response.headers.get("Expires") or ""
    try:
        bindings = response.contact
    except (ValueError, TypeError):
        bindings = []
    for binding in bindings:
        if f"<{binding.uri}>" == contact:
            given = binding.parameters.get("expires") or given
    granted_s = whole_number(given)
    return asked_s if granted_s is None else max(LEAST_EXPIRES_S, granted_s)
