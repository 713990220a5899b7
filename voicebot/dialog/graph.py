"""A flow as a graph: what follows what, what can be reached, and what goes round in circles."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from voicebot.dialog.flow import Flow
from voicebot.dialog.steps import (
    AskStep,
    BranchStep,
    CallStep,
    ConfirmStep,
    DoneStep,
    EndStep,
    HoursStep,
    JumpStep,
    PersonStep,
    ReachedStep,
    RecordingStep,
    RequestStep,
    RunStep,
    SayStep,
    SetStep,
    Step,
    TakeStep,
)

#: From each node to those it leads to.
Edges = Mapping[str, Collection[str]]


def successors(step: Step) -> Iterator[tuple[str, str]]:
    """Every (why, next step's id); `why` is empty for simply going on."""
    match step:
        case DoneStep() | EndStep():
            return
        case AskStep(next=following, no=no, question=question):
            yield "", following
            if no is not None:
                yield "no", no
            if question.gives_up is not None:
                yield "gives up", question.gives_up
        case ConfirmStep(next=following, no=no, question=question):
            yield "yes", following
            yield "no", no
            if question.gives_up is not None:
                yield "gives up", question.gives_up
        case RequestStep(next=following, no=no, question=question):
            yield "request done", following
            if no is not None:
                yield "no", no
            if question.gives_up is not None:
                yield "gives up", question.gives_up
        case CallStep(next=following, outcomes=outcomes, unavailable=unavailable):
            yield "ok", following
            yield from outcomes.items()
            if unavailable is not None:
                yield "unavailable", unavailable
        case RunStep(next=following, outcomes=outcomes):
            yield "", following
            yield from outcomes.items()
        case BranchStep(then=then, next=otherwise):
            yield "yes", then
            yield "else", otherwise
        case JumpStep(target=target, at_most=at_most, next=otherwise):
            yield (f"at most {at_most} times" if at_most else ""), target
            if at_most:
                yield "else", otherwise
        case SayStep() | HoursStep() | SetStep() | TakeStep() | PersonStep() | ReachedStep() | RecordingStep():
            yield "", step.next


def reachable(flow: Flow) -> frozenset[str]:
    """The ids of all steps that some conversation can come to."""
    found: set[str] = set()
    waiting = [flow.start]
    while waiting:
        step_id = waiting.pop()
        if step_id not in found and step_id in flow.steps:
            found.add(step_id)
            waiting += [target for _, target in successors(flow.steps[step_id])]
    return frozenset(found)


def circles(edges: Edges) -> list[frozenset[str]]:
    """Every set of nodes that lead to each other in a circle (Tarjan 1972, without recursion)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[frozenset[str]] = []
    for root in edges:
        if root in index:
            continue
        work: list[tuple[str, Iterator[str]]] = [(root, iter(edges[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        while work:
            node, targets = work[-1]
            target = next((one for one in targets if one in edges), None)
            if target is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    group = frozenset(stack[stack.index(node) :])
                    del stack[stack.index(node) :]
                    if len(group) > 1 or node in edges[node]:
                        found.append(group)
            elif target not in index:
                index[target] = low[target] = len(index)
                stack.append(target)
                work.append((target, iter(edges[target])))
            elif target in stack:
                low[node] = min(low[node], index[target])
    return found
