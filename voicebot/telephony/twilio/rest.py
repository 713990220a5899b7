"""Twilio's REST API as far as calls need it: its own client, on aiohttp, with typed failures.

Twilio's client blocks unless it is given an asynchronous HTTP client. The one it ships waits for ever unless told and
always speaks with Twilio's own hosts, so it gets this one.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import structlog
from twilio.base.exceptions import (
    TwilioException,
    TwilioRestException,
    TwilioServiceException,
)
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from voicebot.errors import VoicebotError
from voicebot.telephony.twilio.webhook import CarrierCallStatus

_log = structlog.get_logger()
_T = TypeVar("_T")

#: One request; Twilio answers within a second.
TIMEOUT_S = 5.0
#: Waits before a request that may be made again is.
RETRY_AFTER_S = (0.2, 1.0)
_NOT_FOUND = 404
_TOO_MANY = 429
#: "Call is not in-progress": it ended before we ended it.
_CALL_IS_OVER = 21220


@dataclass(frozen=True, slots=True)
class RestAccess:
    """Who we are at Twilio: an account with an API key and its secret, or with its own auth token.

    `edge` and `region` choose Twilio's data centre. `base_url` replaces every host of Twilio's, as tests do.
    """

    account_sid: str
    user: str
    secret: str = field(repr=False)
    edge: str | None = None
    region: str | None = None
    base_url: str | None = None


class TwilioError(VoicebotError):
    """Twilio did not do what was asked."""


class TwilioRefused(TwilioError):
    """Twilio said no. `code` is its own, see its list of errors and warnings."""

    def __init__(self, status: int, code: int) -> None:
        super().__init__(f"Twilio refused a request: status {status}, error {code}.")
        self.status = status
        self.code = code


class TwilioUnreachable(TwilioError):
    """No answer came, or none that makes sense. What was asked may have been done all the same."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Twilio did not answer: {why}.")


class _NeverSent(TwilioUnreachable):
    """The connection was not even opened, so nothing was done."""


class _Http(AsyncHttpClient):  # type: ignore[misc]  # the package has no type hints
    """Carries the requests of Twilio's client, each within `timeout_s`; nothing of them is logged."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str | None, timeout_s: float) -> None:
        super().__init__(logging.getLogger("twilio"), is_async=True, timeout=timeout_s)
        self._session = session
        self._base = urlsplit(base_url) if base_url else None
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def request(  # noqa: PLR0917  # the signature is that of Twilio's client
        self,
        method: str,
        uri: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the name is that of Twilio's client
        allow_redirects: bool = False,  # noqa: FBT001, FBT002  # likewise
    ) -> Response:
        """Make one request; raises `TwilioUnreachable`."""
        del timeout
        if self._session.closed:
            # The server has ended: aiohttp would raise what nobody who asks for a call's end looks out for.
            raise _NeverSent("SessionClosed")
        try:
            async with self._session.request(
                method.upper(),
                self._moved(uri),
                params=_texts(params),
                data=_texts(data),
                headers={**(headers or {}), **({"Authorization": aiohttp.encode_basic_auth(*auth)} if auth else {})},
                timeout=self._timeout,
                allow_redirects=allow_redirects,
            ) as answer:
                return Response(answer.status, await answer.text(), answer.headers)
        except aiohttp.ClientConnectorError as error:
            raise _NeverSent(type(error).__name__) from None
        except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError) as error:
            raise TwilioUnreachable(type(error).__name__) from None

    def _moved(self, uri: str) -> str:
        if self._base is None:
            return uri
        asked = urlsplit(uri)
        return urlunsplit((self._base.scheme, self._base.netloc, self._base.path + asked.path, asked.query, ""))


def _texts(given: Mapping[str, object] | None) -> list[tuple[str, str]]:
    """Return parameters as they travel; a list becomes one pair for each of its items."""
    return [
        (name, str(item).lower() if isinstance(item, bool) else str(item))
        for name, value in (given or {}).items()
        for item in (value if isinstance(value, list | tuple) else (value,))
    ]


@dataclass(frozen=True, slots=True)
class NewCall:
    """A call to place. What happens to it is told to `status_url`, who answered to `machine_url` unless it is empty.

    `twiml` is carried out when it is answered, whoever answers: detecting a machine goes on meanwhile.
    """

    to: str
    caller: str
    twiml: str
    status_url: str
    machine_url: str
    ring_s: int


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A text message that Twilio has taken. `text` is personal."""

    sid: str
    text: str
    made_at: datetime


