"""The way in for a chat: JSON over HTTP, for a company's own pages and apps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated

import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from voicebot.calls.chats import Chats, Customer, TooManyConversations, WrittenChannel
from voicebot.calls.written import Reply
from voicebot.records.access.roles import Right
from voicebot.web.access.csrf import check_intent
from voicebot.web.access.identity import Identity, unauthorized
from voicebot.web.address import PublicAddress
from voicebot.web.doors import BODY_TIMEOUT_S, client_address
from voicebot.web.limits import RateLimit
from voicebot.web.tickets import Audience, TicketRefused, Tickets

_log = structlog.get_logger()

CHAT_PATH = "/api/chat"
SESSION_LIFETIME_S = 12 * 3600.0
MAX_TEXT_CHARS = 1000
MESSAGES_A_MINUTE = 30


class _Message(BaseModel):
    """What is posted. Without a `session` one begins, `customer` saying who it is with."""

    model_config = ConfigDict(extra="forbid", strict=True)

    session: Annotated[str, Field(max_length=2000)] | None = None
    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS)] | None = None
    button: Annotated[str, Field(pattern=r"^[0-9*#]{1,20}$")] | None = None
    customer: Annotated[str, Field(pattern=r"^\+[0-9]{7,15}$")] | None = None

    @model_validator(mode="after")
    def _one_thing(self) -> _Message:
        if self.text is not None and self.button is not None:
            raise ValueError("send `text` or `button`, not both")
        if self.session is not None and self.customer is not None:
            raise ValueError("`customer` is said when a session begins")
        if self.session is not None and self.text is None and self.button is None:
            raise ValueError("send `text` or `button`")
        return self


class ChatDoor:
    """The right to begin chats is asked of whoever begins a session; the signed session is enough from then on."""

    def __init__(
        self,
        *,
        chats: Chats,
        identity: Identity,
        tickets: Tickets,
        public: PublicAddress,
        new_id: Callable[[], str],
        starts_of_address: RateLimit,
        messages_of_session: RateLimit,
    ) -> None:
        self._chats = chats
        self._identity = identity
        self._tickets = tickets
        self._public = public
        self._new_id = new_id
        self._starts_of_address = starts_of_address
        self._messages_of_session = messages_of_session

    def routes(self) -> list[web.RouteDef]:
        return [web.post(CHAT_PATH, self.post)]

    async def post(self, request: web.Request) -> web.Response:
        """Begin a session, or take one message of it; answers with what the bot writes."""
        message = await _message(request)
        if message.session is None:
            return await self._begin(request, message)
        try:
            session = self._tickets.check(message.session, Audience.CHAT).subject
        except TicketRefused as error:
            raise _refusal(HTTPStatus.FORBIDDEN, "The session is not one of this server's, or too old.") from error
        try:
            is_going_on = session in self._chats or await self._chats.resume(session)
        except TooManyConversations as error:
            raise _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "Too many conversations are going on.") from error
        if not is_going_on:
            raise _refusal(HTTPStatus.GONE, "This conversation is over. Begin another without `session`.")
        if not self._messages_of_session.allow(session):
            raise _refusal(HTTPStatus.TOO_MANY_REQUESTS, "Too many messages at once. Wait a little.")
        return _response(message.session, await self._say(session, message))

    async def _begin(self, request: web.Request, message: _Message) -> web.Response:
        principal = await self._identity.find(request)
        if principal is None:
            raise unauthorized("Begin a session with 'Authorization: Bearer <API token>'.")
        await check_intent(request, principal, self._public)
        if not principal.may(Right.BEGIN_CHATS):
            raise _refusal(HTTPStatus.FORBIDDEN, f"This needs the right {Right.BEGIN_CHATS}.")
        if not self._starts_of_address.allow(client_address(request, self._public)):
            raise _refusal(HTTPStatus.TOO_MANY_REQUESTS, "Too many conversations were begun from here. Wait a minute.")
        session = self._new_id()
        try:
            reply = await self._chats.start(session, Customer(WrittenChannel.CHAT, message.customer or ""))
        except TooManyConversations as error:
            raise _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "Too many conversations are going on.") from error
        _log.info("chat begins", session=session)
        greeting: tuple[str, ...] = ()
        if (message.text or message.button) and reply.outcome is None:
            # What they wrote at once is their request: the greeting stays, the question is answered already.
            greeting = reply.messages[:1]
            reply = await self._say(session, message)
        token = self._tickets.issue(Audience.CHAT, session, lifetime_s=SESSION_LIFETIME_S)
        return _response(token, reply, greeting)

    async def _say(self, session: str, message: _Message) -> Reply:
        if message.button is not None:
            return await self._chats.tap(session, message.button)
        return await self._chats.write(session, message.text or "")


async def _message(request: web.Request) -> _Message:
    if request.content_type != "application/json":
        raise _refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send JSON.")
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            body = await request.read()
        return _Message.model_validate_json(body)
    except TimeoutError as error:
        raise _refusal(HTTPStatus.REQUEST_TIMEOUT, f"The message took more than {BODY_TIMEOUT_S:g} s.") from error
    except ValidationError as error:
        # Without the values: they are what a customer wrote.
        faults = [
            f"{'.'.join(str(part) for part in fault['loc']) or 'message'}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_context=False)
        ]
        raise _refusal(HTTPStatus.BAD_REQUEST, "; ".join(faults)) from error


def _response(session: str, reply: Reply, greeting: tuple[str, ...] = ()) -> web.Response:
    return web.json_response(
        {
            "session": session,
            "messages": [*greeting, *reply.messages],
            "buttons": [{"label": button.label, "button": button.keys} for button in reply.buttons],
            "secret": reply.secret,
            "person": reply.person_wanted_for is not None,
            "ended": reply.outcome,
        },
        headers={"Cache-Control": "no-store"},
    )


def _refusal(status: HTTPStatus, why: str) -> web.HTTPException:
    text = json.dumps({"error": why})
    kinds: dict[int, type[web.HTTPException]] = {
        HTTPStatus.BAD_REQUEST: web.HTTPBadRequest,
        HTTPStatus.FORBIDDEN: web.HTTPForbidden,
        HTTPStatus.REQUEST_TIMEOUT: web.HTTPRequestTimeout,
        HTTPStatus.GONE: web.HTTPGone,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE: web.HTTPUnsupportedMediaType,
        HTTPStatus.TOO_MANY_REQUESTS: web.HTTPTooManyRequests,
        HTTPStatus.SERVICE_UNAVAILABLE: web.HTTPServiceUnavailable,
    }
    return kinds[status](text=text, content_type="application/json")
