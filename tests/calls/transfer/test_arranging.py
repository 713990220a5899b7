"""What a caller can have instead of an agent: how they are asked, and what is kept of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import datetime

import pytest

from tests.calls.transfer.test_breaking import PLACE, Caller, PlayedFloor
from tests.routing.examples import NOW, routing
from voicebot.calls.transfer import arranging
from voicebot.calls.transfer.arranging import Arranger
from voicebot.calls.transfer.dial_on import DialOn, NoOnward, Onward
from voicebot.calls.transfer.seams import NotKept, Place, RingFailed, Said
from voicebot.calls.transfer.sounds import TONE, HoldMusic, Sounds
from voicebot.dialog.events import Interpretation
from voicebot.dialog.expectation import Expectation
from voicebot.routing.queues import Choice, Failure, Queue
from voicebot.routing.wording import Wording
from voicebot.simulation.played_parties import PlayedLeg

QUEUE = routing().queues["service"]
YES, NO = Said("1"), Said("2")
WHAT = Said(readings=(Interpretation("what was that", 0.9),))
SURE = Said(readings=(Interpretation("sure", 0.9, affirmative=True),))


class AskedCaller(Caller):
    """Notes in order what they hear, and whether somebody listens to them."""

    def __init__(self) -> None:
        super().__init__()
        self.happened: list[str] = []

    async def say(self, prompt: str, text: str, *, personal: bool = False) -> None:
        await super().say(prompt, text, personal=personal)
        self.happened.append(prompt.removeprefix("transfer."))

    async def play(self, audio: bytes) -> None:
        self.happened.append("tone" if audio == TONE else "music")

    async def listen(self, expectation: Expectation | None) -> None:
        self.happened.append(f"listens to {expectation.name.removeprefix('transfer.')}" if expectation else "is deaf")


class KeepingFloor(PlayedFloor):
    def __init__(self) -> None:
        super().__init__()
        self.reasons: list[str] = []

    async def book(self, place: Place, queue: Queue, *, number: str, at: datetime, reason: str) -> None:
        await super().book(place, queue, number=number, at=at, reason=reason)
        self.reasons.append(reason)


async def answered(
    arranger: Arranger, caller: AskedCaller, choice: Choice, answers: dict[str, list[Said]], queue: Queue = QUEUE
) -> tuple[bool, list[str]]:
    """Arrange `choice` with a caller who has these answers; tell whether it came about, and what happened."""
    arranging_it = asyncio.create_task(arranger.arrange(choice, queue))
    answered_to = 0
    while not arranging_it.done():
        await asyncio.sleep(0.005)
        fresh = [prompt for prompt in caller.happened[answered_to:] if answers.get(prompt)]
        answered_to = len(caller.happened)
        for prompt in fresh:
            arranger.takes(answers[prompt].pop(0))
    return await arranging_it, caller.happened


@pytest.fixture(autouse=True)
def answers_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody takes eight seconds to say nothing."""
    monkeypatch.setattr(arranging, "ANSWER_S", 0.05)


class Emergency:
    """A number at which somebody answers, or nobody."""

    def __init__(self, *, answers: bool = True, can_call: bool = True) -> None:
        self.answers = answers
        self._can_call = can_call
        self.legs: list[PlayedLeg] = []

    def can_call(self, number: str) -> bool:
        del number
        return self._can_call

    async def call(self, number: str, *, timeout_s: float) -> PlayedLeg:
        del timeout_s
        if not self.answers:
            raise RingFailed(Failure.NO_ANSWER)
        leg = PlayedLeg(number)
        self.legs.append(leg)
        asyncio.get_running_loop().call_later(0.05, leg.end)
        return leg


def arranger_for(caller: AskedCaller, floor: PlayedFloor, onward: Onward | None = None) -> Arranger:
    wording = Wording()
    sounds = Sounds(caller, HoldMusic(bytes(160)), broken=lambda error: pytest.fail(str(error)))
    onto = DialOn(caller, sounds, onward or NoOnward(), wording, clock=time.monotonic, left=lambda: None)
    return Arranger(PLACE, caller, floor, wording, dial_on=onto, now=lambda: NOW)


