"""Calls out by Twilio: placed by REST, carried by a Media Stream that comes back to us, or failed for a reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from voicebot.personal import Personal
from voicebot.telephony.dialing import DialFailed, DialFailure
from voicebot.telephony.leg import EndCause, HangUpReason
from voicebot.telephony.numbers import DialLimits, NumberPlan
from voicebot.telephony.socket_line import SocketLine
from voicebot.telephony.twilio.leg import TwilioLeg
from voicebot.telephony.twilio.rest import NewCall, TwilioError, TwilioRefused, TwilioRest
from voicebot.telephony.twilio.stream import TwilioStream
from voicebot.telephony.twilio.webhook import CarrierCallStatus, stream_twiml

_log = structlog.get_logger()

#: Twilio may ring five seconds longer than asked, and takes a moment to open a stream.
OPENING_S = 4.0
#: A call that was given up is looked out for so long: Twilio may report it, or answer our request, late.
REMEMBERED_S = 120.0
#: The shortest time to ring that Twilio takes.
MIN_RING_S = 5

_FINAL = {
    CarrierCallStatus.BUSY: DialFailure.BUSY,
    CarrierCallStatus.NO_ANSWER: DialFailure.NO_ANSWER,
    CarrierCallStatus.CANCELED: DialFailure.NO_ANSWER,
    CarrierCallStatus.FAILED: DialFailure.UNREACHABLE,
    # Whoever answered hung up before their audio came.
    CarrierCallStatus.COMPLETED: DialFailure.DECLINED,
}
#: Errors of Twilio's that say what is wrong with the number, see its list of errors and warnings.
_REFUSALS = {
    13224: DialFailure.NOT_FOUND,
    21211: DialFailure.NOT_FOUND,
    21214: DialFailure.NOT_FOUND,
    21217: DialFailure.NOT_FOUND,
    13227: DialFailure.NOT_ALLOWED,
    21215: DialFailure.NOT_ALLOWED,
    21216: DialFailure.NOT_ALLOWED,
}
_UNAUTHORISED = frozenset({401, 403})


class OutgoingLeg(TwilioLeg):
    """The leg of a call that we placed; its `leg_id` is the call's id."""

    def __init__(self, line: SocketLine, stream: TwilioStream) -> None:
        super().__init__(line, stream)
        self._opened = line
        self._confirmed = False

    def confirm(self) -> None:
        """Take it that a person is there, whatever the carrier makes of them: they have accepted a call."""
        self._confirmed = True

    async def machine_answered(self) -> None:
        """End the leg, as a machine is on it, unless somebody has shown that they are none."""
        if not self._confirmed:
            await self._opened.close(EndCause.VOICEMAIL, 1000)


@dataclass(frozen=True, slots=True)
class CallbackAddresses:
    """Where Twilio reaches us about calls that we placed, by the call's id; `machine` is empty for no detection."""

    stream: str
    stream_status: str
    status: Callable[[str], str]
    machine: Callable[[str], str]


@dataclass
class _Dialled:
    """One call out. `outcome` is its leg, or why there is none; `placing` ends with its SID."""

    id: str
    outcome: asyncio.Future[OutgoingLeg]
    placing: asyncio.Task[str] | None = None
    leg: OutgoingLeg | None = None
    given_up_s: float | None = None
    #: Twilio has been told to end it, or has told us that it is over.
    settled: bool = False


