"""Many transfers on a real board, with agents, lines and callers that fail: nobody is lost, nobody rings on."""

from __future__ import annotations

from pathlib import Path

import pytest

from voicebot.calls.transfer import offering
from voicebot.records.database import Database, locate
from voicebot.simulation.contact_centre import Played, play
from voicebot.simulation.played_parties import Chances


@pytest.fixture(autouse=True)
def decides_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody takes eight seconds to choose nothing."""
    monkeypatch.setattr(offering, "CHOOSE_S", 0.05)


async def played(tmp_path: Path, chances: Chances, *, transfers: int, agents: int, seed: int = 7) -> Played:
    async with Database.served(locate(tmp_path), instance="test") as database:
        return await play(
            database, transfers=transfers, at_once=transfers, agents=agents, chances=chances, seed=seed, limit_s=120
        )


async def test_every_caller_is_joined_when_nothing_fails_and_the_packet_is_there_first(tmp_path: Path) -> None:
    found = await played(tmp_path, Chances(think_s=0.02, say_s=0.01, talk_s=1.6), transfers=12, agents=12)
    assert found.problems == []
    assert (found.joined, found.joined_with_packet, found.lost) == (12, 12, 0)
    assert found.endings == {"served": 12}


async def test_nobody_is_lost_whatever_fails(tmp_path: Path) -> None:
    chances = Chances(
        ring_fails=0.3, ask_fails=0.3, caller_leaves=0.3, agent_lost_at_once=0.2, think_s=0.02, say_s=0.01, talk_s=1.6
    )
    found = await played(tmp_path, chances, transfers=16, agents=10)
    assert found.problems == []
    assert found.lost == 0
    assert found.joined == found.joined_with_packet
    assert (found.agents_left_claimed, found.callers_left_on_board) == (0, 0)


async def test_with_every_agent_failing_every_caller_is_noted_down(tmp_path: Path) -> None:
    found = await played(tmp_path, Chances(ring_fails=1.0, think_s=0.02, say_s=0.01), transfers=3, agents=6)
    assert found.joined == 0
    assert set(found.endings) == {"noted"}


async def test_a_database_that_fails_now_and_then_leaves_nobody_claimed_and_nobody_waiting(tmp_path: Path) -> None:
    chances = Chances(
        ring_fails=0.2, ask_fails=0.2, caller_leaves=0.2, board_fails=0.08, think_s=0.02, say_s=0.01, talk_s=1.6
    )
    found = await played(tmp_path, chances, transfers=24, agents=16)
    assert found.problems == []
    assert sum(found.endings.values()) == 24
    assert found.joined > 0
    assert (found.agents_left_claimed, found.callers_left_on_board) == (0, 0)


@pytest.mark.parametrize("seed", range(3))
async def test_a_database_that_does_what_it_says_it_did_not_do_leaves_nobody_in_the_air(
    tmp_path: Path, seed: int
) -> None:
    chances = Chances(
        ring_fails=0.2, ask_fails=0.1, caller_leaves=0.2, board_fails=0.1, board_answer_lost=0.15, think_s=0.02,
        say_s=0.01, talk_s=1.6,
    )  # fmt: skip
    found = await played(tmp_path, chances, transfers=16, agents=12, seed=seed)
    assert found.problems == []
    assert sum(found.endings.values()) == 16
    assert found.joined > 0
    assert (found.agents_left_claimed, found.callers_left_on_board) == (0, 0)
