"""What the bot wrote to the customer's systems, what people allowed or paused, and what is still to be done.

Each change of what people decide goes to the audit trail in the transaction that makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from voicebot.records.audit import AuditEntry, append
from voicebot.records.database import Database, insert_new
from voicebot.records.personal_values import PersonalValues
from voicebot.records.tables import AFTER_CALLS, APPROVALS, CALLBACKS, CALLS, DEEDS, FOLLOW_UPS, MESSAGES, PAUSES
from voicebot.records.vault.keys import RecordingKeys

#: The subject of a pause that stops everything.
ALL = "all"
#: How follow-ups are named that ask a person to undo something, before the id of what is to be undone.
_UNDO = "undo_"
_UNDO_BY_HAND_WITHIN = timedelta(hours=24)


class DeedState(StrEnum):
    DONE = "done"
    #: An operation undoes it, and is tried until it has, or is refused.
    UNDOING = "undoing"
    #: A person was asked to undo it by hand.
    WITH_PERSON = "with_person"
    UNDO_FAILED = "undo_failed"
    UNDONE = "undone"


class ApprovalState(StrEnum):
    WAITING = "waiting"
    GRANTED = "granted"
    REFUSED = "refused"
    #: Nobody decided in time.
    EXPIRED = "expired"
    #: The caller left before anybody decided, or a person took it back.
    WITHDRAWN = "withdrawn"


class FollowUpState(StrEnum):
    OPEN = "open"
    DONE = "done"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Deed:
    """A write that was done. `arguments` and `result` are text that only its operation's types can read back.

    In lists, what is personal there is masked.
    """

    id: str
    call_id: str
    operation: str
    arguments: str
    result: str
    done_at: datetime
    state: DeedState
    undone_at: datetime | None = None
    undone_by: str | None = None
    problem: str | None = None
    #: How often its undoing was answered and refused.
    refusals: int = 0


@dataclass(frozen=True, slots=True)
class Approval:
    id: str
    call_id: str
    operation: str
    arguments: str
    asked_at: datetime
    expires_at: datetime
    state: ApprovalState
    decided_at: datetime | None = None
    decided_by: str | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Something stopped by a supervisor: `ALL`, or the name of an intent."""

    subject: str
    paused_at: datetime
    paused_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class FollowUp:
    id: str
    call_id: str
    text: str
    due_at: datetime
    state: FollowUpState
    done_at: datetime | None = None
    done_by: str | None = None


@dataclass(frozen=True, slots=True)
class PastCall:
    """One of a customer's earlier calls."""

    call_id: str
    started_at: datetime
    channel: str
    goal: str | None
    goal_reached: bool
    outcome: str | None
    summary: str


