"""What a caller can have instead of an agent: a callback, a message, another number. Asked by voice or keys."""

from __future__ import annotations

import asyncio

from voicebot.calls.transfer.seams import CallerSide, Floor, Place, Said
from voicebot.dialog.expectation import AnswerKind, Expectation, KeyEntry
from voicebot.routing.queues import Choice, Queue
from voicebot.routing.wording import Wording

#: How long a caller may take to answer, and to say a message.
ANSWER_S = 8.0
MESSAGE_S = 90.0
#: Slots offered one after the other.
MOST_SLOTS = 3
_FEWEST_DIGITS = 7

_YES_NO = Expectation("transfer.yes_no", (AnswerKind.YES_NO,), keys=KeyEntry(1, 1), no_input_s=60.0)
_NUMBER = Expectation("transfer.number", (AnswerKind.DIGITS,), keys=KeyEntry(_FEWEST_DIGITS, 15), no_input_s=60.0)
_MESSAGE = Expectation(
    "transfer.message", (AnswerKind.OPEN,), keys=KeyEntry(1, 1), no_input_s=MESSAGE_S, too_long_s=MESSAGE_S
)


class Arranger:
    """Talks with one caller about one choice at a time; `takes` hands it what they say."""

    def __init__(self, place: Place, caller: CallerSide, floor: Floor, wording: Wording) -> None:
        self._place = place
        self._caller = caller
        self._floor = floor
        self._wording = wording
        self._answer: asyncio.Future[Said] | None = None

    def takes(self, said: Said) -> bool:
        """Take an answer; False when nothing was asked."""
        if self._answer is None or self._answer.done():
            return False
        self._answer.set_result(said)
        return True

    async def arrange(self, choice: Choice, queue: Queue) -> bool:
        """Arrange `choice` and tell the caller; False when it did not come about."""
        match choice:
            case Choice.CALLBACK:
                return await self._callback(queue)
            case Choice.MESSAGE:
                return await self._message(queue)
            case Choice.NUMBER:
                number = " ".join(queue.number)
                await self._say("number_told", number=number)
                return bool(queue.number)
            case Choice.WAIT | Choice.OVERFLOW:
                return False

    async def note_down(self, queue: Queue) -> None:
        """Book a callback to where the caller calls from, without asking any more, and say so."""
        slots = await self._floor.slots(queue, self._place.number) if self._place.number else ()
        if not slots:
            await self._say("noted_unknown")
            return
        await self._floor.book(self._place, queue, number=self._place.number, at=slots[0], reason="noted")
        await self._say("noted")

    async def _callback(self, queue: Queue) -> bool:
        number = await self._number()
        if number is None:
            return False
        for slot in (await self._floor.slots(queue, number))[:MOST_SLOTS]:
            said_slot = f"{slot:%A} at {slot.hour % 12 or 12}:{slot:%M} {'AM' if slot.hour < 12 else 'PM'}"
            if await self._yes("callback_slot", slot=said_slot):
                await self._floor.book(self._place, queue, number=number, at=slot, reason="asked")
                await self._say("callback_booked", slot=said_slot)
                return True
        await self._say("callback_failed")
        return False

    async def _number(self) -> str | None:
        number = self._place.number
        if number and await self._yes("callback_number", number=" ".join(number.lstrip("+"))):
            return number
        for _ in range(2):
            said = await self._ask("callback_key_number", _NUMBER, ANSWER_S * 2)
            digits = said.keys if said else ""
            if said and not digits:
                found = [entity for one in said.readings for entity in one.entities if entity.kind == "digits"]
                digits = str(found[0].value) if found else ""
            if len(digits) >= _FEWEST_DIGITS and await self._yes("callback_number", number=" ".join(digits)):
                return digits
        return None

    async def _message(self, queue: Queue) -> bool:
        said = await self._ask("message_prompt", _MESSAGE, MESSAGE_S)
        if said is None:
            return False
        await self._floor.take_message(self._place, queue)
        await self._say("message_taken")
        return True

    async def _yes(self, text: str, **values: object) -> bool:
        said = await self._ask(text, _YES_NO, ANSWER_S, **values)
        if said is None:
            return False
        return said.keys == "1" or bool(said.readings and said.readings[0].affirmative)

    async def _ask(self, text: str, expectation: Expectation, wait_s: float, **values: object) -> Said | None:
        """Ask, and return the answer, which may come over the question; None when there is none."""
        answer = self._answer = asyncio.get_running_loop().create_future()
        await self._caller.listen(expectation)
        saying = asyncio.create_task(self._say(text, **values))
        try:
            await asyncio.wait({saying, answer}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                await asyncio.wait({answer}, timeout=wait_s)
            return answer.result() if answer.done() else None
        finally:
            self._answer = None
            if not saying.done():
                await self._caller.hush()
            await asyncio.gather(saying, return_exceptions=True)

    async def _say(self, text: str, **values: object) -> None:
        await self._caller.say(f"transfer.{text}", self._wording.text(text, **values), personal=bool(values))
