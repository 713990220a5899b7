"""A running server whose recordings belong into a bucket that is away when it starts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.server import Server, has_prompt, is_over, running
from tests.fakes.s3_store import serving_s3

pytestmark = [pytest.mark.spoken, pytest.mark.timeout(300)]


async def until_recordings(server: Server, state: str) -> None:
    """Wait until the server says so of its recordings; it is ready for calls all the while."""
    async with asyncio.timeout(120):
        while True:
            answer = await server.get("/readyz")
            assert answer["ready"]
            if answer["parts"]["recordings"].startswith(state):
                return
            await asyncio.sleep(0.2)


async def test_calls_are_answered_and_their_recordings_kept_once_the_bucket_is_there(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    settings = {
        "VOICEBOT_RECOGNIZER": "off",
        "VOICEBOT_RECORDING__BUCKET": "calls",
        "VOICEBOT_RECORDING__ENDPOINT_URL": f"http://127.0.0.1:{unused_tcp_port}",
        "VOICEBOT_RECORDING__REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "not-for-logs",
    }

    def kept(record: dict[str, Any]) -> bool:
        return bool(record["recording"]["state"] == "ready")

    async with running(tmp_path / "data", **settings) as server:
        await until_recordings(server, "kept on tape: cannot write in the store (")
        async with server.carrier.dial() as line:
            await server.until(line.call_sid, has_prompt("welcome.first"))
        record = await server.until(line.call_sid, is_over)
        assert not kept(record)
        with serving_s3(unused_tcp_port) as store:
            await until_recordings(server, "kept on tape: cannot write in the store (NoSuchBucket")
            store.make_bucket("calls")
            await until_recordings(server, "ready")
            record = await server.until(line.call_sid, kept, within_s=120)
            listed = store.client("s3").list_objects_v2(Bucket="calls")["Contents"]
        written = server.log.read_text(encoding="utf-8")
    assert sorted(Path(entry["Key"]).suffix for entry in listed) == [".flac", ".waveform"]
    assert "`recording.endpoint_url`: cannot write recordings in the bucket calls" in written
    assert "not-for-logs" not in written
