from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.dialog.small_bot import write_bot
from tests.dialog.strategies import FLOWS, shipped_bot
from voicebot.dialog.expectation import AnswerKind
from voicebot.dialog.flow import spoken_words
from voicebot.dialog.graph import circles
from voicebot.dialog.loader import load_bot
from voicebot.dialog.picture import mermaid
from voicebot.errors import ConfigurationError


def test_every_question_has_an_expectation_of_its_own_name() -> None:
    names = [expectation.name for expectation in shipped_bot().domain().expectations]
    assert len(names) == len(set(names))
    assert "authenticate.ask_pin" in names
    assert "patterns.clarify" in names


def test_what_proves_who_somebody_is_stays_secret_everywhere() -> None:
    secret = {one.name for one in shipped_bot().domain().expectations if one.secret}
    assert secret == {"authenticate.ask_pin", "authenticate.ask_birth_date", "reauthenticate.ask_pin"}


def test_every_question_can_be_answered_or_left_by_keys() -> None:
    assert all(expectation.keys is not None for expectation in shipped_bot().domain().expectations)


def test_a_person_can_be_asked_for_at_every_question() -> None:
    for expectation in shipped_bot().domain().expectations:
        assert "i want a person" in expectation.phrases, expectation.name


def test_codes_are_heard_without_open_requests_beside_them_and_days_with() -> None:
    kinds = {one.name: one.kinds for one in shipped_bot().domain().expectations}
    assert kinds["order_status.ask_order_number"] == (AnswerKind.DIGITS,)
    assert kinds["appointment.ask_day"] == (AnswerKind.DATE, AnswerKind.OPEN)
    assert kinds["appointment.confirm"] == (AnswerKind.YES_NO, AnswerKind.DATE, AnswerKind.TIME, AnswerKind.OPEN)


def test_requests_are_lower_case_words_and_all_there() -> None:
    requests = shipped_bot().domain().requests
    assert all(re.fullmatch(r"[a-z0-9' ]+", request) for request in requests)
    bot = shipped_bot()
    assert bot.policy
    examples = [*(example for examples in bot.intents.values() for example in examples), *bot.policy.listen_for]
    assert {spoken_words(example) for example in examples} == set(requests)


def test_static_prompts_are_all_fixed_words_once() -> None:
    texts = shipped_bot().static_prompts()
    assert len(texts) == len(set(texts))
    assert "Your balance is" in texts
    assert "You're welcome." in texts
    assert not any("{" in text for text in texts)


def test_equal_content_has_an_equal_version_wherever_it_lies(tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(FLOWS, copy)
    assert load_bot(copy).version == shipped_bot().version
    (copy / "goodbye.yaml").write_text((copy / "goodbye.yaml").read_text() + "\n# changed\n")
    assert load_bot(copy).version != shipped_bot().version


def test_a_folder_without_flows_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no \.yaml files"):
        load_bot(tmp_path)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (write_bot(tmp_path) / "odd.yaml").write_bytes(b"\xff\xfe\x00flow")
    with pytest.raises(ConfigurationError, match=r"odd\.yaml: .*UTF-8"):
        load_bot(tmp_path)


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words\n", "? [1, 2]\n: 3\n", "&a {b: *a}\n", "x: [1, 2\n"])
def test_any_yaml_is_read_or_refused_but_never_breaks(tmp_path: Path, text: str) -> None:
    (write_bot(tmp_path) / "odd.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"odd\.yaml"):
        load_bot(tmp_path)


def test_every_flow_can_be_drawn() -> None:
    for flow in shipped_bot().flows.values():
        drawn = mermaid(flow)
        assert drawn.startswith("flowchart TD\n")
        nodes = set(re.findall(r"^    (s\d+)[\[({]", drawn, re.MULTILINE))
        ends = set(re.findall(r"--> (s\d+)$", drawn, re.MULTILINE))
        assert ends <= nodes
    drawn = mermaid(shipped_bot().flows["appointment"])
    assert "calendar.book" in drawn
    assert '-- "taken" -->' in drawn


def test_circles_are_found_and_only_circles() -> None:
    edges = {"a": ["b"], "b": ["c"], "c": ["a", "d"], "d": ["e"], "e": [], "f": ["f"]}
    assert {frozenset("abc"), frozenset("f")} == set(circles(edges))
