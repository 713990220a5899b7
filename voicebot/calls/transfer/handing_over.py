"""The part of a session that hands its caller over: when it begins, and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from voicebot.calls.notes import CallNotes
from voicebot.calls.seams import Dialog
from voicebot.calls.transfer.held_caller import HeldCaller
from voicebot.calls.transfer.transfer import Outcome, Transfer
from voicebot.dialog.actions import TransferTo
from voicebot.media.events import LineEvent
from voicebot.records.context import ContextPacket
from voicebot.telephony.leg import LegInfo

log = structlog.get_logger(__name__)

#: How long letting go of an agent may take when the caller is gone.
SETTLE_LIMIT_S = 15.0

#: Makes the packet for a queue, of which the priority is known.
MakePacket = Callable[[str, int], ContextPacket]


class Transfers(Protocol):
    """Who takes callers; None of it exists where no queue is configured."""

    def make(
        self, wanted: TransferTo, caller: HeldCaller, packet: MakePacket, *, call_id: str, info: LegInfo, tier: str
    ) -> Transfer: ...


@dataclass(frozen=True, slots=True)
class TransferEnded:
    """The transfer is over; `failure` is what it broke down with, if it did."""

    outcome: Outcome | None
    failure: BaseException | None = None


class HandingOver:
    """`tell` gets `TransferEnded`. Without `transfers` nobody is there to take a caller, and `begin` says so."""

    def __init__(
        self,
        transfers: Transfers | None,
        *,
        call_id: str,
        info: LegInfo,
        caller: HeldCaller,
        notes: CallNotes,
        dialog: Dialog,
        now: Callable[[], datetime],
        tell: Callable[[TransferEnded], None],
    ) -> None:
        self._transfers = transfers
        self._call_id = call_id
        self._info = info
        self._caller = caller
        self._notes = notes
        self._dialog = dialog
        self._now = now
        self._tell = tell
        self._transfer: Transfer | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def active(self) -> bool:
        """Whether a transfer has, or had, the caller: the dialog has no more to say then."""
        return self._transfer is not None

    def begin(self, wanted: TransferTo) -> bool:
        """Begin a transfer; False when there is nobody to transfer to, or one has begun already."""
        if self._transfers is None or self._transfer is not None:
            return False
        remembered = self._dialog.remembered

        def packet(queue: str, priority: int) -> ContextPacket:
            return self._notes.packet(wanted, queue=queue, priority=priority, remembered=remembered, now=self._now())

        tier = str(remembered.get("tier", ""))
        self._transfer = self._transfers.make(
            wanted, self._caller, packet, call_id=self._call_id, info=self._info, tier=tier
        )
        self._task = asyncio.create_task(self._run(self._transfer))
        return True

    async def take(self, event: LineEvent) -> None:
        """Take what happened on the caller's line."""
        if self._transfer is not None:
            await self._caller.take(event, self._transfer)

    def must_end(self) -> None:
        """The server must end."""
        if self._transfer is not None:
            self._transfer.must_end()

    def caller_left(self) -> None:
        self._caller.gone()
        if self._transfer is not None:
            self._transfer.caller_left()

    async def settle(self) -> None:
        """Wait until the transfer, of a caller who is gone, has let everybody go."""
        if self._task is None:
            return
        self.caller_left()
        try:
            async with asyncio.timeout(SETTLE_LIMIT_S):
                await asyncio.shield(self._task)
        except TimeoutError:
            log.error("a transfer did not end with its call", call_id=self._call_id)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, transfer: Transfer) -> None:
        try:
            outcome = await transfer.run()
        except Exception as error:  # noqa: BLE001  # handed to the session, which is the one place that catches everything
            self._tell(TransferEnded(None, error))
        else:
            self._tell(TransferEnded(outcome))
