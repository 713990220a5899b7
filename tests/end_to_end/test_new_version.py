"""A running server takes a new version of the flows; the call that goes on does not notice."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.end_to_end.server import FLOWS, Server, has_prompt, is_over, running
from voicebot.dialog.library import Library, RefusedVersion
from voicebot.dialog.loader import load_bot

pytestmark = [pytest.mark.spoken, pytest.mark.timeout(300)]


async def until_it_serves(server: Server, version: str) -> None:
    async with asyncio.timeout(90):
        while (await server.get("/readyz"))["parts"]["flows"] != version:
            await asyncio.sleep(0.2)


async def test_a_live_call_finishes_on_its_version_and_the_next_one_gets_the_new(tmp_path: Path) -> None:
    edited = tmp_path / "edited"
    shutil.copytree(FLOWS, edited)
    hours = edited / "hours.yaml"
    old = load_bot(FLOWS).version
    async with running(tmp_path / "data", VOICEBOT_RECOGNIZER="off", VOICEBOT_DRAIN_S="1") as server:
        library = Library(tmp_path / "data" / "flows")
        async with server.carrier.dial() as line:
            await server.until(line.call_sid, has_prompt("welcome.first"))
            hours.write_text(
                hours.read_text(encoding="utf-8") + "  - say: Do come in.\n    id: come\n", encoding="utf-8"
            )
            new = library.publish(edited, at=datetime.now(UTC)).name
            await until_it_serves(server, new)

            # What is broken is refused when it is published, and the server never sees it.
            (edited / "broken.yaml").write_text("flow: broken\nstepps: []\n", encoding="utf-8")
            with pytest.raises(RefusedVersion):
                library.publish(edited, at=datetime.now(UTC))
            assert library.current_name() == new

            line.press("4")
            record = await server.until(line.call_sid, has_prompt("welcome.more"))
            assert record["flow_version"] == old
            assert not has_prompt("hours.come")(record)
            assert record["goal"] == "opening_hours"

        async with server.carrier.dial() as line:
            await server.until(line.call_sid, has_prompt("welcome.first"))
            line.press("4")
            record = await server.until(line.call_sid, has_prompt("hours.come"))
            assert record["flow_version"] == new
            await server.until(line.call_sid, has_prompt("welcome.more"))
            line.press("9")
            await server.until(line.call_sid, is_over)
        # Going back is the same in the other direction.
        shutil.rmtree(edited)
        shutil.copytree(FLOWS, edited)
        assert library.publish(edited, at=datetime.now(UTC)).name == old
        await until_it_serves(server, old)
        library.rollback(new)
        await until_it_serves(server, new)
        assert server.process.returncode is None
