"""The implicit subscription of a REFER in a call, as the one who sent it and as the one who got it (RFC 3515)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Protocol

from sipmessage import Request, Response

from voicebot.telephony.sip.endpoint import Endpoint
from voicebot.telephony.sip.exchange import RequestRefused
from voicebot.telephony.sip.message import respond
from voicebot.telephony.sip.refer import parse_sipfrag, sipfrag
from voicebot.telephony.sip.transaction import ServerTransaction


@dataclass(frozen=True, slots=True)
class ReferOutcome:
    """How a REFER of ours went: the last status the peer told, 0 when it told none. 2xx means transferred."""

    accepted: bool
    status: int


class ReferredCall(Protocol):
    """The call in whose dialog REFER and NOTIFY go."""

    endpoint: Endpoint

    @property
    def contact(self) -> str: ...
    @property
    def is_confirmed(self) -> bool: ...
    async def ask(self, method: str, *, headers: list[tuple[str, str]]) -> Response: ...
    def tell(self, method: str, headers: list[tuple[str, str]], body: bytes) -> Coroutine[None, None, None]: ...


class Referring:
    """What is told of transfers in one call."""

    def __init__(self, call: ReferredCall) -> None:
        self._call = call
        self._result: asyncio.Future[int] | None = None
        self._status = 0

    async def refer(self, refer_to: str, *, referred_by: str = "", timeout_s: float) -> ReferOutcome:
        """Ask the peer to call somebody else and tell how that went. Raises `NoAnswer`."""
        self._result = asyncio.get_running_loop().create_future()
        headers = [("Refer-To", refer_to), ("Contact", self._call.contact)]
        if referred_by:
            headers.append(("Referred-By", referred_by))
        try:
            await self._call.ask("REFER", headers=headers)
        except RequestRefused as refused:
            self._result = None
            return ReferOutcome(accepted=False, status=refused.response.code)
        try:
            async with asyncio.timeout(timeout_s):
                return ReferOutcome(accepted=True, status=await self._result)
        except TimeoutError:
            return ReferOutcome(accepted=True, status=self._status)
        finally:
            self._result = None

    def notified(self, request: Request, transaction: ServerTransaction) -> None:
        """Take a NOTIFY, which tells how far a transfer of ours has come."""
        event = (request.headers.get("Event") or "").partition(";")[0].strip().lower()
        if event != "refer" or self._result is None:
            transaction.respond(respond(request, 489 if event != "refer" else 481))
            return
        transaction.respond(respond(request, 200))
        status = parse_sipfrag(request.body)
        if status is not None:
            self._status = status
        over = (request.headers.get("Subscription-State") or "").lower().startswith("terminated")
        if (over or (status or 0) >= 200) and not self._result.done():
            self._result.set_result(self._status)

    def tell(self, code: int, phrase: str) -> None:
        """Tell the peer that sent us a REFER how far it has come."""
        if not self._call.is_confirmed:
            return
        state = "active;expires=60" if code < 200 else "terminated;reason=noresource"
        headers = [("Event", "refer"), ("Subscription-State", state), ("Contact", self._call.contact)]
        self._call.endpoint.start(self._call.tell("NOTIFY", headers, sipfrag(code, phrase)))

    def stop(self) -> None:
        """Expect no more news: the call has ended."""
        if self._result is not None and not self._result.done():
            self._result.set_result(self._status)
