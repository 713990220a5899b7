"""Keeps a call's session alive, or watches for its end (RFC 4028)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog
from sipmessage import Response

from voicebot.telephony.leg import EndCause
from voicebot.telephony.sip.dialog import Dialog
from voicebot.telephony.sip.endpoint import Endpoint
from voicebot.telephony.sip.exchange import NoAnswer, RequestRefused
from voicebot.telephony.sip.media import Media
from voicebot.telephony.sip.session_timer import SessionTimer, agreed_as_client

_log = structlog.get_logger()


class TimedCall(Protocol):
    """The call whose session is kept."""

    endpoint: Endpoint
    dialog: Dialog
    media: Media
    peer_allows: frozenset[str]

    def refresh_headers(self) -> list[tuple[str, str]]: ...
    async def ask(self, method: str, *, headers: list[tuple[str, str]]) -> Response: ...
    async def reoffer(self, make_offer: Callable[[], bytes]) -> None: ...
    def gone(self) -> None: ...
    def end(self, cause: EndCause, reason: str = "") -> None: ...


class SessionKeeper:
    """The session timer of one call; `timer` is what was agreed last."""

    def __init__(self, call: TimedCall) -> None:
        self.timer: SessionTimer | None = None
        self._call = call
        self._due: asyncio.TimerHandle | None = None
        self._stopped = False
        self._log = _log.bind(sip_call_id=call.dialog.id.call_id)

    def keep(self, timer: SessionTimer | None) -> None:
        """Refresh the session or watch for its end from now on."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self.timer = timer
        if timer is not None and not self._stopped:
            self._due = self._call.endpoint.loop.call_later(timer.due_s, self._is_due)

    def stop(self) -> None:
        """Watch no more: the call has ended."""
        self._stopped = True
        if self._due is not None:
            self._due.cancel()

    def _is_due(self) -> None:
        if self.timer is not None and self.timer.we_refresh:
            self._call.endpoint.start(self._refresh())
            return
        self._log.warning("the session was not refreshed")
        self._call.end(EndCause.CONNECTION_LOST, 'SIP;cause=408;text="session expired"')

    async def _refresh(self) -> None:
        call = self._call
        try:
            if "update" in call.peer_allows:
                self.keep(agreed_as_client(await call.ask("UPDATE", headers=call.refresh_headers())))
            else:
                await call.reoffer(call.media.offer)
        except RequestRefused as refused:
            self._log.warning("a session refresh was refused", status=refused.response.code)
            if refused.response.code in {408, 481}:
                call.gone()
            else:
                # The peer answers, so the call lives; it is asked again, or the interval ends it.
                self.keep(self.timer)
        except NoAnswer:
            call.gone()
