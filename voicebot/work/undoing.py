"""Undoes writes by the operation that their contract names: tried until the system has answered, whatever dies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voicebot.backends.sqlite import from_json
from voicebot.dialog.events import SlotValue
from voicebot.dialog.flow import Undo
from voicebot.errors import BackendUnavailable
from voicebot.records.deeds import Deed, Deeds, DeedState
from voicebot.work.durable import Errand, Step, WorkFailed, WorkRefused
from voicebot.work.planned import PlannedFor

UNDO = "undo"
_OK = "ok"
NOT_KEPT = (
    "What was done is not kept any more, as retention says, or sealed with a key that is missing here; undo it in the"
    " system itself."
)


class Undoing:
    """The one step of the job. It uses the flows that led the call, as they were when the write was done."""

    def __init__(self, deeds: Deeds, planned: PlannedFor) -> None:
        self._deeds = deeds
        self._planned = planned

    def jobs(self) -> dict[str, Sequence[Step]]:
        return {UNDO: (Step("undo", self._undo, self._given_up),)}

    async def _undo(self, deed_id: str) -> Sequence[Errand]:
        deed = await self._deeds.deed(deed_id)
        if deed is None or deed.state is not DeedState.UNDOING:
            return ()
        async with self._planned(await self._deeds.flow_version(deed.call_id)) as planned:
            contract = planned.contracts.get(deed.operation)
            undo = contract.undo if contract else None
            if undo is None or not undo.operation:
                raise await self._refused(deed, "Its operation does not say any more how it is undone.")
            arguments = arguments_of(undo, deed)
            if arguments is None:
                raise await self._refused(deed, NOT_KEPT)
            # Whoever died while undoing is followed by somebody with the same key. The call is in it, so that what is
            # noted of its writes can be deleted with it.
            key = f"undo:{deed.call_id}/{deed.id}" + (f":{deed.refusals}" if deed.refusals else "")
            try:
                answer = await planned.operations.call(undo.operation, arguments, idempotency_key=key)
            except BackendUnavailable:
                await self._deeds.note_problem(deed, "The system cannot be reached; it is tried again.")
                raise WorkFailed(f"'{undo.operation}' cannot be reached") from None
        if answer.outcome != _OK:
            problem = f"The system answered: {answer.outcome.replace('_', ' ')}."
            await self._deeds.note_problem(deed, problem, refused=True)
            raise WorkRefused(problem)
        await self._deeds.change(deed, DeedState.UNDONE, deed.undone_by or "", action="undone")
        return ()

    async def _refused(self, deed: Deed, problem: str) -> WorkRefused:
        await self._deeds.note_problem(deed, problem)
        return WorkRefused(problem)

    async def _given_up(self, deed_id: str) -> None:
        deed = await self._deeds.deed(deed_id)
        if deed is not None and deed.state is DeedState.UNDOING:
            problem = (deed.problem or "It failed.").replace("it is tried again", "it was tried often enough")
            await self._deeds.change(
                deed, DeedState.UNDO_FAILED, deed.undone_by or "", action="undo_failed", problem=problem
            )


def arguments_of(undo: Undo, deed: Deed) -> Mapping[str, SlotValue] | None:
    """Return what the undoing operation is called with; None where it is not kept any more."""
    known = from_json(deed.arguments) | from_json(deed.result)
    found = {argument: known.get(name) for argument, name in undo.arguments.items()}
    given = {argument: value for argument, value in found.items() if value is not None}
    return given if len(given) == len(found) else None
