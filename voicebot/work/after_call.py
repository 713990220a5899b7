"""What happens once a call is over: its summary is kept, and each task of the plan that applies is done, once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from voicebot.backends.sqlite import to_json
from voicebot.calls.seams import Operations
from voicebot.errors import VoicebotError
from voicebot.records.deeds import ALL, Deeds
from voicebot.records.tasks import PlannedTask, TaskKind, Tasks, TaskState, id_of, key_of_task
from voicebot.work.customers import Customers
from voicebot.work.durable import Errand, Step, WorkFailed, WorkRefused
from voicebot.work.messages import MessageRefused, Sender
from voicebot.work.plan import KNOWN, Channel, Operate, Remind, Task, Write, fill
from voicebot.work.planned import PlannedFor
from voicebot.work.summary import facts_of, summarise

AFTER_CALL = "after_call"
TASK = "task"
#: The outcomes of an operation that another try would not change.
_DONE = "ok"


#: So many calls' records need not be read again between the steps of the work after them.
_REMEMBERED_CALLS = 32


@dataclass(frozen=True, slots=True)
class _Said:
    """What a call's record says: its slots, what is known by name, and the summary that stood when it was read."""

    slots: Mapping[str, str]
    known: Mapping[str, str]
    flow_version: str
    summary: str


class Calls(Protocol):
    async def get(self, call_id: str) -> Mapping[str, Any] | None:
        """Return a call's record, None when it was deleted."""
        ...


class AfterCall:
    """The steps of both jobs. `planned` gives the plan and the systems of the version of the flows that led a call."""

    def __init__(
        self,
        *,
        calls: Calls,
        deeds: Deeds,
        tasks: Tasks,
        customers: Customers,
        planned: PlannedFor,
        senders: Mapping[Channel, Sender],
    ) -> None:
        self._calls = calls
        self._deeds = deeds
        self._tasks = tasks
        self._customers = customers
        self._planned = planned
        self._senders = senders
        #: What the last calls' records say, with the summary that stood then. The steps of a call's work follow each
        #: other within moments, and to read a record takes as long as all the rest.
        self._lately: OrderedDict[str, _Said] = OrderedDict()

    def jobs(self) -> dict[str, Sequence[Step]]:
        return {
            AFTER_CALL: (
                Step("summarise", self._summarise),
                Step("plan", self._follow_plan),
            ),
            TASK: (Step("task", self._do_task, self._tasks.give_up),),
        }

    async def _summarise(self, call_id: str) -> Sequence[Errand]:
        record = await self._calls.get(call_id)
        if record is not None:
            summary = summarise(record, await self._deeds.deeds(call_id=call_id))
            await self._deeds.note_summary(call_id, summary)
            self._remember(call_id, record, summary)
        return ()

    async def _follow_plan(self, call_id: str) -> Sequence[Errand]:
        known = await self._known(call_id)
        if known is None:
            return ()
        facts, version = known
        async with self._planned(version) as planned:
            due = [_named(call_id, task) for task in planned.plan.tasks.values() if task.applies(facts)]
        await self._tasks.plan(due)
        return [Errand(TASK, task.subject) for task in due]

    async def _do_task(self, subject: str) -> Sequence[Errand]:
        call_id, _, name = subject.rpartition("/")
        known = await self._known(call_id)
        if known is None:  # deleted meanwhile
            return ()
        facts, version = known
        async with self._planned(version) as planned:
            # The flows' version may be gone, and the task with it: then nobody wants it done.
            if (task := planned.plan.tasks.get(name)) and await self._tasks.begin(_named(call_id, task)):
                try:
                    problem = await self._work(subject, call_id, task, facts, planned.operations)
                except Exception as error:  # whatever it is, it is noted where people look, and then tried again
                    await self._tasks.end(subject, TaskState.RETRYING, _reason(error))
                    raise
                await self._tasks.end(subject, TaskState.NOT_DONE if problem else TaskState.DONE, problem)
        return ()

    async def _work(
        self, subject: str, call_id: str, task: Task, facts: Mapping[str, str], operations: Operations
    ) -> str | None:
        """Do a task; returns why nothing came of it, if another try would change nothing."""
        match task.work:
            case Operate(operation, names):
                if any(pause.subject == ALL for pause in await self._deeds.pauses()):
                    # Tried again for a while, then among the failed work, to be taken up when all goes on.
                    raise WorkFailed("automation is paused")
                arguments = {argument: facts.get(name, "") for argument, name in names.items()}
                key = key_of_task(subject)
                answer = await operations.call(operation, arguments, idempotency_key=key)
                if answer.outcome != _DONE:
                    return f"The system answered: {answer.outcome.replace('_', ' ')}."
                await self._deeds.note(id_of(key), call_id, operation, to_json(arguments), to_json(answer.result))
            case Write(channel, to, title, text):
                sender, address = self._senders.get(channel), facts.get(to)
                if not sender:
                    return f"Nothing is set up that sends {channel.value}."
                if not address:
                    return f"'{to}' is not known of this call."
                if not await self._deeds.was_sent(subject):
                    words = fill(text, facts)
                    reference = await self._send(sender, subject, address, title, words)
                    await self._deeds.note_message(subject, call_id, channel.value, words, reference)
            case Remind(text, due_hours):
                await self._deeds.note_follow_up(subject, call_id, fill(text, facts), timedelta(hours=due_hours))
        return None

    async def _send(self, sender: Sender, subject: str, address: str, title: str, words: str) -> str:
        """Send a message that is not noted as sent, unless a server that died before it could note it has."""
        try:
            earlier = [found for found in await sender.sent(address, words) if not await self._deeds.is_noted(found)]
            return earlier[0] if earlier else await sender.send(subject, address, title, words)
        except MessageRefused as refused:
            raise WorkRefused(str(refused)) from None

    async def _known(self, call_id: str) -> tuple[dict[str, str], str] | None:
        """Return what is known of a call by name, and which flows led it; None when it was deleted."""
        summary = await self._deeds.summary(call_id) or ""
        said = self._lately.get(call_id)
        # A summary goes with its call, and is emptied with the words that it was made of.
        if said is None or not summary or said.summary != summary:
            self._lately.pop(call_id, None)
            record = await self._calls.get(call_id)
            if record is None:
                return None
            said = self._remember(call_id, record, summary)
        facts = {**said.slots, **await self._customers.facts(call_id), **said.known, "summary": summary}
        return facts, said.flow_version

    def _remember(self, call_id: str, record: Mapping[str, Any], summary: str) -> _Said:
        known = {name: str(record[name] or "") for name in KNOWN if name in record}
        said = self._lately[call_id] = _Said(facts_of(record), known, str(record["flow_version"]), summary)
        if len(self._lately) > _REMEMBERED_CALLS:
            self._lately.popitem(last=False)
        return said


def _named(call_id: str, task: Task) -> PlannedTask:
    match task.work:
        case Operate(operation, _):
            kind, name = TaskKind.OPERATION, operation
        case Write(channel, _, _, _):
            kind, name = TaskKind.MESSAGE, channel.value
        case Remind():
            kind, name = TaskKind.FOLLOW_UP, task.name
    return PlannedTask(f"{call_id}/{task.name}", call_id, kind, name)


def _reason(error: Exception) -> str:
    """Return why a try failed. Our own errors say so without anybody's data; of others only the kind is told."""
    return str(error) if isinstance(error, VoicebotError) else type(error).__name__
