"""A customer who writes and wants a person is on somebody's list, once."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.chats import Office
from voicebot.calls.chats import Customer, WrittenChannel


async def test_who_writes_for_a_person_is_noted_once_with_the_number_that_is_known(tmp_path: Path) -> None:
    office = Office(tmp_path)
    await office.chats.start("chat-1", Customer(WrittenChannel.SMS, "+15550100"))
    assert office.wanted == []
    await office.chats.write("chat-1", "i want to speak with a person")
    assert office.wanted == [("chat-1", "+15550100")]
