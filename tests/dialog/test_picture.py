"""Pictures of flows: whole, well-formed, and with no node on top of another."""

from __future__ import annotations

from itertools import combinations
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialog.strategies import shipped_bot
from voicebot.dialog.graph import reachable
from voicebot.dialog.layout import Box, lay_out
from voicebot.dialog.picture import svg

SVG = "{http://www.w3.org/2000/svg}"


def overlap(one: Box, other: Box) -> bool:
    return (
        abs(one.x - other.x) < (one.width + other.width) / 2 and abs(one.y - other.y) < (one.height + other.height) / 2
    )


@pytest.mark.parametrize("name", shipped_bot().flows)
def test_a_shipped_flow_is_drawn_with_all_its_steps(name: str) -> None:
    flow = shipped_bot().flows[name]
    root = ET.fromstring(svg(flow))
    drawn = {node.findtext(f"{SVG}title") for node in root.iter(f"{SVG}g") if node.find(f"{SVG}title") is not None}
    assert drawn == reachable(flow)
    assert all(element.tag != f"{SVG}script" for element in root.iter())


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, str]]]:
    """Any graph in which all nodes can be reached from the first, circles and doubled edges included."""
    nodes = [f"n{number}" for number in range(draw(st.integers(1, 12)))]
    edges = [(nodes[draw(st.integers(0, number - 1))], nodes[number]) for number in range(1, len(nodes))]
    more = st.tuples(st.sampled_from(nodes), st.sampled_from(nodes))
    return nodes, edges + draw(st.lists(more, max_size=12))


@given(graphs())
def test_nodes_never_lie_on_each_other_and_edges_lead_down_unless_they_close_a_circle(
    graph: tuple[list[str], list[tuple[str, str]]],
) -> None:
    nodes, edges = graph
    layout = lay_out(nodes[0], dict.fromkeys(nodes, (80.0, 30.0)), edges)
    assert layout.boxes.keys() == set(nodes)
    assert not any(overlap(one, other) for one, other in combinations(layout.boxes.values(), 2))
    for number, (one, other) in enumerate(edges):
        if number not in layout.back:
            assert layout.boxes[one].y < layout.boxes[other].y
    assert all(
        box.x - box.width / 2 >= 0 and box.x + box.width / 2 <= layout.width + 1e-6 for box in layout.boxes.values()
    )
