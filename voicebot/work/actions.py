"""Cancels and undoes whatever was done, waits or is planned for a call, in one way for all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, assert_never

from voicebot.dialog.flow import Operation, Undo
from voicebot.records.actions import Action, ActionBook, ActionKind, ActionState, Holder
from voicebot.records.deeds import ApprovalState, Deed, Deeds, DeedState
from voicebot.work.durable import Errand
from voicebot.work.supervision import Supervision
from voicebot.work.undoing import NOT_KEPT, UNDO, arguments_of
from voicebot.work.verbs import NOT_HAPPENED, Course, Reversal, Verb, course, reversal_of

#: So long whoever asked waits for a system to take something back; it goes on without them.
WAIT_S = 5.0
_LOOK_EVERY_S = 0.05


class Told(StrEnum):
    """How a request has gone."""

    #: It is as it was wished to be.
    SETTLED = "settled"
    #: It will be, by an operation that is tried again or by a person.
    BEGUN = "begun"
    #: It cannot be, or not now.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request: the action as it stands, and one or two sentences for whoever asked."""

    action: Action
    told: Told
    text: str


class Reversals(Protocol):
    """Carries out what undoes writes."""

    async def take_up(self, errand: Errand) -> None:
        """Have it done, unless it is being done."""
        ...


#: Gives the operations of a version of the flows.
ContractsOf = Callable[[str], Awaitable[Mapping[str, Operation]]]


class Actions:
    """Lists actions and does to them what people say. Repeated, a verb changes nothing and says so."""

    def __init__(
        self,
        book: ActionBook,
        supervision: Supervision,
        contracts_of: ContractsOf,
        reversals: Reversals,
        *,
        wait_s: float = WAIT_S,
    ) -> None:
        self.book = book
        self._supervision = supervision
        self._deeds: Deeds = supervision.deeds
        self._contracts_of = contracts_of
        self._reversals = reversals
        self._wait_s = wait_s

    async def of_call(self, call_id: str) -> Sequence[Action]:
        return await self.book.of_call(call_id)

    async def latest(self) -> Sequence[Action]:
        return await self.book.latest()

    async def in_clear(self, action_id: str) -> tuple[Action, Mapping[str, str]] | None:
        """Return an action and what it was done with, nothing masked; None when there is none of this id."""
        action = await self.book.find(action_id)
        return None if action is None else (action, await self._deeds.in_clear(action_id))

    async def do(self, verb: Verb, action_id: str, *, by: str) -> Answer | None:
        """Cancel or undo an action; None when there is none of this id."""
        action = await self.book.find(action_id)
        if action is None:
            return None
        contract = await self._contract(action)
        reversal, how = reversal_of(action.kind, contract)
        match course(verb, action.state, reversal):
            case Course.STOP:
                return await self._stop(action, by)
            case Course.REVERSE:
                return await self._reverse(action, contract.undo if contract else None, how, by)
            case Course.ASK_PERSON:
                return await self._ask_person(action, how, by)
            case Course.NOTHING:
                return Answer(action, Told.SETTLED, NOT_HAPPENED[action.state])
            case Course.WAIT:
                return _on_its_way(action, how)
            case Course.BUSY:
                return Answer(action, Told.REFUSED, "It is being carried out at this moment; ask again in a while.")
            case Course.REFUSE:
                return Answer(action, Told.REFUSED, _refusal(reversal, how))
            case other:
                assert_never(other)

    async def _contract(self, action: Action) -> Operation | None:
        if action.kind is not ActionKind.WRITE or action.state not in {
            ActionState.DONE,
            ActionState.UNDO_FAILED,
            ActionState.UNDOING,
            ActionState.WITH_PERSON,
        }:
            return None
        contracts = await self._contracts_of(await self._deeds.flow_version(action.call_id))
        return contracts.get(action.name)

    async def _stop(self, action: Action, by: str) -> Answer:
        if action.holder is Holder.APPROVAL:
            approval = await self._supervision.withdraw(action.id, by=by)
            stopped = approval is not None and approval.state is ApprovalState.WITHDRAWN
        else:
            stopped = await self.book.stop(action, by)
        now = await self.book.find(action.id) or action
        if stopped or now.state is ActionState.CANCELLED:
            return Answer(now, Told.SETTLED, "It had not happened yet, and will not.")
        return Answer(now, Told.REFUSED, f"It has just gone on: {now.state.replace('_', ' ')}. Ask again.")

    async def _reverse(self, action: Action, undo: Undo | None, how: str, by: str) -> Answer:
        deed = await self._deeds.deed(action.id)
        if deed is None or undo is None or arguments_of(undo, deed) is None:
            return Answer(action, Told.REFUSED, NOT_KEPT)
        # Whoever comes second finds it changed, and waits with the first.
        await self._deeds.change(deed, DeedState.UNDOING, by, action="undo_begun")
        await self._reversals.take_up(Errand(UNDO, deed.id))
        return _on_its_way(await self._settled(action), f"It was done already. {how}")

    async def _settled(self, action: Action) -> Action:
        """Return an action once it is undone or cannot be, or as it is when that takes long."""
        # Not by a time limit around it: a look that were broken off would leave the state from before the undoing.
        until_s = asyncio.get_running_loop().time() + self._wait_s
        while True:
            # Another server may do it, so that only the database knows.
            now = await self.book.find(action.id) or action
            if now.state is not ActionState.UNDOING or asyncio.get_running_loop().time() >= until_s:
                return now
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _ask_person(self, action: Action, how: str, by: str) -> Answer:
        deed: Deed | None = await self._deeds.deed(action.id)
        if deed is not None:
            text = f"Undo {action.name}: {how}"
            await self._deeds.change(deed, DeedState.WITH_PERSON, by, action="undo_asked", by_hand=text)
        return _on_its_way(await self.book.find(action.id) or action, how)


def _on_its_way(action: Action, how: str) -> Answer:
    match action.state:
        case ActionState.UNDONE:
            return Answer(action, Told.SETTLED, f"{how} It is undone.")
        case ActionState.UNDO_FAILED:
            return Answer(action, Told.REFUSED, f"It could not be undone. {action.problem or ''}".strip())
        case ActionState.WITH_PERSON:
            return Answer(action, Told.BEGUN, f"A person has been asked to do it, among the follow-ups: {how}")
        case _:
            return Answer(action, Told.BEGUN, f"It is being undone. {action.problem or ''}".strip())


def _refusal(reversal: Reversal, how: str) -> str:
    if reversal is Reversal.BY_HAND:
        return f"It is done, and only a person can take it back: {how} Undo it to have somebody asked."
    return f"It is done and cannot be undone: {how}"
