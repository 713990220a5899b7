"""What `flows check` says of queues.yaml."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from voicebot.dialog.check import check
from voicebot.routing.check import queues_findings
from voicebot.routing.wording import TO_CALLERS

FLOWS = Path(__file__).parents[2] / "flows"


def findings(tmp_path: Path, old: str = "", new: str = "") -> list[str]:
    """What is found in the bot that ships once `old` is `new` in its queues."""
    folder = tmp_path / "flows"
    shutil.copytree(FLOWS, folder)
    queues = folder / "queues.yaml"
    text = queues.read_text(encoding="utf-8")
    assert old in text
    queues.write_text(text.replace(old, new, 1), encoding="utf-8")
    return [str(finding) for finding in check(folder, beside=(queues_findings,)).findings]


def test_the_bot_that_ships_has_words_for_every_step_of_a_handover(tmp_path: Path) -> None:
    assert findings(tmp_path) == []


@pytest.mark.parametrize("name", TO_CALLERS)
def test_a_step_without_a_prompt_in_the_flows_is_found(tmp_path: Path, name: str) -> None:
    text = (FLOWS / "queues.yaml").read_text(encoding="utf-8")
    written = re.search(rf"^  {name}: .*\n(    .*\n)*", text, re.MULTILINE)
    assert written
    found = findings(tmp_path, written.group(), "")
    assert any("error" in one and f"'{name}'" in one for one in found), found


def test_a_prompt_that_does_not_say_how_long_it_takes_is_found(tmp_path: Path) -> None:
    found = findings(tmp_path, "about {minutes} minutes", "a while")
    assert found == [
        "queues.yaml:1: warning: A caller is not told the 'minutes' at 'wait_minutes'. Put {minutes} into the text."
    ]


def test_a_mistake_in_the_queues_keeps_a_bot_from_going_live(tmp_path: Path) -> None:
    found = findings(tmp_path, "overflow: service", "overflow: servise")
    assert any("error: There is no queue 'servise' to overflow to. Did you mean 'service'?" in one for one in found)


@pytest.mark.parametrize(
    ("file", "which", "what"),
    [
        ("escalated", 0, "without a word of what happens next"),
        ("escalated_at_once", 0, "without a word of what happens next"),
        ("escalated_at_once", -1, "says nothing of what happens next"),
    ],
)
def test_a_rung_that_puts_callers_through_without_a_word_is_found(
    tmp_path: Path, file: str, which: int, what: str
) -> None:
    folder = tmp_path / "flows"
    shutil.copytree(FLOWS, folder)
    path = folder / f"{file}.yaml"
    flow = yaml.safe_load(path.read_text(encoding="utf-8"))
    del flow["steps"][[number for number, step in enumerate(flow["steps"]) if "say" in step][which]]
    path.write_text(yaml.safe_dump(flow, sort_keys=False), encoding="utf-8")
    found = [str(finding) for finding in check(folder).errors]
    assert any(what in one for one in found), found


def test_a_flow_that_only_a_queue_names_is_led_to(tmp_path: Path) -> None:
    found = findings(tmp_path, "    survey: survey\n", "")
    assert found == [], "another queue still names it"
    text = (tmp_path / "flows" / "queues.yaml").read_text(encoding="utf-8")
    (tmp_path / "flows" / "queues.yaml").write_text(text.replace("    survey: survey\n", ""), encoding="utf-8")
    found = [str(finding) for finding in check(tmp_path / "flows").errors]
    assert any("Nothing leads to the flow 'survey'." in one for one in found), found


@pytest.mark.parametrize(
    "queues", ["queues: [service]", "- a", "queues: {service: 1}", "queues: {service: {survey: [x]}}"]
)
def test_queues_of_any_shape_are_no_reason_for_a_crash(tmp_path: Path, queues: str) -> None:
    folder = tmp_path / "flows"
    shutil.copytree(FLOWS, folder)
    (folder / "queues.yaml").write_text(queues + "\n", encoding="utf-8")
    assert check(folder, beside=(queues_findings,)).errors
