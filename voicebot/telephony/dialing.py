"""Calls out, whichever carrier places them: why one may fail, and what every leg that answered has."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol, runtime_checkable

from voicebot.errors import VoicebotError
from voicebot.telephony.leg import CallLeg


class DialFailure(StrEnum):
    """Why nobody was reached."""

    BUSY = "busy"
    NO_ANSWER = "no_answer"
    DECLINED = "declined"
    #: A machine answered, as far as the carrier can tell.
    VOICEMAIL = "voicemail"
    NOT_FOUND = "not_found"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    UNAUTHORISED = "unauthorised"
    NOT_ACCEPTABLE = "not_acceptable"
    NOT_ALLOWED = "not_allowed"


class DialFailed(VoicebotError):
    """A call could not be made. `status` is the SIP or HTTP status, 0 where none came."""

    def __init__(self, reason: DialFailure, status: int = 0) -> None:
        super().__init__(f"the call was not answered: {reason}")
        self.reason = reason
        self.status = status


class DialledLeg(CallLeg, Protocol):
    """A call out that was answered. Whoever dialled awaits `run`, which returns when the leg has ended."""

    async def run(self) -> None: ...


@runtime_checkable
class Suspected(Protocol):
    """A call out whose carrier may yet take whoever answered for a machine, and for which it is ended then."""

    def confirm(self) -> None:
        """Take it that a person is there, whatever the carrier makes of them."""
        ...
