from __future__ import annotations

from voicebot.dialog.escalation.signals import Signals
from voicebot.dialog.escalation.tally import Observed, Tally, count
from voicebot.dialog.events import Mood

ANGRY = Mood(-0.9, 0.9)


def told(*events: Observed) -> list[Signals]:
    tally, found = Tally(), []
    for event in events:
        tally, signals = count(tally, event)
        found.append(signals)
    return found


def test_silence_alone_stalls_nothing_but_goes_on_from_a_miss() -> None:
    silent, missed = Observed(0, silent=True), Observed(0, missed=True)
    assert [one.stalled_turns for one in told(silent, silent, missed, silent)] == [0, 0, 1, 2]


def test_getting_on_ends_what_stalled() -> None:
    missed = Observed(0, missed=True)
    assert [one.stalled_turns for one in told(missed, missed, Observed(0, moved_on=True), missed)] == [1, 2, 0, 1]


def test_saying_it_again_counts_only_where_it_had_been_understood() -> None:
    again = Observed(0, rephrased=0.9)
    assert told(Observed(0, missed=True), again)[-1].rephrasings == 0
    assert told(Observed(0, moved_on=True), again)[-1].rephrasings == 1


def test_anger_is_remembered_for_four_turns() -> None:
    calm = Observed(0)
    assert [one.angry_turns for one in told(Observed(0, mood=ANGRY), calm, calm, calm, calm)] == [1, 1, 1, 1, 0]


def test_anger_about_what_the_bot_got_wrong_is_told_from_other_anger() -> None:
    assert told(Observed(0, mood=ANGRY, moved_on=True))[-1].angry_at_bot is False
    assert told(Observed(0, mood=ANGRY, missed=True))[-1].angry_at_bot is True
    assert told(Observed(0, missed=True), Observed(0, mood=ANGRY))[-1].angry_at_bot is True


def test_what_a_system_brings_belongs_to_the_turn_before() -> None:
    first, second = told(Observed(1, mood=ANGRY), Observed(2, is_turn=False, backend_failed=True))
    assert (second.frustration, second.angry_turns, second.turns_in_task) == (0.9, 1, first.turns_in_task)
    assert second.backend_failures == 1


def test_a_new_request_begins_its_own_turns_and_seconds() -> None:
    first = Observed(5, about="balance")
    found = told(first, Observed(20, about="balance"), Observed(30, about="pay_bill"))
    assert [one.turns_in_task for one in found] == [1, 2, 1]
    assert [one.seconds_in_task for one in found] == [0, 15, 0]


def test_who_asks_for_a_person_after_all_no_longer_refuses_one() -> None:
    found = told(Observed(0, refuses_person=True), Observed(0), Observed(0, asked_for_person=True))
    assert [one.refuses_person for one in found] == [True, True, False]