class TwilioDialer:
    """Places calls to numbers as `caller`, a number of the account's; the limits are those of every carrier.

    `issue_ticket` gives what the stream of a call must show, by the call's id and number. `clock` is monotonic.
    """

    def __init__(
        self,
        rest: TwilioRest,
        addresses: CallbackAddresses,
        *,
        caller: str,
        numbers: NumberPlan,
        limits: DialLimits,
        issue_ticket: Callable[[str, str], str],
        ticket_parameter: str,
        new_id: Callable[[], str],
        on_refused: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._rest = rest
        self._addresses = addresses
        self._caller = caller
        self._numbers = numbers
        self._limits = limits
        self._issue_ticket = issue_ticket
        self._ticket_parameter = ticket_parameter
        self._new_id = new_id
        self._on_refused = on_refused
        self._clock = clock
        self._calls: dict[str, _Dialled] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def dial(self, reach: str, *, timeout_s: float) -> OutgoingLeg:
        """Call a number and return its leg once it is answered; raises `DialFailed`. Cancelled, it stops ringing.

        Whoever dials awaits the leg's `run()`; the call's end gives its place among the calls at once back.
        """
        number = self._numbers.normalise(reach)
        if number is None:
            raise DialFailed(DialFailure.NOT_FOUND)
        if not self._numbers.allows(number):
            raise self._refused("dial_number")
        if not self._limits.take():
            raise self._refused("dial_limit")
        self._forget_old()
        call = _Dialled(self._new_id(), asyncio.get_running_loop().create_future())
        self._calls[call.id] = call
        leg: OutgoingLeg | None = None
        try:
            async with asyncio.timeout(timeout_s + OPENING_S):
                leg = await self._reached(call, number, timeout_s)
        except TimeoutError as error:
            raise DialFailed(DialFailure.NO_ANSWER) from error
        finally:
            if leg is None:
                self._give_up(call)
        _log.info("call was answered", leg_id=call.id, called=Personal(number))
        return leg

    async def close(self) -> None:
        """Wait for the requests that end calls; nothing rings on."""
        while self._ending:  # what ends may have more to end
            await asyncio.gather(*self._ending, return_exceptions=True)

    # --- what Twilio tells

    async def opened(self, leg: OutgoingLeg) -> None:
        """Take the stream of a call that was answered, and return when it is over."""
        call = self._calls.get(leg.info.leg_id)
        if call is None or call.outcome.done():
            _log.info("a call that nobody wants any more was answered", leg_id=leg.info.leg_id)
            return
        call.leg = leg
        call.outcome.set_result(leg)
        try:
            await leg.run()
        finally:
            del self._calls[call.id]
            self._limits.give_back()

    def reported(self, call_id: str, call_sid: str, status: CarrierCallStatus) -> None:
        """Take a report on how a call is."""
        call = self._calls.get(call_id)
        if call is None:
            return
        failure = _FINAL.get(status)
        if call.given_up_s is not None:
            if failure is None and not call.settled:
                # Its placing was never confirmed to us, yet it rings.
                self._end(call, call_sid)
        elif failure is not None and not call.outcome.done():
            call.settled = True
            call.outcome.set_exception(DialFailed(failure))

    async def answered_by(self, call_id: str, *, machine: bool) -> None:
        """Take what Twilio makes of whoever answered."""
        call = self._calls.get(call_id)
        if call is None or not machine:
            return
        if call.leg is not None:
            await call.leg.machine_answered()
        elif not call.outcome.done():
            call.outcome.set_exception(DialFailed(DialFailure.VOICEMAIL))

    # --- placing and giving up

    async def _reached(self, call: _Dialled, number: str, ring_s: float) -> OutgoingLeg:
        parameters = {self._ticket_parameter: self._issue_ticket(call.id, number)}
        twiml = stream_twiml(
            url=self._addresses.stream, status_url=self._addresses.stream_status, parameters=parameters
        )
        wanted = NewCall(
            to=number,
            caller=self._caller,
            twiml=twiml,
            status_url=self._addresses.status(call.id),
            machine_url=self._addresses.machine(call.id),
            ring_s=max(MIN_RING_S, round(ring_s)),
        )
        # In a task of its own: a request that is cut in the middle may have placed the call, and nobody knew its SID.
        call.placing = asyncio.create_task(self._rest.place_call(wanted))
        try:
            await asyncio.shield(call.placing)
        except TwilioRefused as refused:
            _log.warning("a call out was refused by its carrier", status=refused.status, code=refused.code)
            raise DialFailed(_reason(refused), refused.status) from refused
        except TwilioError as error:
            _log.warning("a call out may not have been placed", why=str(error))
            if call.leg is None:
                raise DialFailed(DialFailure.UNREACHABLE) from error
        return await call.outcome

    def _give_up(self, call: _Dialled) -> None:
        """Have nothing ring on, whatever became of the request that placed the call."""
        call.given_up_s = self._clock()
        if call.outcome.done() and not call.outcome.cancelled():
            call.outcome.exception()  # it was raised, or nobody is there to hear it
        call.outcome.cancel()
        if call.leg is None:
            self._limits.give_back()  # else the end of the leg does it
        if not call.settled and call.placing is not None:
            self._end(call, None)

    def _end(self, call: _Dialled, call_sid: str | None) -> None:
        call.settled = call_sid is not None
        task = asyncio.create_task(self._end_call(call, call_sid))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end_call(self, call: _Dialled, call_sid: str | None) -> None:
        try:
            if call.leg is not None:
                await call.leg.hang_up(HangUpReason.COMPLETED)
            if call_sid is None and call.placing is not None:
                call_sid = await call.placing
                call.settled = True
            if call_sid is not None:
                await self._rest.end_call(call_sid)
        except TwilioError as error:
            _log.warning("a call out could not be ended", leg_id=call.id, why=str(error))

    def _forget_old(self) -> None:
        now_s = self._clock()
        for call in [*self._calls.values()]:
            if call.given_up_s is not None and now_s - call.given_up_s > REMEMBERED_S:
                del self._calls[call.id]

    def _refused(self, why: str) -> DialFailed:
        self._on_refused(why)
        _log.warning("a call out was refused", why=why)
        return DialFailed(DialFailure.NOT_ALLOWED)


def _reason(refused: TwilioRefused) -> DialFailure:
    if refused.status in _UNAUTHORISED and refused.code not in _REFUSALS:
        return DialFailure.UNAUTHORISED
    return _REFUSALS.get(refused.code, DialFailure.UNREACHABLE)
