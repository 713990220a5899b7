"""Who takes whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tests.routing.examples import NOW, present, routing, waits
from voicebot.routing.agents import AgentState, Presence, ReachKind
from voicebot.routing.selection import Pair, Waiting, choose, pairs


def test_the_most_skilled_agent_takes_the_caller() -> None:
    chosen = choose(routing(), waits("one"), [present("ben", idle_s=900), present("ana")])
    assert chosen is not None
    assert chosen.agent_id == "ana"


def test_of_two_alike_the_longest_idle_takes_the_caller() -> None:
    chosen = choose(routing(), waits("one"), [present("ana", idle_s=10), present("eva", idle_s=60)])
    assert chosen is not None
    assert chosen.agent_id == "eva"


def test_an_agent_below_the_level_is_not_asked() -> None:
    assert choose(routing(), waits("one", queue="technical"), [present("eva"), present("ana")]) is None


def test_an_agent_who_declined_is_not_asked_again_for_the_same_caller() -> None:
    tried = replace(waits("one"), tried=frozenset({"ana"}))
    assert choose(routing(), tried, [present("ana")]) is None


def test_a_caller_of_a_higher_tier_is_served_first() -> None:
    gold = waits("gold", priority=10, since_s=1)
    found = pairs(routing(), [waits("plain", since_s=300), gold], [present("ana")], NOW)
    assert found == (Pair("gold", "ana"),)


def test_of_equal_callers_the_first_is_served_first() -> None:
    found = pairs(routing(), [waits("late"), waits("early", since_s=30)], [present("ana")], NOW)
    assert found == (Pair("early", "ana"),)


def test_a_wrap_up_that_has_run_out_counts_as_available() -> None:
    done = replace(present("ana", AgentState.WRAP_UP), until=NOW)
    still = replace(done, until=NOW + timedelta(seconds=1))
    assert pairs(routing(), [waits("one")], [done], NOW)
    assert not pairs(routing(), [waits("one")], [still], NOW)


def test_a_caller_in_a_queue_that_is_gone_waits_for_nobody() -> None:
    assert choose(routing(), waits("one", queue="abolished"), [present("ana")]) is None


callers = st.builds(
    Waiting,
    st.uuids().map(str),
    st.sampled_from(["service", "technical", "abolished"]),
    st.integers(0, 20),
    st.integers(0, 600).map(lambda seconds: NOW - timedelta(seconds=seconds)),
    st.frozensets(st.sampled_from(["ana", "ben", "eva"])),
)
agents = st.lists(
    st.builds(
        Presence,
        st.sampled_from(["ana", "ben", "eva", "gone"]),
        st.sampled_from(AgentState),
        st.just(NOW),
        st.sampled_from(ReachKind),
        st.integers(0, 600).map(lambda seconds: NOW - timedelta(seconds=seconds)),
    ),
    unique_by=lambda one: one.agent_id,
)


@given(st.lists(callers), agents)
def test_nobody_is_in_two_pairs_and_no_free_agent_idles_while_somebody_they_can_serve_waits(
    waiting: list[Waiting], presences: list[Presence]
) -> None:
    plan = routing()
    found = pairs(plan, waiting, presences, NOW)
    assert len({pair.agent_id for pair in found}) == len(found) == len({pair.entry_id for pair in found})
    taken = {pair.agent_id for pair in found}
    left = [one for one in presences if one.agent_id not in taken and one.state is AgentState.AVAILABLE]
    for one in waiting:
        if one.entry_id not in {pair.entry_id for pair in found}:
            assert choose(plan, one, left) is None


@given(st.lists(callers), agents, st.randoms())
def test_the_pairs_do_not_depend_on_the_order_in_which_a_process_reads_them(
    waiting: list[Waiting], presences: list[Presence], chance: Random
) -> None:
    plan = routing()
    found = pairs(plan, waiting, presences, NOW)
    chance.shuffle(waiting)
    chance.shuffle(presences)
    assert set(pairs(plan, waiting, presences, NOW)) == set(found)
