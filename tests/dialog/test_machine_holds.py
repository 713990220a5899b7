"""What must be true of every call, however it goes: shown on thousands of random ones over the shipped bot."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.dialog.strategies import START, answers, any_event, caller_events, later, shipped_bot, starts
from voicebot.dialog.actions import Action, CallBackend, EndCall, Listen, Say, TransferTo
from voicebot.dialog.buttons import buttons
from voicebot.dialog.continuing import continuation_of
from voicebot.dialog.events import (
    BackendFailed,
    CallerSilent,
    CallerSpoke,
    CallStarted,
    Entity,
    Event,
    IntentScore,
    Interpretation,
)
from voicebot.dialog.flow import Bot
from voicebot.dialog.machine import new_state, step
from voicebot.dialog.state import Phase, State


def begun(bot: Bot) -> tuple[State, tuple[Action, ...]]:
    return step(bot, new_state(bot), CallStarted(START, "test", "", "100", "America/New_York", 1))


def random_call(bot: Bot, data: st.DataObject, *, events_most: int) -> tuple[State, list[Event], list[Action]]:
    """Play a random call; returns the last state, the events and all actions."""
    state = new_state(bot)
    event: Event = data.draw(starts())
    at = START
    events: list[Event] = [event]
    state, last = step(bot, state, event)
    actions = list(last)
    expectation = None
    for _ in range(data.draw(st.integers(0, events_most))):
        if state.phase is Phase.ENDED:
            break
        at = later(at)
        expectation = next((action.expectation for action in last if isinstance(action, Listen)), expectation)
        event = data.draw(any_event(bot, last, expectation, at))
        events.append(event)
        state, last = step(bot, state, event)
        actions += last
    return state, events, actions


relaxed = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@relaxed
@given(data=st.data())
def test_step_never_raises_and_never_leaves_a_caller_waiting_for_nothing(data: st.DataObject) -> None:
    bot = shipped_bot()
    state, _, actions = random_call(bot, data, events_most=25)
    if state.phase is Phase.ASKING:
        assert any(isinstance(action, Listen) for action in actions)
    elif state.phase is Phase.WAITING:
        calls = [action for action in actions if isinstance(action, CallBackend)]
        assert calls[-1].request_id == state.waiting_for
    else:
        assert state.phase is Phase.ENDED
        assert isinstance(actions[-1], EndCall)
        assert sum(isinstance(action, EndCall) for action in actions) == 1


@relaxed
@given(data=st.data())
def test_replaying_a_calls_events_gives_the_same_actions(data: st.DataObject) -> None:
    bot = shipped_bot()
    _, events, actions = random_call(bot, data, events_most=20)
    again: list[Action] = []
    state = new_state(bot)
    for event in events:
        state, more = step(bot, state, event)
        again += more
    assert [repr(action) for action in again] == [repr(action) for action in actions]  # repr: NaN is unlike itself


@relaxed
@given(data=st.data())
def test_a_caller_who_falls_silent_anywhere_is_let_go_in_the_end(data: st.DataObject) -> None:
    bot = shipped_bot()
    state, events, _ = random_call(bot, data, events_most=12)
    at = later(later(START))
    for _ in range(30):
        if state.phase is Phase.ENDED:
            return
        silence = CallerSilent(at)
        event = BackendFailed(at, state.waiting_for) if state.phase is Phase.WAITING else silence
        state, _ = step(bot, state, event)
    pytest.fail(f"still {state.phase} after 30 silences; events: {events}")


@relaxed
@given(data=st.data())
def test_even_a_caller_who_talks_for_ever_is_let_go_in_the_end(data: st.DataObject) -> None:
    bot = shipped_bot()
    state, last = begun(bot)
    at = START
    for _ in range(bot.limits.turns * 6):
        if state.phase is Phase.ENDED:
            return
        at = later(at)
        # One event is drawn and repeated, because drawing a thousand would exhaust the example.
        calls = [action for action in last if isinstance(action, CallBackend)]
        event = data.draw(answers(bot, calls[-1], at)) if calls else talk(bot, state)
        state, last = step(bot, state, event)
    pytest.fail("the call goes on for ever")


def talk(bot: Bot, state: State) -> Event:
    intent = sorted(bot.intents)[state.turn % len(bot.intents)]
    readable = intent not in {"goodbye", "person"}
    scores = (IntentScore(intent, 0.95),) if readable else ()
    return CallerSpoke(START, (Interpretation("something", 0.9, scores, affirmative=True),))


@relaxed
@given(data=st.data())
def test_a_wish_for_a_person_is_met_within_two_turns_from_any_state(data: st.DataObject) -> None:
    bot = shipped_bot()
    state, _, actions = random_call(bot, data, events_most=20)
    if state.phase is Phase.ENDED or state.phase is Phase.NEW:
        return
    person = CallerSpoke(START, (Interpretation("a person please", 0.9, (IntentScore("person", 0.9),)),))
    found: list[Action] = []
    for _ in range(2):
        if state.phase is Phase.WAITING:
            state, more = step(bot, state, person)
            state, last = step(bot, state, BackendFailed(START, state.waiting_for))
            found += [*more, *last]
        elif state.phase is not Phase.ENDED:
            state, last = step(bot, state, person)
            found += last
    assert any(isinstance(action, TransferTo) for action in found), actions


@relaxed
@given(data=st.data())
def test_a_state_given_in_is_not_changed(data: st.DataObject) -> None:
    bot = shipped_bot()
    state, _, _ = random_call(bot, data, events_most=8)
    before = repr(state)
    for event in data.draw(st.lists(caller_events(bot, START), max_size=4)):
        step(bot, state, event)
    assert repr(state) == before


@relaxed
@given(data=st.data())
def test_no_secret_is_ever_said_or_recorded(data: st.DataObject) -> None:
    bot = shipped_bot()
    pin = "7391"
    state, last = begun(bot)
    said: list[Action] = []
    for intent, digits in (("balance", ""), ("", "400121"), ("", pin)):
        scores = (IntentScore(intent, 0.95),) if intent else ()
        event = data.draw(st.just(spoken(digits, scores)))
        state, last = step(bot, state, event)
        said += [action for action in last if not isinstance(action, CallBackend)]
    assert isinstance(last[-1], CallBackend)
    assert last[-1].secret == {"pin"}
    assert pin not in repr(said)


def spoken(digits: str, scores: tuple[IntentScore, ...]) -> CallerSpoke:

    found = (Entity("digits", digits, digits, 0, 4),) if digits else ()
    return CallerSpoke(START, (Interpretation(digits, 0.9, scores, found),))


@relaxed
@given(data=st.data())
def test_any_state_has_its_buttons_and_any_end_can_be_gone_on_from_in_writing(data: st.DataObject) -> None:
    bot = shipped_bot()
    state, _, _ = random_call(bot, data, events_most=15)
    offered = buttons(bot, state)
    assert len({button.keys for button in offered}) == len(offered)
    again = CallStarted(START, "chat", "+1", "", "UTC", 1, call_id="c2", continues=continuation_of(bot, state))
    later_state, actions = step(bot, new_state(bot), again)
    assert later_state.phase in {Phase.ASKING, Phase.WAITING}
    assert "authenticated" not in later_state.slots
    assert any(isinstance(action, Say) for action in actions) or later_state.phase is Phase.WAITING
