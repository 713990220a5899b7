"""What agents do, and for how long."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.routing.examples import NOW, present
from voicebot.routing.agents import SET_BY_AGENT, AgentState, StateChange, is_on_duty, time_in_each


def test_the_time_in_each_state_adds_up() -> None:
    minutes = [
        (0, AgentState.AVAILABLE),
        (10, AgentState.RINGING),
        (11, AgentState.BUSY),
        (15, AgentState.AVAILABLE),
    ]
    changes = [StateChange(NOW + timedelta(minutes=minute), state) for minute, state in minutes]
    spent = time_in_each(changes, NOW + timedelta(minutes=20))
    found = {state: time.total_seconds() / 60 for state, time in spent.items() if time}
    assert found == {AgentState.AVAILABLE: 15, AgentState.RINGING: 1, AgentState.BUSY: 4}


def test_nobody_was_anywhere_before_their_first_change() -> None:
    assert not any(time_in_each([], NOW).values())


@pytest.mark.parametrize("state", AgentState)
def test_a_claim_is_never_set_by_hand(state: AgentState) -> None:
    assert not SET_BY_AGENT[state] & {AgentState.RINGING, AgentState.BUSY, AgentState.WRAP_UP}


@pytest.mark.parametrize("state", AgentState)
def test_who_is_away_is_not_on_duty(state: AgentState) -> None:
    assert is_on_duty(present("ana", state)) is (state not in {AgentState.OFFLINE, AgentState.BREAK})