@pytest.mark.parametrize("unclear", [[WHAT], []], ids=["neither yes nor no", "silence"])
async def test_an_unclear_answer_is_asked_for_once_more(unclear: list[Said]) -> None:
    caller, floor = AskedCaller(), KeepingFloor()
    answers = {"callback_number": unclear, "yes_or_no": [SURE], "callback_slot": [YES]}
    done, said = await answered(arranger_for(caller, floor), caller, Choice.CALLBACK, answers)
    assert done
    assert said.count("yes_or_no") == 1
    assert (floor.booked, floor.reasons) == ([PLACE.number], ["asked"])


async def test_what_stays_unclear_is_no_yes() -> None:
    caller, floor = AskedCaller(), KeepingFloor()
    answers = {"callback_number": [YES], "callback_slot": [WHAT], "yes_or_no": [WHAT]}
    done, _ = await answered(arranger_for(caller, floor), caller, Choice.CALLBACK, answers)
    assert not done
    assert floor.booked == []


async def test_a_message_is_spoken_after_a_tone_and_nothing_before_it_counts() -> None:
    caller, floor = AskedCaller(), KeepingFloor()
    done, said = await answered(arranger_for(caller, floor), caller, Choice.MESSAGE, {"listens to message": [WHAT]})
    assert done
    assert said == ["is deaf", "message_prompt", "tone", "listens to message", "message_taken"]


async def test_a_caller_who_took_nothing_is_noted_for_a_person_and_nothing_dials_them() -> None:
    caller, floor = AskedCaller(), KeepingFloor()
    await arranger_for(caller, floor).note_down(QUEUE)
    assert (floor.noted, floor.booked) == ([PLACE.call_id], [])
    assert caller.happened == ["noted"]


async def test_a_caller_whom_the_server_cuts_off_is_called_back() -> None:
    caller, floor = AskedCaller(), KeepingFloor()
    await arranger_for(caller, floor).promise(QUEUE)
    assert (floor.noted, floor.reasons) == ([], ["cut_off"])


def test_the_tone_is_heard_and_ends_in_whole_frames() -> None:
    assert len(TONE) % 160 == 0
    assert len(set(TONE)) > 50


class AwayFloor(KeepingFloor):
    """Its records take nothing."""

    async def book(self, place: Place, queue: Queue, *, number: str, at: datetime, reason: str) -> None:
        raise NotKept("away")


async def test_a_callback_that_cannot_be_booked_is_said_to_be_none() -> None:
    caller, floor = AskedCaller(), AwayFloor()
    answers = {"callback_number": [YES], "callback_slot": [YES]}
    arranged, happened = await answered(arranger_for(caller, floor), caller, Choice.CALLBACK, answers)
    assert not arranged
    assert happened[-1] == "callback_failed"


async def test_a_caller_who_is_cut_off_while_nothing_can_be_booked_is_noted_for_a_person() -> None:
    caller, floor = AskedCaller(), AwayFloor()
    await arranger_for(caller, floor).promise(QUEUE)
    assert floor.noted == [PLACE.call_id]
    assert "cut_off" not in caller.happened


NIGHT = replace(QUEUE, number="+1 (555) 010-0999")


async def number_taken(onward: Onward | None, answers: list[Said]) -> list[str]:
    """What a caller hears who chooses the number that can be called after hours."""
    caller = AskedCaller()
    arranger = arranger_for(caller, KeepingFloor(), onward)
    done, said = await answered(arranger, caller, Choice.NUMBER, {"number_offered": answers}, NIGHT)
    assert done
    assert all("1 5 5 5 0 1 0 0 9 9 9" in text for text in caller.heard if "number is" in text)
    return [one for one in said if not one.startswith("listens") and one != "music"]


async def test_the_number_is_told_where_it_cannot_be_dialled() -> None:
    assert await number_taken(None, []) == ["number_told"]
    assert await number_taken(Emergency(can_call=False), []) == ["number_told"]


async def test_a_caller_who_says_yes_is_connected_with_the_number() -> None:
    there = Emergency()
    assert await number_taken(there, [YES]) == ["number_offered", "number_connecting"]
    assert [leg.info.leg_id for leg in there.legs] == [NIGHT.number]


async def test_a_caller_who_will_dial_it_themselves_is_not_connected() -> None:
    there = Emergency()
    assert await number_taken(there, [NO]) == ["number_offered", "thanks"]
    assert there.legs == []


async def test_where_nobody_answers_at_the_number_the_caller_hears_it_again() -> None:
    said = await number_taken(Emergency(answers=False), [YES])
    assert said == ["number_offered", "number_connecting", "number_unreached"]
