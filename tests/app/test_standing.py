"""Work beside the calls: it stops with the server, and is not lost in silence."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from voicebot.app.standing import beside


async def test_it_has_stopped_when_the_server_has() -> None:
    stopped = asyncio.Event()

    async def stands() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            stopped.set()

    async with beside("the test", stands()):
        await asyncio.sleep(0)
        assert not stopped.is_set()
    assert stopped.is_set()


async def test_what_breaks_down_is_told_at_once_and_does_no_harm() -> None:
    async def breaks_down() -> None:
        await asyncio.sleep(0)
        raise ValueError("broken")

    with capture_logs() as logs:
        async with beside("the test", breaks_down()):
            await asyncio.sleep(0.01)
            assert [(entry["what"], entry["log_level"]) for entry in logs] == [("the test", "error")]
