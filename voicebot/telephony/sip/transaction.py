"""One request and its responses, ours or a peer's: messages around a transaction's machine. Pure."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import structlog
from sipmessage import Request, Response

from voicebot.errors import LocalProtocolError
from voicebot.telephony.sip.transaction_machine import (
    INVITE_CLIENT,
    INVITE_SERVER,
    OTHER_CLIENT,
    OTHER_SERVER,
    Act,
    Event,
    Machine,
    State,
    Timer,
    Timers,
)

_log = structlog.get_logger()


def kind_of(code: int) -> Event:
    """Return what a response is to a transaction."""
    if code < 200:
        return Event.PROVISIONAL
    return Event.SUCCESS if code < 300 else Event.FAILURE


class Failure(StrEnum):
    """Why a request got no answer."""

    TIMED_OUT = "timed_out"
    TRANSPORT = "transport"


class ClientTransaction:
    """A request of ours: `on_response` gets each response once (each 2xx to an INVITE), `on_failure` none at all."""

    def __init__(
        self,
        request: Request,
        *,
        reliable: bool,
        timers: Timers,
        send: Callable[[Request], None],
        on_response: Callable[[Response], None],
        on_failure: Callable[[Failure], None],
        on_terminated: Callable[[], None],
    ) -> None:
        self.request = request
        self._send = send
        self._on_response = on_response
        self._on_failure = on_failure
        invite = request.method == "INVITE"
        self._machine = Machine(
            INVITE_CLIENT if invite else OTHER_CLIENT,
            State.CALLING if invite else State.TRYING,
            reliable=reliable,
            timers=timers,
            act=self._act,
            on_terminated=on_terminated,
            name=f"client {request.method}",
        )

    @property
    def state(self) -> State:
        return self._machine.state

    def start(self) -> None:
        self._send(self.request)
        if self.request.method == "INVITE":
            self._machine.start(Timer.A, Timer.B)
        else:
            self._machine.start(Timer.E, Timer.F)

    def receive(self, response: Response) -> None:
        self._machine.take(kind_of(response.code), response)

    def transport_failed(self) -> None:
        self._machine.take(Event.TRANSPORT_FAILED)

    def stop(self) -> None:
        self._machine.stop()

    def _act(self, act: Act, response: Response | None) -> None:
        match act:
            case Act.RESEND:
                self._send(self.request)
            case Act.PASS if response is not None:
                self._on_response(response)
            case Act.ACKNOWLEDGE if response is not None:
                self._send(ack_of_failure(self.request, response))
            case Act.TIME_OUT:
                self._on_failure(Failure.TIMED_OUT)
            case Act.FAIL:
                self._on_failure(Failure.TRANSPORT)
            case _:
                raise LocalProtocolError(f"A client transaction cannot {act}.")


class ServerTransaction:
    """A request of a peer. `respond` answers; `on_ack` hears the ACK of a 2xx, `on_failure` that no ACK came."""

    def __init__(
        self,
        request: Request,
        *,
        reliable: bool,
        timers: Timers,
        send: Callable[[Response], None],
        on_terminated: Callable[[], None],
    ) -> None:
        self.request = request
        self._send = send
        self._last: Response | None = None
        self._invite = request.method == "INVITE"
        self._machine = Machine(
            INVITE_SERVER if self._invite else OTHER_SERVER,
            State.PROCEEDING if self._invite else State.TRYING,
            reliable=reliable,
            timers=timers,
            act=self._act,
            on_terminated=on_terminated,
            name=f"server {request.method}",
        )

    @property
    def state(self) -> State:
        return self._machine.state

    @property
    def is_pending(self) -> bool:
        """Whether a final response may still be given."""
        return self.state in {State.TRYING, State.PROCEEDING}

    def respond(self, response: Response) -> None:
        """Send a response; raises `LocalProtocolError` after a final one (a 2xx to an INVITE may be sent again)."""
        if not self._machine.take(kind_of(response.code), response):
            raise LocalProtocolError(f"A transaction that is {self.state} takes no {response.code}.")

    def receive(self, request: Request) -> None:
        """Take a copy of the request, or the ACK of a failure."""
        self._machine.take(Event.ACK if request.method == "ACK" else Event.REQUEST)

    def transport_failed(self) -> None:
        self._machine.take(Event.TRANSPORT_FAILED)

    def stop(self) -> None:
        self._machine.stop()

    def _act(self, act: Act, response: Response | None) -> None:
        match act:
            case Act.SEND if response is not None:
                self._last = response
                self._send(response)
            case Act.RESEND:
                if self._last is not None:
                    self._send(self._last)
            case Act.PASS:
                pass  # the ACK of a 2xx belongs to the dialog, which finds it by its tags
            case Act.TIME_OUT | Act.FAIL:
                _log.debug("no ACK came", method=self.request.method)
            case _:
                raise LocalProtocolError(f"A server transaction cannot {act}.")


def ack_of_failure(invite: Request, response: Response) -> Request:
    """Return the ACK of a final response other than 2xx (section 17.1.1.3)."""
    ack = Request("ACK", invite.uri)
    ack.headers.set("Via", invite.headers.getlist("Via")[0])
    for name in ("From", "Call-ID", "Max-Forwards"):
        ack.headers.set(name, invite.headers[name])
    ack.headers.set("To", response.headers["To"])
    if invite.headers.getlist("Route"):
        ack.headers.setlist("Route", list(invite.headers.getlist("Route")))
    ack.headers.set("CSeq", f"{invite.cseq.sequence} ACK")
    ack.headers.set("Content-Length", "0")
    return ack