class TwilioRest:
    """What of Twilio's API we use. Every method raises `TwilioRefused` or `TwilioUnreachable`.

    A request is made again only where that does no harm: reading, ending a call, telling a call what to do now, and
    whatever was never sent or was turned away unread (429).
    """

    def __init__(self, access: RestAccess, session: aiohttp.ClientSession, *, timeout_s: float = TIMEOUT_S) -> None:
        self._client = Client(
            access.user,
            access.secret,
            account_sid=access.account_sid,
            region=access.region,
            edge=access.edge,
            http_client=_Http(session, access.base_url, timeout_s),
            # Else it looks for a region and an edge in the environment of the process.
            environment={"TWILIO_ACCOUNT_SID": access.account_sid},
        )

    async def place_call(self, call: NewCall) -> str:
        """Place a call and return its SID; it may have been placed when `TwilioUnreachable` is raised."""
        detection = {
            "machine_detection": "Enable",
            "async_amd": "true",
            "async_amd_status_callback": call.machine_url,
            "async_amd_status_callback_method": "POST",
        }
        placed = await self._ask(
            lambda: self._client.calls.create_async(
                to=call.to,
                from_=call.caller,
                twiml=call.twiml,
                timeout=call.ring_s,
                status_callback=call.status_url,
                status_callback_method="POST",
                status_callback_event=["initiated", "ringing", "answered", "completed"],
                **(detection if call.machine_url else {}),
            ),
            repeatable=False,
        )
        return str(placed.sid)

    async def direct(self, call_sid: str, twiml: str) -> None:
        """Have a call that is in progress carry out other TwiML from now on."""
        await self._ask(lambda: self._client.calls(call_sid).update_async(twiml=twiml), repeatable=True)

    async def end_call(self, call_sid: str) -> None:
        """End a call, whether it is queued, rings or talks; one that has ended already is left alone."""
        try:
            await self._ask(lambda: self._client.calls(call_sid).update_async(status="completed"), repeatable=True)
        except TwilioRefused as refused:
            if refused.status != _NOT_FOUND and refused.code != _CALL_IS_OVER:
                raise

    async def status_of(self, call_sid: str) -> CarrierCallStatus:
        """Return how a call is now."""
        call = await self._ask(lambda: self._client.calls(call_sid).fetch_async(), repeatable=True)
        try:
            return CarrierCallStatus(str(call.status))
        except ValueError as error:
            raise TwilioUnreachable("a status that does not exist") from error

    async def add_coach(self, conference: str, *, to: str, caller: str, agent_call_sid: str, ring_s: int) -> str:
        """Call somebody into a conference whom only the agent hears, and return their call's SID."""
        added = await self._ask(
            lambda: self._client.conferences(conference).participants.create_async(
                from_=caller,
                to=to,
                label="coach",
                coaching=True,
                call_sid_to_coach=agent_call_sid,
                start_conference_on_enter=False,
                end_conference_on_exit=False,
                beep="false",
                timeout=ring_s,
            ),
            repeatable=False,
        )
        return str(added.call_sid)

    async def task_status(self, workspace: str, call_sid: str) -> str | None:
        """Return how TaskRouter stands with a call that was enqueued: "pending", "assigned" and so on; None if gone."""
        tasks = await self._ask(
            lambda: self._client.taskrouter.v1.workspaces(workspace).tasks.list_async(
                evaluate_task_attributes=f'call_sid == "{call_sid}"', limit=1, page_size=1
            ),
            repeatable=True,
        )
        return str(tasks[0].assignment_status) if tasks else None

    async def send_message(self, *, to: str, sender: str, text: str) -> str:
        """Send a text message and return its SID; it may have been sent when `TwilioUnreachable` is raised."""
        sent = await self._ask(
            lambda: self._client.messages.create_async(to=to, from_=sender, body=text), repeatable=False
        )
        return str(sent.sid)

    async def messages(self, *, to: str, sender: str, most: int) -> list[SentMessage]:
        """Return the latest text messages from one number to another, `most` at most."""
        found = await self._ask(
            lambda: self._client.messages.list_async(to=to, from_=sender, limit=most, page_size=most), repeatable=True
        )
        return [SentMessage(str(each.sid), str(each.body), each.date_created) for each in found]

    async def _ask(self, do: Callable[[], Awaitable[_T]], *, repeatable: bool) -> _T:
        for wait_s in RETRY_AFTER_S:
            try:
                return await _typed(do)
            except TwilioError as error:
                if not _may_be_made_again(error, repeatable=repeatable):
                    raise
                _log.info("a request to Twilio is made again", why=str(error))
            await asyncio.sleep(wait_s)
        return await _typed(do)


async def _typed(do: Callable[[], Awaitable[_T]]) -> _T:
    try:
        return await do()
    except (TwilioRestException, TwilioServiceException) as error:
        raise TwilioRefused(error.status, error.code or 0) from None
    except (TwilioException, json.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        # An answer that is none of Twilio's: a proxy's page, say, whose fields its client does not find.
        raise TwilioUnreachable(type(error).__name__) from None


def _may_be_made_again(error: TwilioError, *, repeatable: bool) -> bool:
    match error:
        case _NeverSent():
            return True
        case TwilioRefused(status=status):
            return status == _TOO_MANY or (repeatable and status >= 500)
        case _:
            return repeatable
