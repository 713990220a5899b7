"""A joined call: the bot lent for a step, somebody asked in, the caller left to them, a survey, keys of a telephone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.calls.transfer.test_with_agent import Talk, talking, until
from voicebot.calls.transfer import agent_side
from voicebot.calls.transfer.agent_keys import STAR_S, AgentKey, AgentKeys, Pressed
from voicebot.calls.transfer.seams import FlowRun
from voicebot.routing.handover_state import Phase
from voicebot.routing.wording import Wording
from voicebot.simulation.played_parties import PlayedLeg


@pytest.fixture(autouse=True)
def talks_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody talks for a second and a half."""
    monkeypatch.setattr(agent_side, "SHORTEST_TALK_S", 0.0)


def phase(talk: Talk) -> Phase:
    return talk.transfer._state.phase  # where it stands is shown to desks only


def leg_of(talk: Talk, agent: str) -> PlayedLeg:
    """The line on which an agent was rung last."""
    return next(leg for leg in reversed(talk.lines.legs) if leg.info.leg_id.startswith(agent))


async def has_third(talk: Talk) -> None:
    await until(lambda: any(news and news.third == "Ben" for _, news in talk.shown))


async def test_the_bot_does_a_step_and_the_caller_is_joined_again(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        talk.caller.moves.clear()
        assert talk.desk.lend("ana", talk.token, "bill_payment")
        await until(lambda: talk.caller.moves == ["bot", "bridged"])
        assert talk.caller.said[-2:] == ["transfer.bot_step", "bill_payment"]
        assert leg_of(talk, "ana").told == [Wording().text("bot_has_caller")]
        news = talk.shown[-1][1]
        assert news is not None
        assert (news.state, news.run) == ("joined", FlowRun(done=True, reached=("bill_payment",)))


async def test_an_agent_takes_the_caller_back_from_the_bot(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        talk.caller.flow_s = 60.0
        assert talk.desk.lend("ana", talk.token, "bill_payment")
        await until(lambda: "bill_payment" in talk.caller.said)
        talk.caller.moves.clear()
        assert talk.desk.take_back("ana", talk.token)
        await until(lambda: talk.caller.moves == ["bridged"])
        assert phase(talk) is Phase.JOINED


async def test_a_caller_who_hangs_up_with_the_bot_frees_the_agent(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        talk.caller.flow_s = 60.0
        talk.desk.lend("ana", talk.token, "bill_payment")
        await until(lambda: "bill_payment" in talk.caller.said)
        talk.transfer.caller_left()
        assert (await talk.running).ending == "caller_left"
        assert await talk.state_of("ana") == "wrap_up"


async def test_somebody_of_another_queue_is_asked_in_and_let_go(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        assert talk.desk.invite("ana", talk.token, "second")
        await has_third(talk)
        await talk.becomes("ben", "busy")
        assert talk.desk.let_third_go("ana", talk.token)
        await until(lambda: talk.shown[-1][1] is not None and not talk.shown[-1][1].third)
        await talk.becomes("ben", "available", "wrap_up")
        assert await talk.state_of("ana") == "busy"
        assert phase(talk) is Phase.JOINED


async def test_the_third_may_leave_by_hanging_up(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        talk.desk.invite("ana", talk.token, "second", who="ben")
        await has_third(talk)
        leg_of(talk, "ben").end()
        await until(lambda: talk.shown[-1][1] is not None and not talk.shown[-1][1].third)
        assert phase(talk) is Phase.JOINED


async def test_an_agent_who_leaves_a_third_leaves_them_the_caller(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        talk.desk.invite("ana", talk.token, "second")
        await has_third(talk)
        ana = talk.token
        leg_of(talk, "ana").end()
        await until(lambda: talk.transfer.claim is not None and talk.transfer.claim.agent_id == "ben")
        await talk.becomes("ana", "wrap_up")
        assert await talk.state_of("ben") == "busy"
        assert not talk.desk.hold("ana", ana, held=True), "the caller is another's now"
        assert talk.desk.finish("ben", talk.token)
        outcome = await talk.running
        assert (outcome.ending, outcome.agent) == ("served", "Ben")
        assert await talk.state_of("ben") == "wrap_up"
        board = await talk.centre.snapshot()
        assert board.entries == []


async def test_nobody_is_asked_in_who_is_not_there_and_the_desk_says_so(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        await talk.away("ben")
        assert talk.desk.invite("ana", talk.token, "second")
        await until(lambda: any(news and news.failed for _, news in talk.shown))
        assert phase(talk) is Phase.JOINED
        assert not talk.desk.invite("ana", talk.token, "service", who="ben"), "Ben does not serve that queue"


async def test_a_caller_who_hangs_up_frees_both(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        talk.desk.invite("ana", talk.token, "second")
        await has_third(talk)
        talk.transfer.caller_left()
        await talk.running
        assert (await talk.state_of("ana"), await talk.state_of("ben")) == ("wrap_up", "wrap_up")
        assert (await talk.centre.snapshot()).entries == []
        assert talk.shown[-1][1] is None, "no desk shows the call any more"


async def test_with_the_caller_on_hold_agent_and_third_talk_alone(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        talk.desk.hold("ana", talk.token, held=True)
        await until(lambda: phase(talk) is Phase.HELD)
        talk.desk.invite("ana", talk.token, "second")
        await has_third(talk)
        assert phase(talk) is Phase.HELD
        assert talk.caller.moves[-1] == "music"
        talk.desk.hold("ana", talk.token, held=False)
        await until(lambda: phase(talk) is Phase.JOINED)


async def test_a_caller_is_sent_on_to_one_agent(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        assert not talk.desk.send_on("ana", talk.token, "second", to="ana")
        assert talk.desk.send_on("ana", talk.token, "second", to="ben")
        await until(lambda: talk.transfer.claim is not None and talk.transfer.claim.agent_id == "ben")


async def test_an_agent_may_end_in_a_survey(tmp_path: Path) -> None:
    async with talking(tmp_path, survey="how_was_it") as talk:
        assert talk.desk.finish("ana", talk.token, survey=True)
        outcome = await talk.running
        assert outcome.ending == "survey"
        assert talk.caller.said[-2:] == ["how_was_it", "transfer.thanks"]


async def test_an_agent_on_a_telephone_does_it_by_keys(tmp_path: Path) -> None:
    async with talking(tmp_path, step="bill_payment") as talk:
        ana = leg_of(talk, "ana")
        ana.press("*1")
        await until(lambda: phase(talk) is Phase.HELD)
        ana.press("*1")
        await until(lambda: phase(talk) is Phase.JOINED)
        ana.press("*2")
        await until(lambda: "bill_payment" in talk.caller.said)
        await until(lambda: phase(talk) is Phase.JOINED)
        ana.press("*9")
        assert (await talk.running).ending == "survey"


def pressed(keys: str, *, apart_s: float = 0.5) -> list[Pressed]:
    reader = AgentKeys()
    return [reader.press(key, number * apart_s) for number, key in enumerate(keys)]


@pytest.mark.parametrize(
    ("keys", "to_caller", "commands"),
    [
        ("123", "123", []),
        ("*1", "", [AgentKey.HOLD]),
        ("5*2#", "5#", [AgentKey.STEP]),
        ("*7", "*7", []),
        ("**", "*", []),
        ("**1", "*1", []),
    ],
)
def test_stars_are_commands_and_all_else_is_the_callers(keys: str, to_caller: str, commands: list[AgentKey]) -> None:
    came = pressed(keys)
    assert "".join(one.keys for one in came) == to_caller
    assert [one.command for one in came if one.command] == commands


def test_a_star_that_was_pressed_long_ago_begins_nothing() -> None:
    came = pressed("*1", apart_s=STAR_S + 1)
    assert came[-1] == Pressed(keys="1")
