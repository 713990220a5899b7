"""Scripts followed against the tests' own server. The caller hums and knows the bot's hums by their length."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.fakes.mind import HummingMind
from tests.fakes.streams_bot import AUTH_TOKEN, StreamsBot
from tests.fakes.voice import hum
from voicebot.simulation.caller import Caller
from voicebot.simulation.carrier import Account, Carrier
from voicebot.simulation.ears import Heard
from voicebot.simulation.result import CallEnd, CallResult, Prompting, Speaker, Spoken
from voicebot.simulation.script import DropLine, HangUp, PlayAudio, Press, Say, Script, Step, Wait

pytestmark = pytest.mark.virtual_time

#: What hums of one to six words mean, and what the test's bot says by them.
MEANINGS = {
    1: "sorry i did not catch that",
    2: "how can i help",
    3: "your pin please",
    4: "your balance is ten dollars",
    5: "goodbye",
}
SORRY, GREETING, ASKS_PIN, BALANCE, GOODBYE = (hum("w " * words) for words in MEANINGS)
GIBBERISH = hum("w " * 8)
ASKS = Step(("how can i help",), (Say("my balance"),))
KEYS = Step(("pin",), (Press("1234#", gap_s=0.05, secret=True),))


async def place(bot: StreamsBot, script: Script, said: list[Spoken] | None = None) -> CallResult:
    async with bot.serving() as url, aiohttp.ClientSession() as http:
        caller = Caller(script, HummingMind(MEANINGS), on_spoken=None if said is None else said.append)
        return await caller.call(
            Carrier(http, url, Account(auth_token=AUTH_TOKEN), clock=asyncio.get_running_loop().time)
        )


async def test_a_script_is_followed_by_voice_and_keys_until_the_bot_hangs_up() -> None:
    said: list[Spoken] = []
    bot = StreamsBot([GREETING, ASKS_PIN, BALANCE])
    result = await place(bot, Script("balance", (ASKS, KEYS, Step(("balance is",)))), said)
    assert (result.end, result.detail, result.steps_done) == (CallEnd.DONE, "", 3)
    assert [(line.speaker, line.text) for line in result.spoken] == [
        (Speaker.BOT, "how can i help"),
        (Speaker.CALLER, "my balance"),
        (Speaker.BOT, "your pin please"),
        (Speaker.CALLER, "[keys •••••]"),
        (Speaker.BOT, "your balance is ten dollars"),
    ]
    assert result.spoken == tuple(said)
    assert "ten dollars" in result.heard
    assert bot.keys == "1234#"


async def test_each_reply_is_timed_from_the_callers_last_sample() -> None:
    result = await place(StreamsBot([GREETING, ASKS_PIN, BALANCE]), Script("b", (ASKS, KEYS, Step(("balance is",)))))
    assert [reply.to for reply in result.replies] == [Prompting.SPEECH, Prompting.KEYS]
    # The test's bot waits for 300 ms of quiet after speech, and for nothing after the last key.
    assert 280 < result.replies[0].voice_to_voice_ms < 600
    assert result.replies[1].voice_to_voice_ms < 250


async def test_a_wrong_reply_fails_the_call_and_says_what_was_expected() -> None:
    bot = StreamsBot([GREETING, SORRY, SORRY, SORRY], stays=True)
    script = Script("balance", (ASKS, Step(("pin",), (Say("one"),), timeout_s=2)))
    result = await place(bot, script)
    assert result.end is CallEnd.WRONG_REPLY
    assert result.detail == "step 2: waited for 'pin', understood 'sorry i did not catch that'"
    assert result.steps_done == 1


async def test_unintelligible_speech_is_no_cue() -> None:
    result = await place(StreamsBot([GIBBERISH], stays=True), Script("b", (Step(("help",), (Say("x"),), timeout_s=3),)))
    assert result.end is CallEnd.NO_REPLY
    assert result.spoken[0].text == ""


async def test_silence_fails_the_call() -> None:
    result = await place(StreamsBot([], stays=True), Script("b", (Step(timeout_s=0.3),)))
    assert result.end is CallEnd.NO_REPLY


async def test_a_bot_that_hangs_up_early_fails_the_call() -> None:
    result = await place(StreamsBot([GREETING]), Script("b", (ASKS, KEYS)))
    assert result.end is CallEnd.BOT_HUNG_UP


async def test_a_bot_that_never_hangs_up_fails_the_call() -> None:
    script = Script("b", (Step(("goodbye",)),), goodbye_timeout_s=0.3)
    assert (await place(StreamsBot([GOODBYE], stays=True), script)).end is CallEnd.NOT_HUNG_UP


async def test_a_refused_call_is_a_result() -> None:
    result = await place(StreamsBot([], refusal="We are full."), Script("b", (ASKS,)))
    assert (result.end, result.detail, result.line) == (CallEnd.REFUSED, "We are full.", None)


async def test_an_aside_repeats_without_moving_on_and_only_so_often() -> None:
    aside = Step(("did not catch that",), (Say("my balance"),))
    script = Script("b", (ASKS, Step(("pin",), (HangUp(),), timeout_s=3)), asides=(aside,))
    assert (await place(StreamsBot([GREETING, SORRY, ASKS_PIN], stays=True), script)).end is CallEnd.DONE
    often = await place(StreamsBot([GREETING, SORRY, SORRY, SORRY, ASKS_PIN], stays=True), script)
    assert often.end is CallEnd.WRONG_REPLY


async def test_a_puzzled_caller_asks_again_when_the_bot_waits() -> None:
    bot = StreamsBot([GREETING, GIBBERISH, ASKS_PIN], stays=True)
    script = Script(
        "b", (ASKS, Step(("pin",), (HangUp(),), timeout_s=8)), puzzled=(Say("sorry could you say that again"),)
    )
    result = await place(bot, script)
    assert result.end is CallEnd.DONE
    said = [line.text for line in result.spoken if line.speaker is Speaker.CALLER]
    assert said == ["my balance", "sorry could you say that again"]


async def test_what_the_bot_says_in_two_breaths_is_taken_together() -> None:
    bot = StreamsBot([GREETING + b"\xff" * 8000 + ASKS_PIN], stays=True)
    script = Script("b", (Step(("your pin please",), (HangUp(),)),))
    result = await place(bot, script)
    assert result.end is CallEnd.DONE
    assert [line.text for line in result.spoken] == ["how can i help", "your pin please"]


async def test_an_interruption_is_timed_until_the_bot_is_no_longer_heard() -> None:
    bot = StreamsBot([hum("w " * 30), ASKS_PIN], stays=True)
    script = Script(
        "b",
        (Step(deeds=(Say("stop it"),), interrupt_after_s=0.4), Step(("pin",), (HangUp(),))),
    )
    result = await place(bot, script)
    assert result.end is CallEnd.DONE
    assert len(result.interruptions) == 1
    # The test's bot stops at the first loud frame.
    assert result.interruptions[0].stop_ms < 200
    assert result.line is not None
    assert len(result.line.clears_s) == 1


async def test_a_bot_that_talks_on_is_not_said_to_have_stopped() -> None:
    bot = StreamsBot([hum("w " * 10)], stays=True)
    bot.deaf = True
    script = Script("b", (Step(deeds=(Say("stop"), Wait(2.5), HangUp()), interrupt_after_s=0.2),))
    result = await place(bot, script)
    assert result.interruptions[0].stop_ms > 1000
    assert result.replies == ()


@pytest.mark.parametrize(("deed", "stops"), [(HangUp(), 1), (DropLine(), 0)])
async def test_a_caller_may_leave_at_any_step(deed: HangUp | DropLine, stops: int) -> None:
    bot = StreamsBot([GREETING], stays=True)
    result = await place(bot, Script("b", (Step(("how can i help",), (deed,)),)))
    assert result.end is CallEnd.DONE
    assert len(bot.events("stop")) == stops


async def test_a_recording_can_be_played_instead_of_speaking() -> None:
    bot = StreamsBot([GREETING, ASKS_PIN], stays=True)
    recording = hum("a recording")
    script = Script("b", (Step((), (PlayAudio(recording),)), Step(("pin",), (HangUp(),))))
    assert (await place(bot, script)).end is CallEnd.DONE
    assert recording in bytes(bot.heard)


class _HastyMind(HummingMind):
    """At a first glance takes one hum for another, and is sure of it."""

    def __init__(self, *, takes: str, for_what: str) -> None:
        super().__init__(MEANINGS)
        self._takes, self._for_what = takes, for_what

    async def glance(self, mulaw: bytes) -> Heard:
        heard = await self.hear(mulaw)
        return Heard(self._for_what, sure=True) if heard.text == self._takes else heard


async def test_what_was_misheard_at_first_does_not_bring_up_an_aside() -> None:
    mind = _HastyMind(takes="your pin please", for_what="sorry i did not catch that")
    aside = Step(("did not catch",), (Say("my balance"),))
    script = Script("balance", (ASKS, KEYS, Step(("balance is",))), asides=(aside,))
    bot = StreamsBot([GREETING, ASKS_PIN, BALANCE])
    async with bot.serving() as url, aiohttp.ClientSession() as http:
        clock = asyncio.get_running_loop().time
        result = await Caller(script, mind).call(Carrier(http, url, Account(auth_token=AUTH_TOKEN), clock=clock))
    assert result.end is CallEnd.DONE
    assert [line.text for line in result.spoken if line.speaker is Speaker.CALLER] == ["my balance", "[keys •••••]"]
