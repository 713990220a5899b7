from __future__ import annotations

import asyncio

import pytest

from voicebot.errors import EngineUnavailable, first_unavailable


async def fail(*errors: Exception) -> None:
    async def one(error: Exception) -> None:
        raise error

    with first_unavailable():
        async with asyncio.TaskGroup() as group:
            for error in errors:
                group.create_task(one(error))


async def test_of_a_group_the_first_missing_engine_is_raised_alone() -> None:
    first, second = EngineUnavailable("no voice"), EngineUnavailable("no ears")
    with pytest.raises(EngineUnavailable, match="no voice") as raised:
        await fail(first, second)
    assert raised.value is first


async def test_what_is_no_missing_engine_stays_in_its_group() -> None:
    with pytest.raises(ExceptionGroup) as raised:
        await fail(ValueError("a bug"))
    assert raised.group_contains(ValueError)


async def test_nothing_is_raised_where_nothing_failed() -> None:
    await fail()
