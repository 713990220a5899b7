"""Places a directed graph in layers, as Sugiyama, Tagawa and Toda (1981) do: ranks, then orders, then positions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SWEEPS = 12
_GAP = 28.0
_LAYER_GAP = 56.0


@dataclass(frozen=True, slots=True)
class Box:
    """A node's middle and size, in pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """`boxes` by node; `routes` are the points each edge passes on its way, in the order of the edges given.

    `back` are the numbers of edges that lead up again; they have no points between.
    """

    boxes: Mapping[str, Box]
    routes: Sequence[Sequence[tuple[float, float]]]
    back: frozenset[int]
    width: float
    height: float


def lay_out(start: str, sizes: Mapping[str, tuple[float, float]], edges: Sequence[tuple[str, str]]) -> Layout:
    """Lay out the nodes in `sizes` (width, height) top down from `start`, from which all can be reached."""
    back = _back_edges(start, edges)
    down = [(number, one, other) for number, (one, other) in enumerate(edges) if number not in back]
    ranks = _ranks(start, sizes, down)
    layers: list[list[str]] = [[] for _ in range(max(ranks.values(), default=0) + 1)]
    for node, rank in ranks.items():
        layers[rank].append(node)
    widths = {node: size[0] for node, size in sizes.items()}
    links: list[tuple[str, str]] = []
    chains: dict[int, list[str]] = {}
    for number, one, other in down:
        # An edge over several layers gets a place of its own in each, so that it runs between nodes, not across them.
        between = [f"\0{number}:{rank}" for rank in range(ranks[one] + 1, ranks[other])]
        for rank, place in enumerate(between, start=ranks[one] + 1):
            layers[rank].append(place)
            widths[place] = 8.0
        chain = [one, *between, other]
        chains[number] = chain[1:-1]
        links += list(itertools.pairwise(chain))
    _order(layers, links)
    across = _positions(layers, links, widths)
    tops, height = _tops(layers, sizes)
    left = min((across[node] - widths[node] / 2 for node in across), default=0.0)
    boxes = {node: Box(across[node] - left, tops[ranks[node]], *sizes[node]) for node in sizes}
    routes = []
    for number in range(len(edges)):
        places = chains.get(number, [])
        routes.append([(across[place] - left, tops[int(place.rpartition(":")[2])]) for place in places])
    width = max((across[node] - left + widths[node] / 2 for node in across), default=0.0)
    return Layout(boxes, routes, back, width, height)


def _back_edges(start: str, edges: Sequence[tuple[str, str]]) -> frozenset[int]:
    """The edges that close a circle, found by walking depth first without recursion."""
    leaving: dict[str, list[tuple[int, str]]] = {}
    for number, (one, other) in enumerate(edges):
        leaving.setdefault(one, []).append((number, other))
    back: set[int] = set()
    open_: set[str] = {start}
    seen = {start}
    stack = [(start, iter(leaving.get(start, [])))]
    while stack:
        node, targets = stack[-1]
        following = next(targets, None)
        if following is None:
            stack.pop()
            open_.discard(node)
            continue
        number, target = following
        if target in open_:
            back.add(number)
        elif target not in seen:
            seen.add(target)
            open_.add(target)
            stack.append((target, iter(leaving.get(target, []))))
    return frozenset(back)


def _ranks(
    start: str, sizes: Mapping[str, tuple[float, float]], down: Sequence[tuple[int, str, str]]
) -> dict[str, int]:
    """Each node one layer below the lowest that leads to it."""
    waiting = dict.fromkeys(sizes, 0)
    for _, _, other in down:
        waiting[other] += 1
    ranks = dict.fromkeys(sizes, 0)
    free = [node for node in sizes if node == start or not waiting[node]]
    while free:
        node = free.pop()
        for _, one, other in down:
            if one == node:
                ranks[other] = max(ranks[other], ranks[node] + 1)
                waiting[other] -= 1
                if not waiting[other]:
                    free.append(other)
    return ranks


def _order(layers: Sequence[list[str]], links: Sequence[tuple[str, str]]) -> None:
    """Order each layer by the middle of its neighbours, down and up again, and keep the best order met."""
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for one, other in links:
        below.setdefault(one, []).append(other)
        above.setdefault(other, []).append(one)
    best, fewest = [list(layer) for layer in layers], _crossings(layers, below)
    for sweep in range(_SWEEPS):
        downwards = sweep % 2 == 0
        neighbours = above if downwards else below
        for layer in layers if downwards else reversed(layers):
            place = {node: index for other in layers for index, node in enumerate(other)}
            middle = {
                node: sum(place[near] for near in neighbours[node]) / len(neighbours[node])
                if neighbours.get(node)
                else float(place[node])
                for node in layer
            }
            layer.sort(key=middle.__getitem__)
        if (crossings := _crossings(layers, below)) < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    for layer, ordered in zip(layers, best, strict=True):
        layer[:] = ordered


def _crossings(layers: Sequence[list[str]], below: Mapping[str, list[str]]) -> int:
    count = 0
    for upper, lower in itertools.pairwise(layers):
        place = {node: index for index, node in enumerate(lower)}
        ends = [sorted(place[other] for other in below.get(node, []) if other in place) for node in upper]
        count += sum(
            a > b for index, first in enumerate(ends) for second in ends[index + 1 :] for a in first for b in second
        )
    return count


def _positions(
    layers: Sequence[list[str]], links: Sequence[tuple[str, str]], widths: Mapping[str, float]
) -> dict[str, float]:
    """Draw each node towards its neighbours, as far as those beside it leave room."""
    near: dict[str, list[str]] = {}
    for one, other in links:
        near.setdefault(one, []).append(other)
        near.setdefault(other, []).append(one)
    across: dict[str, float] = {}
    for layer in layers:
        edge = 0.0
        for node in layer:
            across[node] = edge + widths[node] / 2
            edge += widths[node] + _GAP
    for sweep in range(_SWEEPS * 2):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = [
                sum(across[other] for other in near[node]) / len(near[node]) if near.get(node) else across[node]
                for node in layer
            ]
            across.update(zip(layer, _spread(layer, wanted, widths), strict=True))
    return across


def _spread(layer: Sequence[str], wanted: Sequence[float], widths: Mapping[str, float]) -> list[float]:
    """The places nearest to those wanted that keep the order and the gaps (pool adjacent violators)."""
    offsets, edge = [], 0.0
    for node in layer:
        offsets.append(edge + widths[node] / 2)
        edge += widths[node] + _GAP
    groups: list[tuple[float, int]] = []  # the group's shift, and how many nodes are in it
    for place, offset in zip(wanted, offsets, strict=True):
        groups.append((place - offset, 1))
        while len(groups) > 1 and groups[-2][0] > groups[-1][0]:
            (one, ones), (other, others) = groups[-2:]
            groups[-2:] = [((one * ones + other * others) / (ones + others), ones + others)]
    shifts = [shift for shift, count in groups for _ in range(count)]
    return [offset + shift for offset, shift in zip(offsets, shifts, strict=True)]


def _tops(layers: Sequence[list[str]], sizes: Mapping[str, tuple[float, float]]) -> tuple[list[float], float]:
    """The middle of each layer from the top, and the height of them all."""
    middles, edge = [], 0.0
    for layer in layers:
        tall = max((sizes[node][1] for node in layer if node in sizes), default=0.0)
        middles.append(edge + tall / 2)
        edge += tall + _LAYER_GAP
    return middles, edge - _LAYER_GAP
