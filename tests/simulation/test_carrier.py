"""The carrier against a small server of the tests' own, over the real protocol on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.fakes.streams_bot import AUTH_TOKEN, StreamsBot
from tests.fakes.virtual_time import VirtualLoop
from tests.fakes.voice import hum
from voicebot.simulation.carrier import Account, CallRefused, Carrier, CarrierError, Numbers
from voicebot.simulation.impairment import Impairment
from voicebot.simulation.line import CarrierLine, LineEnd, Listener
from voicebot.simulation.loudness import rms
from voicebot.wav import read_wav

pytestmark = pytest.mark.virtual_time
NUMBERS = Numbers()
ACCOUNT = Account(auth_token=AUTH_TOKEN)


@asynccontextmanager
async def call(
    bot: StreamsBot,
    impairment: Impairment | None = None,
    *,
    account: Account = ACCOUNT,
    numbers: Numbers = NUMBERS,
    listener: Listener | None = None,
) -> AsyncIterator[CarrierLine]:
    async with bot.serving() as url, aiohttp.ClientSession() as http:
        carrier = Carrier(http, url, account, clock=asyncio.get_running_loop().time)
        dialling = carrier.dial(numbers=numbers, impairment=impairment or Impairment(), listener=listener)
        async with dialling as line:
            yield line
        await asyncio.wait_for(bot.closed.wait(), 5)


async def test_the_webhook_is_signed_and_names_caller_and_called() -> None:
    bot = StreamsBot([], stays=True)
    async with call(bot, numbers=Numbers("+15550100001", "+15550100002")) as line:
        sid = line.call_sid
    assert bot.signed == [True]
    form = bot.forms[0]
    assert (form["CallSid"], form["From"], form["To"]) == (sid, "+15550100001", "+15550100002")


async def test_another_token_signs_differently() -> None:
    bot = StreamsBot([], stays=True)
    async with call(bot, account=Account(auth_token="c" * 32)):
        pass
    assert bot.signed == [False]


async def test_a_stream_begins_with_connected_and_start_and_numbers_what_follows() -> None:
    bot = StreamsBot([], stays=True)
    async with call(bot) as line:
        await asyncio.sleep(0.2)
        line.press("5")
        await asyncio.sleep(0.1)
    kinds = [message["event"] for message in bot.received]
    assert kinds[:2] == ["connected", "start"]
    assert bot.received[1]["start"]["customParameters"] == {"token": "t1"}
    assert kinds[-1] == "stop"
    assert [int(message["sequenceNumber"]) for message in bot.received[1:]] == list(range(1, len(kinds)))
    media = bot.events("media")
    assert [int(message["media"]["chunk"]) for message in media] == list(range(1, len(media) + 1))
    assert [int(message["media"]["timestamp"]) for message in media] == list(range(0, 20 * len(media), 20))
    assert bot.keys == "5"


async def test_the_line_carries_fifty_frames_a_second_also_after_a_late_wake() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    bot = StreamsBot([], stays=True)
    async with call(bot) as line:
        await asyncio.sleep(0.5)
        loop.stall(0.2)  # as a busy machine would
        await asyncio.sleep(0.5)
        frames = len(line.tape.caller) // 160
    assert 58 <= frames <= 64
    assert line.report().frames_sent_late >= 8


async def test_what_is_said_arrives_and_its_speech_is_timed() -> None:
    bot = StreamsBot([], stays=True)
    said = b"\xff" * 800 + hum("two words") + b"\xff" * 1600
    async with call(bot) as line:
        utterance = line.speak(said)
        await asyncio.wait_for(utterance.finished.wait(), 5)
    assert utterance.speech_started_s is not None
    assert utterance.speech_ended_s is not None
    assert 0.3 < utterance.speech_ended_s - utterance.speech_started_s < 0.6
    assert said in bytes(bot.heard)


async def test_a_prompt_is_heard_and_its_mark_returned_after_it() -> None:
    prompt = hum("three words long")
    bot = StreamsBot([prompt], stays=True)
    heard: list[bytes] = []
    async with call(bot, listener=lambda frame, _: heard.append(frame)) as line:
        await asyncio.wait_for(bot.prompt_played.wait(), 5)
    assert prompt in b"".join(heard)
    report = line.report()
    assert (report.marks_set, report.marks_returned) == (1, 1)
    assert report.frames_received == len(prompt) / 160
    # The server runs 200 ms ahead, so that much waits here at most, and the line never runs dry.
    assert 100 <= report.deepest_queue_ms <= 240
    assert report.violations == {}


async def test_talking_over_a_prompt_clears_what_waits_and_returns_its_marks() -> None:
    bot = StreamsBot([hum("a prompt that goes on and on for quite some time")], stays=True)
    async with call(bot) as line:
        await asyncio.sleep(0.3)
        await line.speak(hum("stop")).finished.wait()
        await asyncio.sleep(0.3)
        heard_until_s = line.heard_s[-1]
        said_from_s = line.report().clears_s[0]
    assert heard_until_s - said_from_s < 0.2
    assert len(line.report().clears_s) == 1


async def test_a_refused_call_says_what_the_server_said() -> None:
    bot = StreamsBot([], refusal="All lines are busy.")
    async with bot.serving() as url, aiohttp.ClientSession() as http:
        with pytest.raises(CallRefused) as caught:
            async with Carrier(http, url, ACCOUNT).dial():
                pass
    assert caught.value.spoken == "All lines are busy."


async def test_a_server_that_is_not_there_is_named() -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(CarrierError, match="Is the server running"):
            async with Carrier(http, "http://127.0.0.1:9", ACCOUNT).dial():
                pass


@pytest.mark.parametrize(
    ("token", "fix"), [(None, "takes no unsigned calls"), ("c" * 32, "must be the same here and at the server")]
)
async def test_a_caller_who_is_not_believed_is_told_what_to_set(token: str | None, fix: str) -> None:
    async def disbelieve(_request: web.Request) -> web.Response:
        raise web.HTTPForbidden

    app = web.Application()
    app.router.add_post("/twilio/voice", disbelieve)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        with pytest.raises(CarrierError, match=fix):
            async with Carrier(http, str(server.make_url("")).rstrip("/"), Account(auth_token=token)).dial():
                pass


async def test_a_server_that_hangs_up_ends_the_line() -> None:
    async with call(StreamsBot([hum("bye")])) as line:
        await asyncio.wait_for(line.ended.wait(), 5)
    assert line.report().end is LineEnd.SERVER_CLOSED


async def test_a_dropped_line_sends_neither_stop_nor_a_close() -> None:
    bot = StreamsBot([], stays=True)
    async with call(bot) as line:
        await asyncio.sleep(0.1)
        line.drop()
    assert bot.events("stop") == []
    assert line.report().end is LineEnd.DROPPED


async def test_stream_callbacks_are_posted() -> None:
    bot = StreamsBot([], stays=True)
    async with call(bot):
        await asyncio.sleep(0.1)
    assert bot.stream_events == ["stream-started", "stream-stopped"]


async def test_nonsense_from_the_server_is_counted_by_kind_and_ends_nothing() -> None:
    bot = StreamsBot([], stays=True)
    media = {"event": "media", "streamSid": "MZother", "media": {"payload": base64.b64encode(b"x").decode()}}
    bot.nonsense = ["{", json.dumps(media), '{"event":"dance","streamSid":"MZother"}']
    async with call(bot) as line:
        await asyncio.sleep(0.2)
        assert line.end is None
    assert line.report().violations == {"bad_json": 1, "wrong_stream": 1, "unknown_event": 1}


async def test_loss_leaves_gaps_in_the_chunks_only() -> None:
    bot = StreamsBot([], stays=True)
    async with call(bot, Impairment(loss=0.3, seed=1)):
        await asyncio.sleep(1.0)
    chunks = [int(message["media"]["chunk"]) for message in bot.events("media")]
    assert chunks == sorted(chunks)
    assert 0.5 < len(chunks) / chunks[-1] < 0.9
    numbers = [int(message["sequenceNumber"]) for message in bot.received[1:]]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_jitter_delays_but_keeps_the_order() -> None:
    bot = StreamsBot([], stays=True)
    async with call(bot, Impairment(jitter_ms=80, seed=1)):
        await asyncio.sleep(0.6)
    chunks = [int(message["media"]["chunk"]) for message in bot.events("media")]
    assert chunks == list(range(1, len(chunks) + 1))
    assert len(chunks) >= 20


async def test_noise_lies_below_the_speech_by_the_ratio_asked_for() -> None:
    bot = StreamsBot([], stays=True)
    async with call(bot, Impairment(noise_snr_db=20)):
        await asyncio.sleep(0.5)
    # -20 dBFS speech less 20 dB is an RMS of 328.
    assert 280 < rms(bytes(bot.heard)) < 380


async def test_the_tape_holds_both_sides_on_one_clock() -> None:
    prompt = hum("three words long")
    bot = StreamsBot([prompt], stays=True)
    async with call(bot) as line:
        await asyncio.sleep(0.4)
        await line.speak(hum("me")).finished.wait()
    wav = read_wav(line.tape.wav())
    assert wav.channels == 2
    assert len(wav.samples) == len(line.tape.caller) == len(line.tape.bot)
    assert abs(wav.samples[:, 1].astype(int)).max() > 5000
