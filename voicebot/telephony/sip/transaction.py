"""The four transaction machines of RFC 3261 section 17, as corrected by RFC 6026, in tables. Pure; timers are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import structlog
from sipmessage import Request, Response

from voicebot.errors import LocalProtocolError

T1_S = 0.5
T2_S = 4.0
T4_S = 5.0

_log = structlog.get_logger()


class TimerHandle(Protocol):
    def cancel(self) -> None: ...


class Timers(Protocol):
    """What an event loop has; tests have one of their own."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> TimerHandle: ...


class State(StrEnum):
    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


class Timer(StrEnum):
    """Named after the RFC."""

    A = "A"
    B = "B"
    D = "D"
    E = "E"
    F = "F"
    G = "G"
    H = "H"
    I = "I"  # noqa: E741  # the RFC's name
    J = "J"
    K = "K"
    L = "L"
    M = "M"


class Event(StrEnum):
    """What comes in, from the wire or (responses of a server transaction) from the user of the transaction."""

    REQUEST = "request"
    ACK = "ack"
    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    FAILURE = "3xx-6xx"
    TRANSPORT_FAILED = "transport_failed"


class Act(StrEnum):
    SEND = "send"
    RESEND = "resend"
    PASS = "pass"  # noqa: S105  # hand to the user of the transaction
    ACKNOWLEDGE = "acknowledge"
    TIME_OUT = "time_out"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Step:
    """Timers run until the state changes, unless `keep` says that they go on."""

    to: State
    do: tuple[Act, ...] = ()
    start: tuple[Timer, ...] = ()
    keep: bool = False


Table = dict[tuple[State, Event | Timer], Step]
_S, _E, _T, _A = State, Event, Timer, Act