class Deeds:
    """Reads and writes them. `now` dates entries; `keys` seal what is personal in them."""

    def __init__(self, database: Database, keys: RecordingKeys, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._personal = PersonalValues(keys)

    # What was done

    async def note(self, deed_id: str, call_id: str, operation: str, arguments: str, result: str) -> None:
        """Note a write; noted twice it stands as it was noted first."""
        shown, personal = self._personal.apart(deed_id, arguments=arguments, result=result)
        values = {
            "id": deed_id,
            "call_id": call_id,
            "operation": operation,
            **shown,
            "personal": personal,
            "done_at": self._now(),
            "state": DeedState.DONE.value,
        }
        async with self._database.begin() as connection:
            await connection.execute(insert_new(connection, DEEDS, values))

    async def deed(self, deed_id: str) -> Deed | None:
        """Return a write with all that it was done with, in clear; null what its key is missing for."""
        async with self._database.connect() as connection:
            row = (await connection.execute(select(DEEDS).where(DEEDS.c.id == deed_id))).first()
        if row is None:
            return None
        whole = self._personal.together(deed_id, row.personal, arguments=row.arguments, result=row.result)
        return replace(_deed(row), arguments=whole["arguments"], result=whole["result"])

    async def deeds(self, *, call_id: str | None = None, limit: int = 100) -> Sequence[Deed]:
        """Return what was done last, of one call or of all."""
        query = select(DEEDS).order_by(DEEDS.c.done_at.desc()).limit(limit)
        if call_id is not None:
            query = query.where(DEEDS.c.call_id == call_id)
        async with self._database.connect() as connection:
            return [_deed(row) for row in await connection.execute(query)]

    async def flow_version(self, call_id: str) -> str:
        """Return which flows led a call; empty when it was deleted."""
        async with self._database.connect() as connection:
            return await connection.scalar(select(CALLS.c.flow_version).where(CALLS.c.id == call_id)) or ""

    async def change(
        self, deed: Deed, state: DeedState, by: str, *, action: str, problem: str | None = None, by_hand: str = ""
    ) -> bool:
        """Move a deed on from the state it is in, audited as `action`; False when somebody else has done so.

        With `by_hand` a person is left that to do; settling it moves the deed on.
        """
        values: dict[str, Any] = {"state": state.value, "undone_by": by, "problem": problem}
        if state is DeedState.UNDONE:
            values["undone_at"] = self._now()
        as_it_was = (DEEDS.c.id == deed.id) & (DEEDS.c.state == deed.state.value)
        async with self._database.begin() as connection:
            changed = await connection.execute(update(DEEDS).where(as_it_was).values(values))
            if not changed.rowcount:
                return False
            if by_hand:
                follow_up = {
                    "id": undoing_of(deed),
                    "call_id": deed.call_id,
                    "text": by_hand,
                    "due_at": self._now() + _UNDO_BY_HAND_WITHIN,
                    "state": FollowUpState.OPEN.value,
                }
                await connection.execute(delete(FOLLOW_UPS).where(FOLLOW_UPS.c.id == follow_up["id"]))
                await connection.execute(insert_new(connection, FOLLOW_UPS, follow_up))
            await self._audit(connection, by, action, deed.call_id, {"deed": deed.id, "operation": deed.operation})
            return True

    async def note_problem(self, deed: Deed, problem: str, *, refused: bool = False) -> None:
        """Note why a deed is not undone yet; `refused` when the system has answered, so that nothing is in doubt."""
        mine = (DEEDS.c.id == deed.id) & (DEEDS.c.state == DeedState.UNDOING.value)
        values = {"problem": problem[:256], "refusals": deed.refusals + refused}
        async with self._database.begin() as connection:
            await connection.execute(update(DEEDS).where(mine).values(values))

    # What waits for a person

    async def ask(self, approval_id: str, call_id: str, operation: str, arguments: str, limit_s: float) -> Approval:
        """Ask for a write to be allowed within `limit_s`; asked again, the first asking stands."""
        now = self._now()
        shown, personal = self._personal.apart(approval_id, arguments=arguments)
        values = {
            "id": approval_id,
            "call_id": call_id,
            "operation": operation,
            **shown,
            "personal": personal,
            "asked_at": now,
            "expires_at": now + timedelta(seconds=limit_s),
            "state": ApprovalState.WAITING.value,
        }
        async with self._database.begin() as connection:
            await connection.execute(insert_new(connection, APPROVALS, values))
            row = (await connection.execute(select(APPROVALS).where(APPROVALS.c.id == approval_id))).one()
        return _approval(row)

    async def approval(self, approval_id: str) -> Approval | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(select(APPROVALS).where(APPROVALS.c.id == approval_id))).first()
        return _approval(row) if row else None

    async def waiting(self) -> Sequence[Approval]:
        """Return what waits for a decision now, the most urgent first."""
        is_open = (APPROVALS.c.state == ApprovalState.WAITING.value) & (APPROVALS.c.expires_at > self._now())
        query = select(APPROVALS).where(is_open).order_by(APPROVALS.c.expires_at)
        async with self._database.connect() as connection:
            return [_approval(row) for row in await connection.execute(query)]

    async def decide(self, approval_id: str, state: ApprovalState, by: str) -> Approval | None:
        """Decide what is waiting; the first decision stands, and a person's comes too late once time is up.

        Returns the approval as it is then; None when there is none of this id.
        """
        now = self._now()
        mine = (APPROVALS.c.id == approval_id) & (APPROVALS.c.state == ApprovalState.WAITING.value)
        if state in {ApprovalState.GRANTED, ApprovalState.REFUSED}:
            mine &= APPROVALS.c.expires_at > now
        values = {"state": state.value, "decided_at": now, "decided_by": by}
        async with self._database.begin() as connection:
            changed = await connection.execute(update(APPROVALS).where(mine).values(values))
            row = (await connection.execute(select(APPROVALS).where(APPROVALS.c.id == approval_id))).first()
            if row is None:
                return None
            if changed.rowcount:
                about = {"approval": approval_id, "operation": row.operation}
                await self._audit(connection, by, f"approval_{state}", row.call_id, about)
            return _approval(row)

    async def in_clear(self, action_id: str) -> Mapping[str, str]:
        """Return the arguments of a write, done or to be allowed, and its result as they are; nothing for others."""
        deed = await self.deed(action_id)
        if deed is not None:
            return {"arguments": deed.arguments, "result": deed.result}
        async with self._database.connect() as connection:
            row = (await connection.execute(select(APPROVALS).where(APPROVALS.c.id == action_id))).first()
        return self._personal.together(action_id, row.personal, arguments=row.arguments) if row else {}

    # What is paused

    async def pauses(self) -> Sequence[Pause]:
        async with self._database.connect() as connection:
            rows = await connection.execute(select(PAUSES).order_by(PAUSES.c.subject))
            return [Pause(row.subject, row.paused_at, row.paused_by, row.reason) for row in rows]

    async def pause(self, subject: str, by: str, reason: str) -> None:
        """Stop an intent, or `ALL`; stopped already, it stays as it was."""
        values = {"subject": subject, "paused_at": self._now(), "paused_by": by, "reason": reason}
        async with self._database.begin() as connection:
            changed = await connection.execute(insert_new(connection, PAUSES, values))
            if changed.rowcount:
                await self._audit_subject(connection, by, "paused", f"automation:{subject}", {"reason": reason})

    async def resume(self, subject: str, by: str) -> bool:
        """Let what was stopped go on; False when it was not stopped."""
        async with self._database.begin() as connection:
            changed = await connection.execute(delete(PAUSES).where(PAUSES.c.subject == subject))
            if changed.rowcount:
                await self._audit_subject(connection, by, "resumed", f"automation:{subject}", {})
            return bool(changed.rowcount)

    # What is made of a call afterwards

    async def note_summary(self, call_id: str, summary: str) -> None:
        """Keep what a call was about; made again, it stands as it was made first."""
        mine = (AFTER_CALLS.c.call_id == call_id) & AFTER_CALLS.c.summary.is_(None)
        async with self._database.begin() as connection:
            await connection.execute(insert_new(connection, AFTER_CALLS, {"call_id": call_id}))
            await connection.execute(update(AFTER_CALLS).where(mine).values(summary=summary))

    async def summary(self, call_id: str) -> str | None:
        async with self._database.connect() as connection:
            found = await connection.scalar(select(AFTER_CALLS.c.summary).where(AFTER_CALLS.c.call_id == call_id))
        return str(found) if found is not None else None

    async def unworked(self, since: datetime, until: datetime, limit: int = 1000) -> Sequence[str]:
        """Return calls that ended after `since` and by `until`, of which nothing was made yet, the earliest first."""
        query = (
            select(CALLS.c.id)
            .outerjoin(AFTER_CALLS, AFTER_CALLS.c.call_id == CALLS.c.id)
            .where(CALLS.c.ended_at > since, CALLS.c.ended_at <= until, AFTER_CALLS.c.summary.is_(None))
            .order_by(CALLS.c.ended_at)
            .limit(limit)
        )
        async with self._database.connect() as connection:
            return [row.id for row in await connection.execute(query)]

    async def past(self, customer: Collection[str], *, limit: int = 20) -> Sequence[PastCall]:
        """Return a customer's calls that are over, the latest first; `customer` are the hashes that may name them."""
        query = (
            select(CALLS, AFTER_CALLS.c.summary)
            .join(AFTER_CALLS, AFTER_CALLS.c.call_id == CALLS.c.id)
            .where(AFTER_CALLS.c.customer.in_(customer), AFTER_CALLS.c.summary.is_not(None))
            .order_by(CALLS.c.started_at.desc())
            .limit(limit)
        )
        async with self._database.connect() as connection:
            return [
                PastCall(row.id, row.started_at, row.channel, row.goal, row.goal_reached, row.outcome, row.summary)
                for row in await connection.execute(query)
            ]

    async def owes_callback(self, customer: Collection[str]) -> bool:
        """Tell whether a customer was promised a call back that has not been made."""
        of_customer = select(AFTER_CALLS.c.call_id).where(AFTER_CALLS.c.customer.in_(customer))
        owed = exists().where(CALLBACKS.c.call_id.in_(of_customer), CALLBACKS.c.state.in_(["booked", "calling"]))
        async with self._database.connect() as connection:
            return bool(await connection.scalar(select(owed)))

    async def note_follow_up(self, follow_up_id: str, call_id: str, text: str, due_in: timedelta) -> None:
        values = {
            "id": follow_up_id,
            "call_id": call_id,
            "text": text,
            "due_at": self._now() + due_in,
            "state": FollowUpState.OPEN.value,
        }
        async with self._database.begin() as connection:
            await connection.execute(insert_new(connection, FOLLOW_UPS, values))

    async def follow_ups(self, *, customer: Collection[str] | None = None, limit: int = 100) -> Sequence[FollowUp]:
        """Return what is still to be done, the most urgent first, for one customer or for all."""
        query = select(FOLLOW_UPS).where(FOLLOW_UPS.c.state == FollowUpState.OPEN.value)
        if customer is not None:
            of_customer = select(AFTER_CALLS.c.call_id).where(AFTER_CALLS.c.customer.in_(customer))
            query = query.where(FOLLOW_UPS.c.call_id.in_(of_customer))
        async with self._database.connect() as connection:
            rows = await connection.execute(query.order_by(FOLLOW_UPS.c.due_at).limit(limit))
            return [
                FollowUp(row.id, row.call_id, row.text, row.due_at, FollowUpState(row.state), row.done_at, row.done_by)
                for row in rows
            ]

    async def settle(self, follow_up_id: str, state: FollowUpState, by: str) -> bool:
        """Close what was to be done; False when it is not open. It may have been to undo something by hand."""
        mine = (FOLLOW_UPS.c.id == follow_up_id) & (FOLLOW_UPS.c.state == FollowUpState.OPEN.value)
        values = {"state": state.value, "done_at": self._now(), "done_by": by}
        async with self._database.begin() as connection:
            call_id = str(await connection.scalar(select(FOLLOW_UPS.c.call_id).where(FOLLOW_UPS.c.id == follow_up_id)))
            changed = await connection.execute(update(FOLLOW_UPS).where(mine).values(values))
            if changed.rowcount:
                await self._audit(connection, by, f"follow_up_{state}", call_id, {"follow_up": follow_up_id})
                await self._settle_by_hand(connection, follow_up_id, state)
            return bool(changed.rowcount)

    async def _settle_by_hand(self, connection: AsyncConnection, follow_up_id: str, state: FollowUpState) -> None:
        """Move on the deed that a person was asked to undo, if it was that."""
        _, _, deed_id = follow_up_id.rpartition(f"/{_UNDO}")
        values: dict[str, Any] = {"state": DeedState.DONE.value}
        if state is FollowUpState.DONE:
            values = {"state": DeedState.UNDONE.value, "undone_at": self._now()}
        mine = (DEEDS.c.id == deed_id) & (DEEDS.c.state == DeedState.WITH_PERSON.value)
        await connection.execute(update(DEEDS).where(mine).values(values))

    async def was_sent(self, message_id: str) -> bool:
        async with self._database.connect() as connection:
            return await connection.scalar(select(MESSAGES.c.id).where(MESSAGES.c.id == message_id)) is not None

    async def is_noted(self, reference: str) -> bool:
        """Tell whether the message that a carrier calls so is noted, for whatever call."""
        async with self._database.connect() as connection:
            return bool(await connection.scalar(select(exists().where(MESSAGES.c.reference == reference))))

    async def note_message(self, message_id: str, call_id: str, kind: str, text: str, reference: str) -> None:
        """Note a message that was sent; `reference` is the carrier's."""
        values = {
            "id": message_id,
            "call_id": call_id,
            "kind": kind,
            "text": text,
            "sent_at": self._now(),
            "reference": reference,
        }
        async with self._database.begin() as connection:
            await connection.execute(insert_new(connection, MESSAGES, values))

    async def _audit(
        self, connection: AsyncConnection, by: str, action: str, call_id: str, content: Mapping[str, Any]
    ) -> None:
        await self._audit_subject(connection, by, action, f"call:{call_id}", content)

    async def _audit_subject(
        self, connection: AsyncConnection, by: str, action: str, subject: str, content: Mapping[str, Any]
    ) -> None:
        await append(connection, [AuditEntry(self._now(), by, action, subject, content)])


def _deed(row: Row[Any]) -> Deed:
    return Deed(
        row.id,
        row.call_id,
        row.operation,
        row.arguments,
        row.result,
        row.done_at,
        DeedState(row.state),
        row.undone_at,
        row.undone_by,
        row.problem,
        row.refusals,
    )


def undoing_of(deed: Deed) -> str:
    """Return the name of the follow-up by which a person undoes a deed."""
    return f"{deed.call_id}/{_UNDO}{deed.id}"


def _approval(row: Row[Any]) -> Approval:
    return Approval(
        row.id,
        row.call_id,
        row.operation,
        row.arguments,
        row.asked_at,
        row.expires_at,
        ApprovalState(row.state),
        row.decided_at,
        row.decided_by,
    )
