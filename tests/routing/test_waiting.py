"""How long callers are told that they will wait."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.routing.examples import NOW, present, routing, waits
from voicebot.routing.agents import AgentState
from voicebot.routing.queues import Choice
from voicebot.routing.waiting import (
    RECENT_CALLS,
    Outlook,
    Standing,
    expected_wait_s,
    handle_time_s,
    minutes_to_say,
    outlook,
    place_in_line,
)

PLAN = routing()
SERVICE = PLAN.queues["service"]


def look(*, waiting: int = 0, free: int = 0, busy: int = 0, is_open: bool = True, priority: int = 0) -> Outlook:
    names = ["ana", "ben", "eva"]
    staff = [present(name) for name in names[:free]]
    staff += [present(name, AgentState.BUSY) for name in names[free : free + busy]]
    return outlook(
        PLAN,
        SERVICE,
        priority=priority,
        waiting=[waits(str(number), since_s=60) for number in range(waiting)],
        presences=staff,
        recent_s=[240.0 - SERVICE.wrap_up_s] * RECENT_CALLS,
        is_open=is_open,
        now=NOW,
    )


def test_with_an_agent_free_there_is_no_wait_and_nothing_else_is_offered() -> None:
    found = look(free=1)
    assert (found.standing, found.wait_s, found.choices) == (Standing.OPEN, 0.0, ())


def test_the_wait_is_that_of_everybody_ahead_over_the_agents_on_duty() -> None:
    assert look(waiting=3, busy=2).wait_s == 4 * 240 / 2


def test_a_long_wait_is_offered_with_something_else() -> None:
    assert look(waiting=3, busy=1).choices == (Choice.WAIT, Choice.CALLBACK, Choice.MESSAGE)


def test_callers_of_a_lower_priority_do_not_count() -> None:
    assert look(waiting=3, busy=1, priority=5).ahead == 0


def test_out_of_hours_there_is_no_waiting() -> None:
    found = look(free=2, is_open=False)
    assert found.standing is Standing.CLOSED
    assert Choice.WAIT not in found.choices


def test_a_full_queue_takes_nobody() -> None:
    assert look(waiting=SERVICE.max_waiting, busy=2).standing is Standing.FULL


def test_without_anybody_on_duty_no_wait_is_promised() -> None:
    found = look()
    assert (found.standing, found.wait_s) == (Standing.UNSTAFFED, None)


def test_few_calls_count_less_than_what_the_queue_expects() -> None:
    assert handle_time_s(SERVICE, []) == SERVICE.handle_s + SERVICE.wrap_up_s
    assert handle_time_s(SERVICE, [60.0] * RECENT_CALLS) == 60.0 + SERVICE.wrap_up_s
    assert 60.0 < handle_time_s(SERVICE, [60.0]) - SERVICE.wrap_up_s < SERVICE.handle_s


@given(st.integers(0, 50), st.integers(1, 20), st.integers(0, 20), st.floats(1, 3600))
def test_one_more_ahead_never_shortens_the_wait_and_one_more_agent_never_lengthens_it(
    ahead: int, agents: int, free: int, handle_s: float
) -> None:
    free = min(free, agents)
    wait_s = expected_wait_s(ahead, agents, free=free, handle_s=handle_s)
    longer = expected_wait_s(ahead + 1, agents, free=free, handle_s=handle_s)
    shorter = expected_wait_s(ahead, agents + 1, free=free, handle_s=handle_s)
    assert wait_s is not None
    assert longer is not None
    assert shorter is not None
    assert shorter <= wait_s <= longer


def test_a_wait_is_said_in_whole_minutes_never_too_short() -> None:
    assert [minutes_to_say(wait_s) for wait_s in (0, 59, 61, 240)] == [1, 1, 2, 4]


def test_a_caller_is_told_their_place_in_their_own_queue() -> None:
    everybody = [waits("a", since_s=9), waits("b", priority=3), waits("c", queue="technical", since_s=99)]
    assert [place_in_line(everybody, one) for one in ("b", "a", "c", "d")] == [0, 1, 0, None]
