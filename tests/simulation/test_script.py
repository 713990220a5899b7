from __future__ import annotations

import pytest

from voicebot.simulation.script import DropLine, HangUp, Say, Script, Step, fits


@pytest.mark.parametrize(
    ("cues", "heard", "expected"),
    [
        (("account number",), "your account number please", True),
        (("Account number?",), "your account number please", True),
        (("count",), "your account number", False),
        (("pin", "account"), "the account", True),
        (("friday … book it",), "friday november third shall i book it", True),
        (("friday … book it",), "shall i book it on friday", False),
        (("at 4 PM",), "that's friday at four pm shall i book it", True),
        ((), "anything", True),
        ((), "", False),
    ],
)
def test_a_cue_is_words_in_a_row(cues: tuple[str, ...], heard: str, expected: bool) -> None:
    assert fits(cues, heard) is expected


def test_a_caller_hangs_up_only_if_the_last_thing_they_do_says_so() -> None:
    assert Script("x", (Step(deeds=(HangUp(),)),)).hangs_up
    assert Script("x", (Step(deeds=(Say("bye"), DropLine())),)).hangs_up
    assert not Script("x", (Step(deeds=(HangUp(),)), Step())).hangs_up
    assert not Script("x", ()).hangs_up
