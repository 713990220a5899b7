"""The four transaction machines of RFC 3261 section 17, as corrected by RFC 6026, in tables. Pure; timers are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import structlog
from sipmessage import Response

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
