"""What callers are told on their way to a person: what happens next, and how long it takes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.routing.examples import NOW
from voicebot.routing.actions import Setback
from voicebot.routing.loader import load_routing
from voicebot.routing.queues import Choice, Failure
from voicebot.routing.telling import announcement, comfort, going_on, moment_to_say, offers, refusal
from voicebot.routing.waiting import InLine, Outlook, Standing
from voicebot.routing.wording import TO_CALLERS, Wording

FLOWS = Path(__file__).parents[2] / "flows"
OPEN = Outlook("service", Standing.OPEN, 0, 0.0, ())
FOURTH = InLine(4, 90)
RINGING = "I'm calling a colleague for you now, who hears first what it's about. A moment more, please."


@pytest.fixture(scope="module")
def wording() -> Wording:
    """What the bot that ships says."""
    found = load_routing(FLOWS)
    assert found is not None
    return found.wording


def test_the_flows_that_ship_have_every_word_that_callers_hear(wording: Wording) -> None:
    assert TO_CALLERS.keys() - wording.written.keys() == set()


@pytest.mark.parametrize(
    ("wait_s", "told"),
    [
        (0.0, "It should take less than a minute. Please hold the line."),
        (20.0, "It should take about a minute."),
        (61.0, "You may have to wait about 2 minutes."),
        (None, "I can't say how long it will take."),
    ],
)
def test_who_enters_a_queue_hears_what_happens_and_how_long_it_takes(
    wording: Wording, wait_s: float | None, told: str
) -> None:
    said = announcement(wording, "customer service", replace(OPEN, wait_s=wait_s), offered=())
    assert said.startswith("I'll put you through to customer service, and tell them what it's about")
    assert said.endswith(told)


def test_a_long_wait_comes_with_when_the_caller_could_be_called_back(wording: Wording) -> None:
    slow = replace(OPEN, wait_s=600.0)
    said = announcement(
        wording, "customer service", slow, offered=(Choice.WAIT, Choice.CALLBACK), soonest="today at 3 PM"
    )
    assert said.endswith("To hang up and be called back, today at 3 PM or later, press 1 or say call me back.")


@pytest.mark.parametrize(
    ("because", "why"),
    [
        (Failure.BUSY, "The colleague I called is on another call."),
        (Failure.NO_ANSWER, "There was no answer."),
        (Failure.DECLINED, "The colleague I called can't take it right now."),
        (Failure.VOICEMAIL, "I reached nothing but a machine."),
        (Failure.UNREACHABLE, "I couldn't get through to the colleague I called."),
        (Failure.HUNG_UP, "I'm sorry, I lost the colleague I was telling about it."),
        (Failure.CLAIM_LOST, "The colleague I called has just been given another call."),
        (Setback.AGENT_GONE, "I'm sorry, we lost them."),
    ],
)
def test_whatever_becomes_of_an_agent_the_caller_hears_why_what_follows_and_how_long(
    wording: Wording, because: Failure | Setback, why: str
) -> None:
    said = going_on(wording, "customer service", InLine(0, 130.0), because)
    assert said == f"{why} I'm trying somebody else. You may have to wait about 3 minutes."


@pytest.mark.parametrize("because", [*Failure, *Setback])
def test_every_reason_to_try_another_queue_has_its_words(wording: Wording, because: Failure | Setback) -> None:
    said = announcement(wording, "support", OPEN, offered=(), because=because, instead_of="customer service")
    assert said.endswith("I'll try support instead, and tell them what it's about. It should take less than a minute. "
                         "Please hold the line.")  # fmt: skip
    assert not said.startswith("I'll try")


def test_who_chooses_to_wait_on_hears_how_long(wording: Wording) -> None:
    said = going_on(wording, "customer service", InLine(1, 50.0), None)
    assert said == "All right, you keep your place in line. It should take about a minute."


@pytest.mark.parametrize(
    ("line", "rings", "said"),
    [
        (InLine(), True, RINGING),
        (InLine(0, 50.0), False, "Thank you for waiting. You're next in line. It should take about a minute."),
        (InLine(1, 90.0), False, "You're still in line. You may have to wait about 2 minutes."),
        (FOURTH, False, "Thank you for waiting. 4 callers are before you. You may have to wait about 2 minutes."),
        (InLine(), False, "You're still in line."),
    ],
)  # fmt: skip
def test_the_word_between_the_music_tells_how_it_stands(wording: Wording, line: InLine, rings: bool, said: str) -> None:
    assert comfort(wording, line, rings=rings) == said


@pytest.mark.parametrize(
    ("standing", "opens", "said"),
    [
        (Standing.CLOSED, "at noon", "customer service is closed at the moment, and open again at noon."),
        (Standing.CLOSED, "", "customer service is closed at the moment."),
        (Standing.FULL, "", "too many people are waiting for customer service at the moment."),
        (Standing.UNSTAFFED, "", "nobody from customer service can take your call at the moment."),
        (Standing.OPEN, "", "nobody from customer service can take your call at the moment."),
    ],
)  # fmt: skip
def test_whom_nobody_takes_hears_why_and_until_when(
    wording: Wording, standing: Standing, opens: str, said: str
) -> None:
    assert refusal(wording, "customer service", standing, opens) == f"I'm sorry, {said}"


def test_everything_on_offer_is_told_with_its_key(wording: Wording) -> None:
    told = offers(wording, tuple(Choice))
    assert len(told) == len(Choice)
    assert all(f"press {key}" in said for key, said in enumerate(told, start=1))


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (timedelta(hours=5), "today at 3 PM"),
        (timedelta(hours=23, minutes=30), "tomorrow at 9:30 AM"),
        (timedelta(days=3), "on Thursday, March 5th at 10 AM"),
        # In New York it is still the day before.
        (timedelta(hours=17), "today at 10 PM"),
    ],
)
def test_a_moment_is_said_by_the_clock_of_those_who_hear_it(after: timedelta, said: str) -> None:
    zone = ZoneInfo("America/New_York") if said == "today at 10 PM" else NOW.tzinfo
    at: datetime = (NOW + after).astimezone(zone)
    assert moment_to_say(at, NOW) == said
