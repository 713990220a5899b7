"""Pictures of flows: Mermaid for pages that draw it, SVG for everywhere else."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from html import escape
from textwrap import wrap

from voicebot.dialog.flow import Flow
from voicebot.dialog.graph import reachable, successors
from voicebot.dialog.layout import Box, Layout, lay_out
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

_MERMAID_LABEL_MOST = 60


def mermaid(flow: Flow) -> str:
    """Draw a flow as a Mermaid flowchart: questions are rounded, systems slanted, ends are stadiums."""
    lines = ["flowchart TD"]
    seen = reachable(flow)
    ids = {step_id: f"s{number}" for number, step_id in enumerate(flow.steps) if step_id in seen}
    for step_id, node in ids.items():
        step = flow.steps[step_id]
        opening, closing = _mermaid_shape(step)
        lines.append(f'    {node}{opening}"{_mermaid_text(label_of(step))}"{closing}')
    for step_id, node in ids.items():
        for why, target in successors(flow.steps[step_id]):
            arrow = f'-- "{_mermaid_text(why)}" -->' if why else "-->"
            lines.append(f"    {node} {arrow} {ids[target]}")
    return "\n".join(lines) + "\n"


def _mermaid_text(text: str) -> str:
    short = text if len(text) <= _MERMAID_LABEL_MOST else text[: _MERMAID_LABEL_MOST - 1] + "…"
    return short.replace("&", "#38;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")


def _mermaid_shape(step: Step) -> tuple[str, str]:
    match step:
        case AskStep() | ConfirmStep() | RequestStep():
            return "(", ")"
        case CallStep():
            return "[/", "/]"
        case BranchStep():
            return "{", "}"
        case RunStep():
            return "[[", "]]"
        case DoneStep() | EndStep():
            return "([", "])"
        case _:
            return "[", "]"


def label_of(step: Step) -> str:
    """Return what a step does, in a few words."""
    match step:
        case SayStep(prompt=prompt):
            return prompt.text
        case AskStep(slot=slot, question=question):
            return f"{slot}? {question.prompt.text}"
        case ConfirmStep(question=question) | RequestStep(question=question):
            return question.prompt.text
        case CallStep(operation=operation):
            return operation
        case HoursStep(hours=hours, day=day):
            return f"hours of {hours}, {day.name if day else 'today'}"
        case BranchStep(text=text):
            return text
        case SetStep(values=values):
            verb = "clear" if all(value is None for value in values.values()) else "set"
            return f"{verb} {', '.join(values)}"
        case TakeStep(slots=slots):
            return f"take {', '.join(slots)}"
        case RunStep(flow=flow):
            return flow
        case JumpStep(target=target):
            return f"go to {target}"
        case PersonStep(reason=reason):
            return f"a person: {reason}"
        case ReachedStep(goal=goal):
            return f"reached: {goal}"
        case RecordingStep(order=order):
            return f"recording: {order}"
        case DoneStep(outcome=outcome):
            return outcome
        case EndStep(outcome=outcome):
            return f"end of call: {outcome}"


_TEXT_WIDTH = 30
_LINES_MOST = 4
_CHAR_PX, _LINE_PX = 6.7, 16.0
_MARGIN = 24.0
_TITLE_PX = 40.0
#: How far beside all nodes the first edge that leads up again runs, and how much further each next one.
_BACK_PX, _BACK_STEP_PX = 26.0, 12.0

_STYLE = """
    text { font: 12px system-ui, sans-serif; fill: #1c2430; text-anchor: middle; }
    .title { font-size: 17px; font-weight: 600; text-anchor: start; }
    .why { font-size: 11px; fill: #51606f; paint-order: stroke; stroke: #fff; stroke-width: 4px; }
    .say { fill: #f3f5f8; stroke: #9aa8b7; } .ask { fill: #e2effd; stroke: #3b7dc4; }
    .call { fill: #fdf0dc; stroke: #c98a1b; } .branch { fill: #f0eafc; stroke: #8562c6; }
    .part { fill: #e3f5ec; stroke: #2f9467; } .end { fill: #fbe4e4; stroke: #c45050; }
    .edge { fill: none; stroke: #6b7a8a; stroke-width: 1.3; } .back { stroke-dasharray: 5 3; }
""".rstrip()


def svg(flow: Flow) -> str:
    """Draw a flow as an SVG picture of its own: no script, no other file, legible on white.

    Questions are blue, systems orange, branches violet, other flows green, ends red. Dashed edges lead back up.
    """
    seen = reachable(flow)
    steps = {step_id: step for step_id, step in flow.steps.items() if step_id in seen}
    lines = {step_id: _label_lines(step) for step_id, step in steps.items()}
    sizes = {step_id: _size(steps[step_id], lines[step_id]) for step_id in steps}
    edges = [(step_id, why, target) for step_id, step in steps.items() for why, target in successors(step)]
    layout = lay_out(flow.start, sizes, [(one, other) for one, _, other in edges])
    ways = _ways_back(layout, [(one, other) for one, _, other in edges])
    left = -min([*ways.values(), 0.0])
    width = left + max([*ways.values(), layout.width]) + 2 * _MARGIN
    height = layout.height + 2 * _MARGIN + _TITLE_PX
    title = flow.title or flow.name
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}"'
            f' height="{height:.0f}" role="img" aria-label="{escape(title)}">'
        ),
        f"<style>{_STYLE}\n</style>",
        (
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"'
            ' orient="auto-start-reverse"><path d="M0 0 L8 4 L0 8 z" fill="#6b7a8a"/></marker></defs>'
        ),
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
        f'<text class="title" x="{_MARGIN}" y="{_MARGIN + 10}">{escape(flow.name)}: {escape(title)}</text>',
        f'<g transform="translate({_MARGIN + left:.0f} {_MARGIN + _TITLE_PX})">',
    ]
    parts += _edges(layout, [(one, other) for one, _, other in edges], ways)
    parts += [_node(steps[step_id], layout.boxes[step_id], lines[step_id]) for step_id in steps]
    parts += _reasons(layout, edges, ways)
    return "\n".join([*parts, "</g>", "</svg>"]) + "\n"


def _label_lines(step: Step) -> list[str]:
    lines = wrap(label_of(step), _TEXT_WIDTH) or [""]
    return [*lines[: _LINES_MOST - 1], f"{lines[_LINES_MOST - 1]} …"] if len(lines) > _LINES_MOST else lines


def _size(step: Step, lines: list[str]) -> tuple[float, float]:
    width = max(len(line) for line in lines) * _CHAR_PX + (56 if isinstance(step, BranchStep) else 28)
    return max(width, 70.0), len(lines) * _LINE_PX + (26 if isinstance(step, BranchStep) else 16)


def _node(step: Step, box: Box, lines: list[str]) -> str:
    left, top = box.x - box.width / 2, box.y - box.height / 2
    right, bottom = left + box.width, top + box.height
    match step:
        case BranchStep():
            shape = f'<path class="branch" d="M{left:.0f} {box.y:.0f} L{left + 18:.0f} {top:.0f} H{right - 18:.0f} L{right:.0f} {box.y:.0f} L{right - 18:.0f} {bottom:.0f} H{left + 18:.0f} z"/>'  # noqa: E501  # one path
        case CallStep():
            shape = f'<path class="call" d="M{left + 10:.0f} {top:.0f} H{right:.0f} L{right - 10:.0f} {bottom:.0f} H{left:.0f} z"/>'  # noqa: E501  # one path
        case _:
            kind, radius = _look(step)
            shape = (
                f'<rect class="{kind}" x="{left:.0f}" y="{top:.0f}" width="{box.width:.0f}" height="{box.height:.0f}"'
                f' rx="{radius}"/>'
            )
    first = box.y - (len(lines) - 1) * _LINE_PX / 2 + 4
    words = "".join(
        f'<text x="{box.x:.0f}" y="{first + number * _LINE_PX:.0f}">{escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    return f"<g><title>{escape(step.id)}</title>{shape}{words}</g>"


def _look(step: Step) -> tuple[str, int]:
    match step:
        case AskStep() | ConfirmStep() | RequestStep():
            return "ask", 12
        case RunStep():
            return "part", 2
        case DoneStep() | EndStep() | PersonStep():
            return "end", 16
        case _:
            return "say", 3


def _ways_back(layout: Layout, edges: list[tuple[str, str]]) -> dict[int, float]:
    """How far across each edge that leads up again runs: beside everything, on the side that is nearer."""
    ways: dict[int, float] = {}
    lefts = rights = 0
    for number in sorted(layout.back):
        one, other = edges[number]
        if layout.boxes[one].x + layout.boxes[other].x < layout.width:
            ways[number] = -_BACK_PX - lefts * _BACK_STEP_PX
            lefts += 1
        else:
            ways[number] = layout.width + _BACK_PX + rights * _BACK_STEP_PX
            rights += 1
    return ways


def _edges(layout: Layout, edges: list[tuple[str, str]], ways: Mapping[int, float]) -> list[str]:
    parts = []
    for number, (one, other) in enumerate(edges):
        begin, end = layout.boxes[one], layout.boxes[other]
        if (beside := ways.get(number)) is not None:
            side = 1 if beside > 0 else -1
            path = (
                f"M{begin.x + side * begin.width / 2:.0f} {begin.y:.0f} H{beside:.0f} V{end.y:.0f}"
                f" H{end.x + side * end.width / 2:.0f}"
            )
            parts.append(f'<path class="edge back" marker-end="url(#arrow)" d="{path}"/>')
            continue
        points = [(begin.x, begin.y + begin.height / 2), *layout.routes[number], (end.x, end.y - end.height / 2)]
        parts.append(f'<path class="edge" marker-end="url(#arrow)" d="{_curve(points)}"/>')
    return parts


def _curve(points: list[tuple[float, float]]) -> str:
    """A line through the points that leaves and arrives straight down."""
    path = f"M{points[0][0]:.0f} {points[0][1]:.0f}"
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        middle = (y1 + y2) / 2
        path += f" C{x1:.0f} {middle:.0f} {x2:.0f} {middle:.0f} {x2:.0f} {y2:.0f}"
    return path


def _reasons(layout: Layout, edges: list[tuple[str, str, str]], ways: Mapping[int, float]) -> list[str]:
    """Why an edge is taken, written where it leaves its node."""
    parts = []
    leaving: dict[str, int] = {}
    for number, (one, why, other) in enumerate(edges):
        if not why:
            continue
        begin, end = layout.boxes[one], layout.boxes[other]
        if (beside := ways.get(number)) is not None:
            side = 1 if beside > 0 else -1
            x, y = begin.x + side * (begin.width / 2 + 8 + len(why) * 3), begin.y - 6
        else:
            ahead = layout.routes[number][0] if layout.routes[number] else (end.x, end.y - end.height / 2)
            down = begin.y + begin.height / 2
            # A third of the way along the curve, where the edges of one node have already parted.
            x, y = begin.x + (ahead[0] - begin.x) * 0.3, down + (ahead[1] - down) * 0.4
            y += 11 * (leaving.get(one, 0) % 2)
            leaving[one] = leaving.get(one, 0) + 1
        parts.append(f'<text class="why" x="{x:.0f}" y="{y:.0f}">{escape(why)}</text>')
    return parts
