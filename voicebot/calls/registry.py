"""All live calls of this process: who may come in, and how they all end when the server must."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from voicebot.calls.admission import Limits, Load, RefusalReason, refuse
from voicebot.telephony.leg import CallLeg, HangUpReason

log = structlog.get_logger(__name__)

#: From the admission of a call to its media; as long as a stream's ticket lives.
EXPECTED_WITHIN_S = 60.0
#: After a polite end was asked for, how long the goodbye may take before the call is cut.
GOODBYE_GRACE_S = 15.0


class Session(Protocol):
    async def run(self) -> None: ...
    def must_end(self, why: str) -> None: ...


@dataclass(frozen=True, slots=True)
class _Expected:
    """A call that was admitted and whose media has not come yet."""

    caller: str
    until_s: float


class LiveCalls:
    """Admits calls, runs each to its end, and drains them. `after_call` runs when a call has ended.

    A call that was admitted holds its place until its media comes, so that many webhooks in one second do not all
    find the same place free. `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        make_session: Callable[[CallLeg], Session],
        limits: Limits,
        *,
        cpu_percent: Callable[[], float],
        engine_load: Callable[[], float],
        after_call: Callable[[int], None],
        clock: Callable[[], float],
    ) -> None:
        self._make_session = make_session
        self._limits = limits
        self._cpu_percent = cpu_percent
        self._engine_load = engine_load
        self._after_call = after_call
        self._clock = clock
        self._expected: dict[str, _Expected] = {}
        self._sessions: dict[str, Session] = {}
        self._of_caller: Counter[str] = Counter()
        self._draining = False
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def count(self) -> int:
        return len(self._sessions)

    @property
    def draining(self) -> bool:
        return self._draining

    def admit(self, caller: str, call_id: str) -> RefusalReason | None:
        """Keep a place for a call, or return why it must be refused now. An empty caller is not counted as one.

        `call_id` is what the leg that follows has as its `carrier_call_id`, or its `leg_id` where it has none. Asking
        again for the same call (carriers repeat webhooks) takes no second place.
        """
        self.withdraw(call_id)
        reason = self.why_full(caller)
        if reason is None:
            self._expected[call_id] = _Expected(caller, self._clock() + EXPECTED_WITHIN_S)
        return reason

    def withdraw(self, call_id: str) -> None:
        """Give up the place of a call that was admitted and will not come."""
        self._expected.pop(call_id, None)

    def why_full(self, caller: str = "") -> RefusalReason | None:
        """Return why one more call would be refused now, or None; nothing is kept for it."""
        now_s = self._clock()
        self._expected = {key: expected for key, expected in self._expected.items() if expected.until_s > now_s}
        of_caller = sum(expected.caller == caller for expected in self._expected.values()) + self._of_caller[caller]
        load = Load(
            live_calls=len(self._sessions) + len(self._expected),
            calls_of_caller=of_caller if caller else 0,
            cpu_percent=self._cpu_percent(),
            engine_load=self._engine_load(),
            draining=self._draining,
        )
        return refuse(load, self._limits)

    async def accept(self, leg: CallLeg) -> None:
        """Carry one call until it ends. A leg that slipped past admission while draining is hung up at once."""
        if self._draining:
            await leg.hang_up(HangUpReason.SHUTTING_DOWN)
            return
        leg_id, caller = leg.info.leg_id, leg.info.caller
        self._expected.pop(leg.info.carrier_call_id or leg_id, None)
        session = self._make_session(leg)
        self._sessions[leg_id] = session
        self._of_caller[caller] += 1
        self._empty.clear()
        try:
            await session.run()
        finally:
            del self._sessions[leg_id]
            self._of_caller[caller] -= 1
            if not self._of_caller[caller]:
                del self._of_caller[caller]
            if not self._sessions:
                self._empty.set()
            self._after_call(len(self._sessions))

    async def drain(self, limit_s: float) -> None:
        """Take no new calls, let live ones finish within `limit_s`, then end them with a spoken goodbye."""
        self._draining = True
        if not self._sessions:
            return
        log.info("draining", live_calls=len(self._sessions), limit_s=limit_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._empty.wait()
                return
        for session in list(self._sessions.values()):
            session.must_end("shutting_down")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_GRACE_S):
                await self._empty.wait()
                return
        log.warning("calls cut at shutdown", live_calls=len(self._sessions))
