"""When a server is left for others as too slow, and when it is tried again."""

from __future__ import annotations

import pytest

from voicebot.speech.workers.punctuality import LatePolicy, Punctuality


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Punctuality:
    return Punctuality("asr-1", LatePolicy(answers=3, first_rest_s=30, longest_rest_s=100), clock)


def late(server: Punctuality, times: int) -> None:
    for _ in range(times):
        server.answered(in_time=False)


def test_a_server_is_left_after_late_answers_in_a_row_only(server: Punctuality) -> None:
    for _ in range(5):
        late(server, 2)
        assert not server.left
        server.answered(in_time=True)
    late(server, 3)
    assert (server.left, server.times_left) == (True, 1)


def test_it_is_tried_by_one_at_a_time_and_only_after_its_rest(server: Punctuality, clock: Clock) -> None:
    late(server, 3)
    clock.now_s = 29.9
    assert not server.begin_trial()
    clock.now_s = 30
    assert server.begin_trial()
    assert not server.begin_trial()
    server.end_trial()
    assert server.begin_trial(), "a caller who hung up has tried nothing"


def test_an_answer_in_time_brings_it_back(server: Punctuality, clock: Clock) -> None:
    late(server, 3)
    clock.now_s = 30
    assert server.begin_trial()
    server.answered(in_time=True)
    server.end_trial()
    assert not server.left
    late(server, 2)
    assert not server.left, "it begins anew"


def test_it_rests_twice_as_long_after_each_failed_trial_up_to_a_limit(server: Punctuality, clock: Clock) -> None:
    late(server, 3)
    for rest_s in (30, 60, 100, 100):
        clock.now_s += rest_s - 0.1
        assert not server.begin_trial()
        clock.now_s += 0.1
        assert server.begin_trial()
        late(server, 1)
        server.end_trial()
    assert server.times_left == 1


def test_what_it_still_owes_callers_from_before_does_not_prolong_its_rest(server: Punctuality, clock: Clock) -> None:
    late(server, 3)
    clock.now_s = 20
    late(server, 5)
    clock.now_s = 30
    assert server.begin_trial()


def test_of_a_server_started_anew_nothing_is_known(server: Punctuality) -> None:
    late(server, 3)
    server.forget()
    assert not server.left
    assert not server.begin_trial()


def test_who_is_not_left_is_not_tried(server: Punctuality) -> None:
    assert not server.begin_trial()
