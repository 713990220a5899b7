"""The server as a process: keyed calls, killed workers, ends in every order. Spoken conversations are beside this."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.end_to_end.server import Server, has_prompt, holds, is_over, running
from tests.fakes.buzz import buzz
from voicebot.simulation.carrier import CallRefused

pytestmark = [pytest.mark.spoken, pytest.mark.timeout(300)]


@pytest.fixture
async def deaf(tmp_path: Path) -> AsyncIterator[Server]:
    """A server without recognition: callers can use keys."""
    async with running(tmp_path / "data", VOICEBOT_RECOGNIZER="off", VOICEBOT_DRAIN_S="1") as server:
        yield server


async def test_a_balance_is_told_to_a_caller_who_only_uses_keys(deaf: Server) -> None:
    async with deaf.carrier.dial() as line:
        for prompt, keys in (
            ("welcome.first", "1"),
            ("authenticate.ask_account_number", "402938"),
            ("authenticate.ask_pin", "1593"),
            ("welcome.more", "9"),
        ):
            await deaf.until(line.call_sid, has_prompt(prompt))
            for key in keys:
                line.press(key)
                await asyncio.sleep(0.15)
        record = await deaf.until(line.call_sid, is_over)
    assert (record["outcome"], record["goal"], record["goal_reached"]) == ("completed", "balance", True)
    said = " ".join(turn["text"] for turn in record["turns"] if turn["speaker"] == "bot")
    assert "312 dollars and 7 cents" in said
    assert line.report().violations == {}
    # The PIN was keyed in a secret state: neither the record nor anything else on disk holds it.
    assert not holds(str(record), "1593")
    assert not holds(deaf.log.read_text(), "1593")
    recording = await deaf.recording(record["id"])
    assert recording.shape[1] == 2
    ended_after_s = len(recording) / 8000
    assert ended_after_s > 15


async def test_sigterm_without_calls_ends_at_once(deaf: Server) -> None:
    assert await deaf.terminate() == 0


async def test_sigterm_lets_a_live_call_finish_with_a_goodbye_and_takes_no_new_one(deaf: Server) -> None:
    async with deaf.carrier.dial() as line:
        await deaf.until(line.call_sid, has_prompt("welcome.first"))
        deaf.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        with pytest.raises(CallRefused):
            async with deaf.carrier.dial():
                pass
        async with asyncio.timeout(30):
            await line.ended.wait()
    async with asyncio.timeout(30):
        assert await deaf.process.wait() == 0
    report = line.report()
    # The goodbye was heard before the line ended: our last audio comes well after the signal.
    assert report.arrivals[-1].at_s > report.answered_s + 8


async def test_a_dropped_socket_ends_its_call_and_no_other(deaf: Server) -> None:
    async with deaf.carrier.dial() as broken, deaf.carrier.dial() as whole:
        await deaf.until(whole.call_sid, has_prompt("welcome.say"))
        broken.drop()
        record = await deaf.until(broken.call_sid, is_over)
        assert record["cause"] == "connection_lost"
        await deaf.until(whole.call_sid, has_prompt("welcome.first"))
        whole.press("4")
        await deaf.until(whole.call_sid, lambda found: found["goal"] == "opening_hours")


async def test_a_killed_recogniser_comes_back_within_the_call(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as server, server.carrier.dial() as line:
        await server.until(line.call_sid, has_prompt("welcome.first"))
        killed = server.worker_pid("asr")
        os.kill(killed, signal.SIGKILL)
        before = line.now_s()
        spoken = line.speak(b"".join(buzz(1.2)))
        await spoken.finished.wait()
        # Something is said within two seconds of the end of speech and the end of the turn.
        async with asyncio.timeout(6):
            while line.reply_arrived_after(before + 1.2) is None:
                await asyncio.sleep(0.05)
        record = await server.until(line.call_sid, lambda found: len(found["turns"]) >= 3)
        assert record["ended_at"] is None
        async with asyncio.timeout(20):
            while server.worker_pid("asr") == killed:
                await asyncio.sleep(0.2)


async def test_a_recogniser_that_hangs_is_noticed_and_the_caller_hears_a_word(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as server, server.carrier.dial() as line:
        await server.until(line.call_sid, has_prompt("welcome.first"))
        hung = server.worker_pid("asr")
        os.kill(hung, signal.SIGSTOP)
        try:
            spoken = line.speak(b"".join(buzz(1.2)))
            await spoken.finished.wait()
            # The end of the turn takes up to a second, and a worker is given up on after less than two.
            async with asyncio.timeout(4):
                while line.reply_arrived_after(spoken.speech_ended_s or 0.0) is None:
                    await asyncio.sleep(0.05)
            record = await server.until(line.call_sid, has_prompt("ladders.hearing_1"), within_s=20)
            assert record["ended_at"] is None
        finally:
            with contextlib.suppress(ProcessLookupError):  # by then it has been replaced
                os.kill(hung, signal.SIGCONT)


async def test_a_killed_voice_is_covered_by_prompts_rendered_before(tmp_path: Path) -> None:
    async with running(tmp_path / "data", VOICEBOT_RECOGNIZER="off") as server, server.carrier.dial() as line:
        await server.until(line.call_sid, has_prompt("welcome.first"))
        os.kill(server.worker_pid("tts"), signal.SIGKILL)
        line.press("4")
        # The opening hours are static: they need no voice that lives.
        record = await server.until(line.call_sid, lambda found: found["goal"] == "opening_hours", within_s=20)
        assert record["ended_at"] is None


@pytest.mark.parametrize("option", ["--port", "--sip-port"])
def test_a_busy_port_is_a_clear_error_not_a_trace(tmp_path: Path, option: str) -> None:
    ports = {"--port": "0", "--sip-port": "0"}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "voicebot", "serve", "--data", str(tmp_path)),
                *itertools.chain(*(ports | {option: str(port)}).items()),
            ],
            env={**os.environ, "VOICEBOT_RECOGNIZER": "off"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert ended.returncode == 1
    assert str(port) in ended.stderr
    assert "Traceback" not in ended.stderr
