"""Webhooks of Twilio's: only forms that it signed are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from aiohttp import web
from multidict import MultiDict

from voicebot.errors import RemoteProtocolError
from voicebot.telephony.twilio.webhook import SignatureChecker
from voicebot.web.address import PublicAddress
from voicebot.web.doors import base_url, read_form

_log = structlog.get_logger()
_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True, slots=True)
class TwilioAccess:
    """Who may use the webhooks.

    Without an `auth_token` no signature can be checked and every webhook is rejected, unless
    `accept_unsigned` says that this is a developer's machine. `own_url` is this server's own address, where several
    share the public one: what it asks Twilio to call comes there.
    """

    auth_token: str | None = None
    account_sid: str | None = None
    accept_unsigned: bool = False
    own_url: str | None = None


class TwilioForms:
    """`violated` is told of every form that is not as it should be, by a constant and a sentence."""

    def __init__(self, access: TwilioAccess, public: PublicAddress, violated: Callable[[str, str], None]) -> None:
        self._access = access
        self._public = public
        self._violated = violated
        self._checker = SignatureChecker(access.auth_token) if access.auth_token else None
        if self._checker is None and access.accept_unsigned:
            _log.warning("webhooks are accepted unsigned: for development only")
        elif self._checker is None:
            _log.warning("webhooks are rejected: TWILIO_AUTH_TOKEN is not set, so no signature can be checked")

    async def genuine(self, request: web.Request) -> MultiDict[str]:
        """Return the form of a request that Twilio signed; raises aiohttp's `HTTPForbidden` otherwise."""
        form = await read_form(request)
        if self._checker is None:
            if self._access.accept_unsigned:
                return form
            self._violated("unsigned_webhook", "No webhook can be checked without TWILIO_AUTH_TOKEN.")
            raise web.HTTPForbidden(text="This server has no TWILIO_AUTH_TOKEN to check signatures with.")
        # Twilio signed the address as it called it, so the path is taken as it came, not as it was decoded.
        bases = {base_url(request, self._public), self._access.own_url or ""} - {""}
        checker, headers, path = self._checker, request.headers, request.raw_path
        if not any(checker.is_genuine(url=base + path, form=form, headers=headers) for base in bases):
            self._violated("bad_signature", "A webhook's signature is wrong; if it is Twilio's, check public_url.")
            raise web.HTTPForbidden(text="The signature is not Twilio's for this address.")
        return form

    def own_base(self, request: web.Request) -> str:
        """Return the address under which Twilio should call this very server again."""
        return self._access.own_url or base_url(request, self._public)

    def check_account(self, account_sid: str) -> None:
        """Raise aiohttp's `HTTPForbidden` when a webhook is about another account than ours."""
        if self._access.account_sid is not None and account_sid != self._access.account_sid:
            self._violated("wrong_account", "The webhook is about another account.")
            raise web.HTTPForbidden(text="This server answers for another account.")

    def parsed(self, parse: Callable[[MultiDict[str]], _Parsed], form: MultiDict[str]) -> _Parsed:
        """Parse a form; raises aiohttp's `HTTPBadRequest` where `parse` finds it wrong."""
        try:
            return parse(form)
        except RemoteProtocolError as error:
            self._violated(error.kind, str(error))
            raise web.HTTPBadRequest(text=str(error)) from error
