"""What a caller can have instead of an agent: a callback, a message, another number. Asked by voice or keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from voicebot.calls.transfer.dial_on import DialOn
from voicebot.calls.transfer.seams import CallerSide, Floor, NotKept, Place, Said
from voicebot.calls.transfer.sounds import TONE
from voicebot.dialog.expectation import AnswerKind, Expectation, KeyEntry
from voicebot.routing.queues import Choice, Queue
from voicebot.routing.telling import moment_to_say
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

    def __init__(
        self,
        place: Place,
        caller: CallerSide,
        floor: Floor,
        wording: Wording,
        *,
        dial_on: DialOn,
        now: Callable[[], datetime],
    ) -> None:
        self._place = place
        self._caller = caller
        self._floor = floor
        self._wording = wording
        self._dial_on = dial_on
        self._now = now
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
                return await self._other_number(queue.number)
            case Choice.WAIT | Choice.OVERFLOW:
                return False

    async def note_down(self, queue: Queue) -> None:
        """Put the caller on the list of those whom somebody should see to, and say so.

        They were offered a callback and have taken none, so nothing dials them: a person decides.
        """
        await self._floor.note(self._place, queue)
        await self._say("noted" if self._place.number else "noted_unknown")

    async def promise(self, queue: Queue) -> None:
        """Book a callback for a caller whom we cut off in the queue, and say so; else note them down."""
        try:
            slots = await self._floor.slots(queue, self._place.number) if self._place.number else ()
            if slots:
                await self._floor.book(self._place, queue, number=self._place.number, at=slots[0], reason="cut_off")
        except NotKept:
            slots = ()
        if slots:
            await self._say("cut_off", slot=moment_to_say(slots[0], self._now()))
        else:
            await self.note_down(queue)

    async def _callback(self, queue: Queue) -> bool:
        number = await self._number()
        if number is None:
            return False
        with suppress(NotKept):
            for slot in (await self._floor.slots(queue, number))[:MOST_SLOTS]:
                said_slot = moment_to_say(slot, self._now())
                if await self._yes("callback_slot", slot=said_slot):
                    await self._floor.book(self._place, queue, number=number, at=slot, reason="asked")
                    await self._say("callback_booked", slot=said_slot)
                    return True
        await self._say("callback_failed")
        return False

    async def _other_number(self, number: str) -> bool:
        """Tell the number to call instead, and connect the caller with it if they like and it can be done."""
        said_number = " ".join(character for character in number if character.isdecimal())
        if not self._dial_on.is_possible(number):
            await self._say("number_told", number=said_number)
        elif not await self._yes("number_offered", number=said_number):
            await self._say("thanks")
        else:
            await self._say("number_connecting")
            if not await self._dial_on.connect(number):
                await self._say("number_unreached", number=said_number)
        return bool(number)

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
        await self._caller.listen(None)
        await self._say("message_prompt")
        await self._caller.play(TONE)
        said = await self._ask("", _MESSAGE, MESSAGE_S)
        if said is None:
            return False
        await self._floor.take_message(self._place, queue)
        await self._say("message_taken")
        return True

    async def _yes(self, text: str, **values: object) -> bool:
        """Ask for a yes; who says nothing, or neither yes nor no, is asked once more. What stays unclear is no yes."""
        said = await self._ask(text, _YES_NO, ANSWER_S, **values)
        if (meant := _meant(said)) is None:
            meant = _meant(await self._ask("yes_or_no", _YES_NO, ANSWER_S))
        return meant is True

    async def _ask(self, text: str, expectation: Expectation, wait_s: float, **values: object) -> Said | None:
        """Ask, and return the answer, which may come over the question; None when there is none.

        Without a `text` there is only listening.
        """
        answer = self._answer = asyncio.get_running_loop().create_future()
        await self._caller.listen(expectation)
        saying = asyncio.create_task(self._say(text, **values) if text else _nothing())
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


def _meant(said: Said | None) -> bool | None:
    if said is None:
        return None
    if said.keys:
        return {"1": True, "2": False}.get(said.keys)
    return said.readings[0].affirmative if said.readings else None


async def _nothing() -> None: ...
