"""Spoken calls to the real server: every flow, many at once, over noise, with interruptions, hung up at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.end_to_end.server import Server, has_prompt, is_over, running
from tests.end_to_end.talker import Plan, Voices, converse, transcript
from voicebot.simulation.carrier import CallRefused, Numbers
from voicebot.simulation.impairment import Impairment
from voicebot.simulation.line import CarrierLine
from voicebot.simulation.script import Deed, Press, Say

pytestmark = [
    pytest.mark.spoken,
    pytest.mark.timeout(420),
    # One server takes the calls of most tests, one test's after the other's.
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("conversations"),
]

Answers = dict[str, Deed | tuple[Deed, ...]]


@pytest.fixture(scope="module")
def voices() -> Iterator[Voices]:
    made = Voices()
    yield made
    made.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with running(tmp_path_factory.mktemp("conversations"), VOICEBOT_MAX_STARTS_PER_MINUTE="60") as found:
        yield found


def done() -> Answers:
    return {"welcome.more": (Say("No, that's all."), Press("9"))}


def known(account: str, pin: str) -> Answers:
    """Say who one is: the number by voice and, where that fails, by keys; the PIN always by keys."""
    spoken = " ".join(account[:3]) + ", " + " ".join(account[3:])
    return {
        "authenticate.ask_account_number": (Say(spoken), Press(account)),
        "authenticate.ask_pin": Press(pin),
        "reauthenticate.ask_pin": Press(pin),
    }


#: Account and PIN of those who call about a card, and of those who call about a bill.
CARD_HOLDERS = (("402938", "1593"), ("415620", "8264"), ("427713", "3350"))
BILL_PAYERS = (("400121", "4071"), ("448205", "6018"))


def requests(turn: int = 0) -> dict[str, Answers]:
    """Return what callers want, by goal, and how they say it; what was misheard once is keyed.

    Callers of another `turn` are other customers where one can be served only once.
    """
    return {
        "balance": {
            "welcome.first": (Say("Can you check my account balance?"), Press("1")),
            **known("448205", "6018"),
        },
        "order_status": {
            "welcome.first": (Say("Where is my order?"), Press("2")),
            "order_status.ask_order_number": (Say("four eight two one three"), Press("48213")),
            "order_status.ask_wants_express": (Say("Yes, please."), Press("1")),
        },
        "book_appointment": {
            "welcome.first": (Say("I'd like to book an appointment."), Press("3")),
            "appointment.ask_day": Say("On Friday."),
            "appointment.ask_time": Say("At four o'clock."),
            "appointment.choose_time": Press("1"),
            "appointment.choose_last_time": Press("1"),
            "appointment.confirm": (Say("Yes, please."), Press("1")),
        },
        "opening_hours": {"welcome.first": (Say("When are you open?"), Press("4"))},
        "replace_card": {
            "welcome.first": (Say("I lost my card."), Press("5")),
            **known(*CARD_HOLDERS[turn % len(CARD_HOLDERS)]),
            "card_replacement.ask_reason": Say("It was lost."),
            "card_replacement.confirm": (Say("Yes."), Press("1")),
        },
        "pay_bill": {
            "welcome.first": (Say("I want to pay a bill."), Press("6")),
            **known(*BILL_PAYERS[turn % len(BILL_PAYERS)]),
            "bill_payment.ask_whole": (Say("Yes."), Press("1")),
            "bill_payment.confirm": (Say("Yes."), Press("1")),
        },
        "technical_problem": {
            "welcome.first": (Say("I have a technical problem."), Press("7")),
            "troubleshooting.ask_topic": Say("The website."),
            "troubleshooting.ask_helped": (Say("Yes."), Press("1")),
        },
        "question": {"welcome.first": (Say("What is your return policy?"), Say("Can I send something back?"))},
        "person": {"welcome.first": (Say("I want to speak with a person."), Press("0"))},
    }


def caller(number: int) -> Numbers:
    return Numbers(caller=f"+1555010{number:04d}")


@pytest.mark.crowd
async def test_twenty_callers_at_once_are_all_served_and_every_flow_among_them(server: Server, voices: Voices) -> None:
    wanted = [request for turn in range(3) for request in requests(turn).items()][:20]
    plans = [
        Plan(f"{goal} {number}", {**answers, **done()}, caller(number)) for number, (goal, answers) in enumerate(wanted)
    ]
    for plan in plans:  # made before the calls begin, so that no caller waits for another's voice
        for deed in plan.answers.values():
            for single in deed if isinstance(deed, tuple) else (deed,):
                if isinstance(single, Say):
                    await voices.speak(single.text)
    records = await asyncio.gather(*(converse(server, plan, voices) for plan in plans))
    failed = {
        plan.name: transcript(record)
        for plan, record in zip(plans, records, strict=True)
        if (record["goal"], record["goal_reached"]) != (plan.name.split()[0], True)
    }
    assert not failed, "\n\n".join(f"{name}\n{said}" for name, said in failed.items())
    # Both wanted Friday at four; each has a time of their own.
    booked = [what_was_booked(record) for record in records if record["goal"] == "book_appointment"]
    assert len(set(booked)) == len(booked) == 2


def what_was_booked(record: dict[str, Any]) -> str:
    return next(str(turn["text"]) for turn in record["turns"] if turn["text"].startswith("You're booked for"))


async def test_callers_on_noisy_lines_are_served(server: Server, voices: Voices) -> None:
    plans = [
        Plan(
            f"{snr_db} dB over noise",
            {**requests()["order_status"], **done()},
            caller(number),
            Impairment(noise_snr_db=snr_db, jitter_ms=30, loss=0.01, seed=1),
        )
        for number, snr_db in enumerate((20.0, 12.0))
    ]
    for record in await asyncio.gather(*(converse(server, plan, voices) for plan in plans)):
        assert (record["goal"], record["goal_reached"]) == ("order_status", True), transcript(record)


async def test_noise_alone_is_not_taken_for_words(server: Server, voices: Voices) -> None:
    plan = Plan("noise alone", {}, impairment=Impairment(noise_snr_db=15.0, seed=2))
    record = await converse(server, plan, voices)
    assert [turn["text"] for turn in record["turns"] if turn["speaker"] == "caller" and turn["text"]] == []
    assert has_prompt("no_answer.say")(record), transcript(record)


async def test_the_bot_stops_for_a_caller_who_interrupts_and_does_what_they_say(server: Server, voices: Voices) -> None:
    request = await voices.speak("I'd like to book an appointment.")
    async with server.carrier.dial() as line:
        await server.until(line.call_sid, has_prompt("welcome.first"))
        await line.speak(await voices.speak("What can I say?")).finished.wait()
        asked_s = line.now_s()
        async with asyncio.timeout(10):
            while line.reply_arrived_after(asked_s) is None:
                await asyncio.sleep(0.05)
        await asyncio.sleep(1.5)
        utterance = line.speak(request)
        await utterance.finished.wait()
        record = await server.until(line.call_sid, has_prompt("appointment.ask_day"))
    report = line.report()
    assert utterance.speech_started_s is not None
    assert utterance.speech_ended_s is not None
    # The prompt was dropped while the caller spoke, not after: nothing of it was left at the carrier to be heard.
    assert any(utterance.speech_started_s < at_s < utterance.speech_ended_s for at_s in report.clears_s)
    cut = [turn for turn in record["turns"] if turn["heard_text"] is not None]
    # The first was cut in the middle; what waited behind it was never heard.
    assert 0 < len(cut[0]["heard_text"]) < len(cut[0]["text"]), transcript(record)
    assert {turn["heard_text"] for turn in cut[1:]} <= {""}, transcript(record)
    assert [turn["over_prompt"] for turn in record["turns"] if turn["speaker"] == "caller"] == [False, True]


async def test_uh_huh_lets_a_long_prompt_go_on_to_its_end_and_a_request_stops_it(
    server: Server, voices: Voices
) -> None:
    help_wanted = await voices.speak("What can I say?")
    backchannel = await voices.speak("uh-huh")
    request = await voices.speak("I'd like to book an appointment.")

    async def over_the_list(line: CarrierLine, mulaw: bytes) -> None:
        await line.speak(help_wanted).finished.wait()
        asked_s = line.now_s()
        async with asyncio.timeout(10):
            while line.reply_arrived_after(asked_s) is None:
                await asyncio.sleep(0.05)
        await asyncio.sleep(1.5)
        await line.speak(mulaw).finished.wait()

    async with server.carrier.dial() as line:
        await server.until(line.call_sid, has_prompt("welcome.first"))
        await over_the_list(line, backchannel)
        # The bot's turn is written once it was heard to its end.
        agreed = await server.until(line.call_sid, lambda record: len(record["turns"]) >= 4, within_s=40)
        await over_the_list(line, request)
        record = await server.until(line.call_sid, has_prompt("appointment.ask_day"))
    first = [turn for turn in agreed["turns"] if turn["speaker"] == "bot"][-1]
    assert (first["heard_text"], len(first["text"]) > 100) == (None, True), transcript(agreed)
    # Told by its sound alone it leaves no turn, told by its words one that the dialog never saw.
    noted = {turn["decision"] for turn in agreed["turns"] if turn["over_prompt"]}
    assert noted <= {"backchannel: the prompt went on"}, transcript(agreed)
    again = [turn for turn in record["turns"] if turn["prompt"] == first["prompt"]][-1]
    assert again["heard_text"] is not None, transcript(record)
    assert 0 < len(again["heard_text"]) < len(again["text"])


async def metrics(server: Server) -> str:
    async with server.http.get(server.url + "/metrics") as answer:
        return await answer.text()


async def hears(line: Any, server: Server, prompt: str) -> None:
    await server.until(line.call_sid, has_prompt(prompt))


async def test_a_caller_may_hang_up_at_any_moment(server: Server, voices: Voices) -> None:
    """Each leaves at another stage; every record is closed at once, and one who stays is served meanwhile."""
    request = await voices.speak("Can you check my account balance?")
    order = await voices.speak("Where is my order?")
    goodbye = await voices.speak("No, that's all.")

    async def at_once(line: Any) -> None:
        del line

    async def in_the_greeting(line: Any) -> None:
        await asyncio.sleep(2)

    async def in_mid_word(line: Any) -> None:
        await hears(line, server, "welcome.first")
        line.speak(request)
        await asyncio.sleep(0.7)

    async def while_the_bot_thinks(line: Any) -> None:
        await hears(line, server, "welcome.first")
        await line.speak(request).finished.wait()
        await asyncio.sleep(0.1)

    async def in_the_reply(line: Any) -> None:
        await hears(line, server, "welcome.first")
        await line.speak(order).finished.wait()
        await asyncio.sleep(1.5)

    async def between_secret_keys(line: Any) -> None:
        await hears(line, server, "welcome.first")
        line.press("1")
        await hears(line, server, "authenticate.ask_account_number")
        for key in "402938":
            line.press(key)
        await hears(line, server, "authenticate.ask_pin")
        line.press("1")
        line.press("5")
        await asyncio.sleep(0.3)

    async def in_the_goodbye(line: Any) -> None:
        await hears(line, server, "welcome.first")
        line.press("4")
        await hears(line, server, "welcome.more")
        await line.speak(goodbye).finished.wait()
        await asyncio.sleep(1.2)

    async def leave(number: int, stage: Callable[[Any], Any], *, drops: bool) -> dict[str, Any]:
        async with server.carrier.dial(numbers=caller(number)) as line:
            await stage(line)
            if drops:
                line.drop()
            else:
                await line.hang_up()
            return await server.until(line.call_sid, is_over, within_s=20)

    stages = (
        at_once,
        in_the_greeting,
        in_mid_word,
        while_the_bot_thinks,
        in_the_reply,
        between_secret_keys,
        in_the_goodbye,
    )
    stays = converse(server, Plan("stays", {**requests()["opening_hours"], **done()}, caller(99)), voices)
    staying = asyncio.create_task(stays)
    records = await asyncio.gather(
        *(leave(number, stage, drops=number % 3 == 2) for number, stage in enumerate(stages))
    )
    for stage, record in zip(stages, records, strict=True):
        # Who leaves in the goodbye had all they wanted.
        outcome = "completed" if stage is in_the_goodbye else "hung_up"
        assert record["outcome"] == outcome, f"{stage.__name__}\n{transcript(record)}"
        assert record["cause"] in {"peer_hung_up", "connection_lost"}, stage.__name__
    stayed = await staying
    assert (stayed["goal"], stayed["goal_reached"], stayed["outcome"]) == ("opening_hours", True, "completed")
    assert "Traceback" not in server.log.read_text()
    async with asyncio.timeout(20):  # the last record was closed a moment ago
        while "voicebot_live_calls 0.0" not in await metrics(server):
            await asyncio.sleep(0.2)


async def test_a_call_too_many_is_refused_with_a_sentence_and_harms_nobody(tmp_path: Path, voices: Voices) -> None:
    async with running(tmp_path / "data", VOICEBOT_MAX_CALLS="1") as server:
        plan = Plan("first", {**requests()["opening_hours"], **done()}, caller(1))
        first = asyncio.create_task(converse(server, plan, voices))
        await asyncio.sleep(1)
        with pytest.raises(CallRefused) as refused:
            async with server.carrier.dial(numbers=caller(2)):
                pass
        assert "busy" in refused.value.spoken
        record = await first
        assert record["goal_reached"], transcript(record)


async def test_a_call_at_its_longest_is_told_so_and_ends(tmp_path: Path, voices: Voices) -> None:
    async with running(tmp_path / "data", VOICEBOT_MAX_CALL_S="12") as server:
        record = await converse(server, Plan("long", {}, within_s=60), voices)
    assert "longest time for one call" in record["turns"][-1]["text"]
