"""The way in for text messages: Twilio's messaging webhook, answered with TwiML."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from weakref import WeakValueDictionary

import structlog
from aiohttp import web

from voicebot.calls.chats import Chats, Customer, TooManyConversations, WrittenChannel
from voicebot.calls.written import Reply
from voicebot.personal import Personal
from voicebot.telephony.twilio.webhook import IncomingMessage, message_twiml, parse_message
from voicebot.web.limits import RateLimit
from voicebot.web.twilio_forms import TwilioForms

_log = structlog.get_logger()

SMS_PATH = "/twilio/sms"


class SmsDoor:
    """One conversation for each pair of numbers; a message that Twilio delivers twice is answered alike twice."""

    def __init__(
        self,
        *,
        chats: Chats,
        forms: TwilioForms,
        messages_of_number: RateLimit,
        new_id: Callable[[], str],
    ) -> None:
        self._chats = chats
        self._forms = forms
        self._messages_of_number = messages_of_number
        self._new_id = new_id
        self._sessions: dict[tuple[str, str], str] = {}
        self._last: dict[tuple[str, str], tuple[str, str]] = {}
        #: Of those whose message is being answered: two that come at once are taken one after the other.
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def routes(self) -> list[web.RouteDef]:
        return [web.post(SMS_PATH, self.message)]

    async def message(self, request: web.Request) -> web.Response:
        """Take a text message and answer it."""
        form = await self._forms.genuine(request)
        message = self._forms.parsed(parse_message, form)
        self._forms.check_account(message.account_sid)
        pair = (message.sender, message.receiver)
        async with self._turns.setdefault(pair, asyncio.Lock()):
            return web.Response(text=await self._taken(pair, message), content_type="text/xml")

    async def _taken(self, pair: tuple[str, str], message: IncomingMessage) -> str:
        """Return the TwiML for a message; one that is delivered again gets what it got before."""
        last_sid, last_twiml = self._last.get(pair, ("", ""))
        if message.message_sid == last_sid:
            return last_twiml
        if not self._messages_of_number.allow(message.sender):
            _log.warning("text message ignored", why="too many at once", sender=Personal(message.sender))
            return message_twiml("")
        twiml = message_twiml(await self._answer(pair, message))
        self._forget_what_is_over()
        self._last[pair] = (message.message_sid, twiml)
        return twiml

    async def _answer(self, pair: tuple[str, str], message: IncomingMessage) -> str:
        session = self._sessions.get(pair, "")
        if session not in self._chats:
            session = self._sessions[pair] = self._new_id()
            try:
                started = await self._chats.start(
                    session, Customer(WrittenChannel.SMS, message.sender, message.receiver)
                )
            except TooManyConversations:
                return ""
            _log.info("text messages begin", session=session, sender=Personal(message.sender))
            # What they wrote is an answer to nothing yet: it is taken as their request, and the greeting goes along.
            if started.outcome is None and message.text:
                answered = await self._chats.write(session, message.text)
                greeting = started.messages[:1]
                return _joined((*greeting, *answered.messages), answered)
            return _joined(started.messages, started)
        reply = await self._chats.write(session, message.text or "?")
        return _joined(reply.messages, reply)

    def _forget_what_is_over(self) -> None:
        over = [pair for pair, session in self._sessions.items() if session not in self._chats]
        for pair in over[:-1000]:
            del self._sessions[pair]
            self._last.pop(pair, None)


def _joined(messages: tuple[str, ...], reply: Reply) -> str:
    """One text of all messages, with short choices named, since a text message has no buttons."""
    text = "\n".join(messages)
    labels = [button.label for button in reply.buttons]
    if labels and len(labels) <= 4:
        text += f"\n({' / '.join(labels)})"
    return text