#: Section 17.1.1, with RFC 6026 section 7.2.
INVITE_CLIENT: Table = {
    (_S.CALLING, _T.A): Step(_S.CALLING, (_A.RESEND,), (_T.A,), keep=True),
    (_S.CALLING, _T.B): Step(_S.TERMINATED, (_A.TIME_OUT,)),
    (_S.CALLING, _E.PROVISIONAL): Step(_S.PROCEEDING, (_A.PASS,)),
    (_S.CALLING, _E.SUCCESS): Step(_S.ACCEPTED, (_A.PASS,), (_T.M,)),
    (_S.CALLING, _E.FAILURE): Step(_S.COMPLETED, (_A.ACKNOWLEDGE, _A.PASS), (_T.D,)),
    (_S.CALLING, _E.TRANSPORT_FAILED): Step(_S.TERMINATED, (_A.FAIL,)),
    (_S.PROCEEDING, _E.PROVISIONAL): Step(_S.PROCEEDING, (_A.PASS,)),
    (_S.PROCEEDING, _E.SUCCESS): Step(_S.ACCEPTED, (_A.PASS,), (_T.M,)),
    (_S.PROCEEDING, _E.FAILURE): Step(_S.COMPLETED, (_A.ACKNOWLEDGE, _A.PASS), (_T.D,)),
    (_S.PROCEEDING, _E.TRANSPORT_FAILED): Step(_S.TERMINATED, (_A.FAIL,)),
    (_S.ACCEPTED, _E.SUCCESS): Step(_S.ACCEPTED, (_A.PASS,), keep=True),
    (_S.ACCEPTED, _T.M): Step(_S.TERMINATED),
    (_S.COMPLETED, _E.FAILURE): Step(_S.COMPLETED, (_A.ACKNOWLEDGE,), keep=True),
    (_S.COMPLETED, _E.TRANSPORT_FAILED): Step(_S.TERMINATED),
    (_S.COMPLETED, _T.D): Step(_S.TERMINATED),
}
#: Section 17.1.2.
OTHER_CLIENT: Table = {
    (_S.TRYING, _T.E): Step(_S.TRYING, (_A.RESEND,), (_T.E,), keep=True),
    (_S.TRYING, _T.F): Step(_S.TERMINATED, (_A.TIME_OUT,)),
    (_S.TRYING, _E.PROVISIONAL): Step(_S.PROCEEDING, (_A.PASS,), keep=True),
    (_S.TRYING, _E.SUCCESS): Step(_S.COMPLETED, (_A.PASS,), (_T.K,)),
    (_S.TRYING, _E.FAILURE): Step(_S.COMPLETED, (_A.PASS,), (_T.K,)),
    (_S.TRYING, _E.TRANSPORT_FAILED): Step(_S.TERMINATED, (_A.FAIL,)),
    (_S.PROCEEDING, _T.E): Step(_S.PROCEEDING, (_A.RESEND,), (_T.E,), keep=True),
    (_S.PROCEEDING, _T.F): Step(_S.TERMINATED, (_A.TIME_OUT,)),
    (_S.PROCEEDING, _E.PROVISIONAL): Step(_S.PROCEEDING, (_A.PASS,), keep=True),
    (_S.PROCEEDING, _E.SUCCESS): Step(_S.COMPLETED, (_A.PASS,), (_T.K,)),
    (_S.PROCEEDING, _E.FAILURE): Step(_S.COMPLETED, (_A.PASS,), (_T.K,)),
    (_S.PROCEEDING, _E.TRANSPORT_FAILED): Step(_S.TERMINATED, (_A.FAIL,)),
    (_S.COMPLETED, _T.K): Step(_S.TERMINATED),
}
#: Section 17.2.1, with RFC 6026 section 7.1: the dialog repeats a 2xx, so a copy of the INVITE asks for nothing.
INVITE_SERVER: Table = {
    (_S.PROCEEDING, _E.REQUEST): Step(_S.PROCEEDING, (_A.RESEND,), keep=True),
    (_S.PROCEEDING, _E.PROVISIONAL): Step(_S.PROCEEDING, (_A.SEND,), keep=True),
    (_S.PROCEEDING, _E.SUCCESS): Step(_S.ACCEPTED, (_A.SEND,), (_T.L,)),
    (_S.PROCEEDING, _E.FAILURE): Step(_S.COMPLETED, (_A.SEND,), (_T.G, _T.H)),
    (_S.PROCEEDING, _E.TRANSPORT_FAILED): Step(_S.TERMINATED, (_A.FAIL,)),
    (_S.ACCEPTED, _E.REQUEST): Step(_S.ACCEPTED, keep=True),
    (_S.ACCEPTED, _E.SUCCESS): Step(_S.ACCEPTED, (_A.SEND,), keep=True),
    (_S.ACCEPTED, _E.ACK): Step(_S.ACCEPTED, (_A.PASS,), keep=True),
    (_S.ACCEPTED, _T.L): Step(_S.TERMINATED),
    (_S.COMPLETED, _E.REQUEST): Step(_S.COMPLETED, (_A.RESEND,), keep=True),
    (_S.COMPLETED, _T.G): Step(_S.COMPLETED, (_A.RESEND,), (_T.G,), keep=True),
    (_S.COMPLETED, _T.H): Step(_S.TERMINATED, (_A.TIME_OUT,)),
    (_S.COMPLETED, _E.ACK): Step(_S.CONFIRMED, (), (_T.I,)),
    (_S.COMPLETED, _E.TRANSPORT_FAILED): Step(_S.TERMINATED, (_A.FAIL,)),
    (_S.CONFIRMED, _T.I): Step(_S.TERMINATED),
}
#: Section 17.2.2.
OTHER_SERVER: Table = {
    (_S.TRYING, _E.PROVISIONAL): Step(_S.PROCEEDING, (_A.SEND,)),
    (_S.TRYING, _E.SUCCESS): Step(_S.COMPLETED, (_A.SEND,), (_T.J,)),
    (_S.TRYING, _E.FAILURE): Step(_S.COMPLETED, (_A.SEND,), (_T.J,)),
    (_S.PROCEEDING, _E.REQUEST): Step(_S.PROCEEDING, (_A.RESEND,), keep=True),
    (_S.PROCEEDING, _E.PROVISIONAL): Step(_S.PROCEEDING, (_A.SEND,), keep=True),
    (_S.PROCEEDING, _E.SUCCESS): Step(_S.COMPLETED, (_A.SEND,), (_T.J,)),
    (_S.PROCEEDING, _E.FAILURE): Step(_S.COMPLETED, (_A.SEND,), (_T.J,)),
    (_S.PROCEEDING, _E.TRANSPORT_FAILED): Step(_S.TERMINATED, (_A.FAIL,)),
    (_S.COMPLETED, _E.REQUEST): Step(_S.COMPLETED, (_A.RESEND,), keep=True),
    (_S.COMPLETED, _E.TRANSPORT_FAILED): Step(_S.TERMINATED),
    (_S.COMPLETED, _T.J): Step(_S.TERMINATED),
}

