"""Mistakes in a policy are found with their line and a fix."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.dialog.strategies import FLOWS, shipped_bot
from voicebot.dialog.check import check
from voicebot.dialog.escalation.rung import EscalationRung
from voicebot.dialog.loader import load_policy
from voicebot.errors import ConfigurationError, Problem

TEXT = (FLOWS / "policy.yaml").read_text(encoding="utf-8")


def problems(tmp_path: Path, old: str, new: str) -> list[Problem]:
    assert old in TEXT
    path = tmp_path / "policy.yaml"
    path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        load_policy(path, shipped_bot())
    return list(raised.value.problems)


def line_of(text: str) -> int:
    return TEXT[: TEXT.index(text)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "what", "fix"),
    [
        ("when: legal,", "when: leagl,", "There is no signal 'leagl'.", "Did you mean 'legal'?"),
        ("when: legal,", "when: 1 + 1,", "'1 + 1' is not a condition.", "Write it like"),
        ("go_to: direct_line", "go_to: hotline", "There is no rung 'hotline'.", "There are:"),
        ("asked: {go_to: warm_transfer}", "asked: {go_to: clarify}", "'clarify' gets nobody on the line.", "Write"),
        ("frustration: 0.15", "frustrated: 0.15", "'frustrated' is not known here.", "Did you mean 'frustration'?"),
        ("frustration: 0.15", "frustration: much", "'much' is no number of at least 0.", "Write it like"),
        ("weight: 1.1, full: 2", "weight: 1.1, full: 0", "A signal cannot be full at 0.", "Write the value"),
        ("flow: offer_callback", "flow: offer_calback", "There is no flow 'offer_calback'.", "Did you mean"),
        ("flow: offer_callback", "say: Wait.", "'flow' is missing.", "Add a line"),
        ("[pay_bill, replace_card]", "[pay_bil, replace_card]", "There is no intent 'pay_bil'.", "Did you mean"),
        ("[opening_hours]", "[pay_bill]", "The intent 'pay_bill' belongs to two types.", "Keep it in one"),
        ("armed_by: 0.25", "armed_by: 2", "The values contradict each other.", "Let released_below"),
        ("value: [amount]", "value: [amonut]", "There is no slot 'amonut'.", "Did you mean 'amount'?"),
        ("customers.identify]", "customers.idetify]", "There is no operation 'customers.idetify'.", "Did you mean"),
        ("callback: 0.65, warm_transfer: 0.75", "callback: 0.85, warm_transfer: 0.75", "out of order", "Let scores"),
        ("keys: 0.5, warm_transfer: 0.7}", "keys: 0.5}", "No rung here gets a person.", "Add 'warm_transfer:'"),
    ],
)
def test_a_mistake_is_shown_with_its_line_and_a_fix(tmp_path: Path, old: str, new: str, what: str, fix: str) -> None:
    found = problems(tmp_path, old, new)
    fitting = [one for one in found if what in one.what and fix in one.fix]
    assert fitting, found
    assert abs((fitting[0].line or 0) - line_of(old)) <= 2


def test_a_section_that_is_missing_is_named(tmp_path: Path) -> None:
    found = problems(tmp_path, "hysteresis:", "hystersis:")
    assert {"'hysteresis' is missing.", "'hystersis' is not known here."} <= {one.what for one in found}


def test_a_policy_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        load_policy(tmp_path / "nowhere.yaml", shipped_bot())


def test_a_type_has_what_it_does_not_say_from_the_usual_one() -> None:
    policy = shipped_bot().policy
    assert policy is not None
    money = policy.type_of("pay_bill")
    assert money.weights == policy.usual.weights
    assert money.rungs[EscalationRung.WARM_TRANSFER] < policy.usual.rungs[EscalationRung.WARM_TRANSFER]
    assert policy.type_of("order_status") is policy.usual


def test_the_policy_is_a_part_of_the_bots_version_and_has_one_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(TEXT + "# another day\n", encoding="utf-8")
    shipped = shipped_bot().policy
    assert shipped is not None
    assert load_policy(path, shipped_bot()).version != shipped.version


def test_what_is_said_at_a_rung_is_among_the_bots_prompts() -> None:
    names = {prompt.name for prompt in shipped_bot().prompts()}
    assert {"policy.clarify", "policy.other_way", "policy.keys"} <= names


def test_a_rung_for_a_person_that_calls_none_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "flows"
    shutil.copytree(FLOWS, folder)
    path = folder / "escalated.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("  - person: policy\n", ""), encoding="utf-8")
    (finding,) = check(folder).errors
    assert (finding.file, finding.rule) == ("escalated.yaml", "no_person")
