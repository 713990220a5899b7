"""Between a call and the customer's systems: writes wait for approval where they must, and are noted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import SQLAlchemyError

from voicebot.backends.backends import BackendResult
from voicebot.backends.sqlite import to_json
from voicebot.calls.seams import OperationResult, Operations
from voicebot.dialog.condition import holds
from voicebot.dialog.events import SlotValue
from voicebot.dialog.flow import NOBODY_DECIDED, NOT_APPROVED, Operation
from voicebot.errors import BackendUnavailable
from voicebot.records.deeds import ALL, Approval, ApprovalState, Deeds
from voicebot.records.tasks import id_of
from voicebot.work.plan import NO_DAY

log = structlog.get_logger(__name__)

#: How long a caller waits for a person's word.
APPROVAL_LIMIT_S = 60.0
#: Another server process may have taken the decision, so it is looked for.
_LOOK_EVERY_S = 1.0

#: Tells whoever is to decide that something waits.
Notify = Callable[[Approval], Awaitable[None]]


async def _no_one(approval: Approval) -> None:
    del approval


@dataclass(frozen=True, slots=True)
class Supervision:
    """What all calls share: the notes, what is paused, and who is told of approvals."""

    deeds: Deeds
    notify: Notify = _no_one
    limit_s: float = APPROVAL_LIMIT_S
    #: Set when somebody decides in this process, so that the caller need not wait for the next look.
    decided: asyncio.Event = field(default_factory=asyncio.Event)

    def of_call(
        self, call_id: Callable[[], str], operations: Operations, contracts: Mapping[str, Operation]
    ) -> SupervisedOperations:
        """Return what a call uses in place of `operations`; `call_id` is asked for when something is written."""
        return SupervisedOperations(self, call_id, operations, contracts)

    async def decide(self, approval_id: str, *, granted: bool, by: str) -> Approval | None:
        """Grant or refuse; returns the approval as it stands, which somebody else may have decided before."""
        return await self._decide(approval_id, ApprovalState.GRANTED if granted else ApprovalState.REFUSED, by)

    async def withdraw(self, approval_id: str, *, by: str) -> Approval | None:
        """Take back what waits for an approval, so that it is not done; returns the approval as it stands."""
        return await self._decide(approval_id, ApprovalState.WITHDRAWN, by)

    async def _decide(self, approval_id: str, state: ApprovalState, by: str) -> Approval | None:
        approval = await self.deeds.decide(approval_id, state, by)
        self.decided.set()
        return approval


class SupervisedOperations:
    """The operations of one call. Reads pass; writes may be stopped, wait for a person, and are noted when done."""

    def __init__(
        self,
        supervision: Supervision,
        call_id: Callable[[], str],
        operations: Operations,
        contracts: Mapping[str, Operation],
    ) -> None:
        self._supervision = supervision
        self._call_id = call_id
        self._operations = operations
        self._contracts = contracts

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None = None
    ) -> OperationResult:
        contract = self._contracts.get(operation)
        if contract is None or not contract.write or not idempotency_key:
            return await self._operations.call(operation, arguments, idempotency_key=idempotency_key)
        if await self._all_paused():
            raise BackendUnavailable("Automation is paused, so nothing is written.")
        public = {name: value for name, value in arguments.items() if name not in contract.secret}
        if contract.approve_when and holds(contract.approve_when, arguments.get, NO_DAY):
            try:
                state = await self._decision(contract, public, idempotency_key)
            except SQLAlchemyError as error:
                raise BackendUnavailable(f"Nobody can be asked to approve: {type(error).__name__}.") from None
            if state is not ApprovalState.GRANTED:
                return BackendResult(NOBODY_DECIDED if state is ApprovalState.EXPIRED else NOT_APPROVED)
        answer = await self._operations.call(operation, arguments, idempotency_key=idempotency_key)
        if answer.outcome == "ok":
            try:
                await self._supervision.deeds.note(
                    id_of(idempotency_key), self._call_id(), operation, to_json(public), to_json(answer.result)
                )
            except SQLAlchemyError as error:
                # It is done, and the caller must hear so; the record's decision has it too.
                log.error("action not noted", operation=operation, error=type(error).__name__)
        return answer

    async def _all_paused(self) -> bool:
        try:
            return any(pause.subject == ALL for pause in await self._supervision.deeds.pauses())
        except SQLAlchemyError as error:
            log.error("pauses not known", error=type(error).__name__)
            return False

    async def _decision(self, contract: Operation, arguments: Mapping[str, SlotValue], key: str) -> ApprovalState:
        """Wait until somebody decides, or for so long that nobody will."""
        supervision = self._supervision
        deeds, key, call_id = supervision.deeds, id_of(key), self._call_id()
        approval = await deeds.ask(key, call_id, contract.name, to_json(arguments), supervision.limit_s)
        log.info("approval asked for", call_id=call_id, operation=contract.name)
        telling = asyncio.create_task(_told(supervision.notify, approval))
        try:
            async with asyncio.timeout(supervision.limit_s):
                while approval.state is ApprovalState.WAITING:
                    supervision.decided.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_EVERY_S):
                            await supervision.decided.wait()
                    approval = await deeds.approval(key) or approval
        except TimeoutError:
            approval = await deeds.decide(key, ApprovalState.EXPIRED, "bot") or approval
        except asyncio.CancelledError:
            await asyncio.shield(deeds.decide(key, ApprovalState.WITHDRAWN, "bot"))
            raise
        finally:
            telling.cancel()
        log.info("approval decided", call_id=call_id, operation=contract.name, state=approval.state.value)
        return approval.state


async def _told(notify: Notify, approval: Approval) -> None:
    try:
        await notify(approval)
    except Exception as error:  # noqa: BLE001  # whoever could not be told may still look at the page
        log.warning("approval could not be announced", error=type(error).__name__)