#: How long each timer runs over UDP; those that send again double, E and G up to T2 (section 17's table 4).
_UNRELIABLE_S = {
    Timer.A: T1_S,
    Timer.B: 64 * T1_S,
    Timer.D: 32.0,
    Timer.E: T1_S,
    Timer.F: 64 * T1_S,
    Timer.G: T1_S,
    Timer.H: 64 * T1_S,
    Timer.I: T4_S,
    Timer.J: 64 * T1_S,
    Timer.K: T4_S,
    Timer.L: 64 * T1_S,
    Timer.M: 64 * T1_S,
}
#: Nothing is lost over a stream, so nothing need be sent again, and nothing awaited that was.
_NOT_OVER_STREAMS = frozenset({Timer.A, Timer.E, Timer.G})
_ZERO_OVER_STREAMS = frozenset({Timer.D, Timer.I, Timer.J, Timer.K})
_DOUBLING = {Timer.A: 64 * T1_S, Timer.E: T2_S, Timer.G: T2_S}


class Machine:
    """Runs one table: what is done is told to `act`, the end to `on_terminated`."""

    def __init__(
        self,
        table: Table,
        state: State,
        *,
        reliable: bool,
        timers: Timers,
        act: Callable[[Act, Response | None], None],
        on_terminated: Callable[[], None],
        name: str,
    ) -> None:
        self._table = table
        self._state = state
        self._reliable = reliable
        self._timers = timers
        self._act = act
        self._on_terminated = on_terminated
        self._name = name
        self._running: dict[Timer, TimerHandle] = {}
        self._delays: dict[Timer, float] = {}

    @property
    def state(self) -> State:
        return self._state

    def start(self, *timers: Timer) -> None:
        for timer in timers:
            if self._reliable and timer in _NOT_OVER_STREAMS:
                continue
            delay_s = 0.0 if self._reliable and timer in _ZERO_OVER_STREAMS else self._next_delay(timer)
            self._running[timer] = self._timers.call_later(delay_s, lambda timer=timer: self._fired(timer))  # type: ignore[misc]  # mypy cannot infer the default

    def take(self, event: Event | Timer, response: Response | None = None) -> bool:
        """Do what the table says, and tell whether it says anything."""
        step = self._table.get((self._state, event))
        if step is None:
            return False
        self._set_state(step.to, event, keep=step.keep)
        self.start(*step.start)
        for act in step.do:
            self._act(act, response)
        if self._state is State.TERMINATED:
            self._on_terminated()
        return True

    def stop(self) -> None:
        """End without telling anybody."""
        self._set_state(State.TERMINATED, Event.TRANSPORT_FAILED, keep=False)

    def _next_delay(self, timer: Timer) -> float:
        if timer not in _DOUBLING:
            return _UNRELIABLE_S[timer]
        # Section 17.1.2.2: a request that was heard of is sent again every T2 only.
        slow = timer is Timer.E and self._state is State.PROCEEDING
        delay_s = T2_S if slow else self._delays.get(timer, _UNRELIABLE_S[timer])
        self._delays[timer] = min(2 * delay_s, _DOUBLING[timer])
        return delay_s

    def _fired(self, timer: Timer) -> None:
        self._running.pop(timer, None)
        self.take(timer)

    def _set_state(self, state: State, why: Event | Timer, *, keep: bool) -> None:
        if not keep or state is State.TERMINATED:
            for handle in self._running.values():
                handle.cancel()
            self._running.clear()
        if state is not self._state:
            _log.debug("transaction changed", transaction=self._name, was=self._state, now=state, why=why)
            self._state = state


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
