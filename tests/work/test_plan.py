"""after_call.yaml: read, refused with its line, and asked which tasks apply."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dialog.strategies import FLOWS
from voicebot.dialog.condition import parse_condition
from voicebot.dialog.flow import Operation
from voicebot.dialog.loader import load_bot
from voicebot.dialog.prompt import parse_template
from voicebot.dialog.values import ValueKind
from voicebot.errors import ConfigurationError
from voicebot.work.plan import Channel, Operate, Plan, Remind, Write, fill, load_plan

OPERATIONS = {
    "crm.note": Operation("crm.note", {"who": ValueKind.DIGITS, "text": ValueKind.TEXT}, {}, write=True),
    "crm.read": Operation("crm.read", {}, {}),
    "crm.pay": Operation(
        "crm.pay", {"text": ValueKind.TEXT}, {}, write=True, approve_when=parse_condition("text == 'x'")
    ),
    "crm.pin": Operation("crm.pin", {"text": ValueKind.TEXT}, {}, write=True, secret=frozenset(("text",))),
    "crm.on": Operation("crm.on", {"day": ValueKind.DATE}, {}, write=True),
}
GOOD = """\
customer: account
proven_by: authenticated
tasks:
  note:
    when: customer and goal
    operation: crm.note
    with: {who: customer, text: summary}
  sms:
    when: goal_reached
    sms: caller
    text: "Booked for {day}."
  call_back:
    when: not goal_reached
    follow_up: "Call {caller}."
    due_hours: 4
"""


def plan_of(folder: Path, text: str) -> Plan:
    (folder / "after_call.yaml").write_text(text, encoding="utf-8")
    return load_plan(folder, OPERATIONS)


def test_a_plan_is_read_and_its_tasks_apply_by_what_is_known(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, GOOD)
    assert (plan.customer, plan.proven_by) == ("account", "authenticated")
    note, sms, call_back = plan.tasks.values()
    assert note.work == Operate("crm.note", {"who": "customer", "text": "summary"})
    assert isinstance(sms.work, Write)
    assert (sms.work.channel, sms.work.to) == (Channel.SMS, "caller")
    assert isinstance(call_back.work, Remind)
    assert call_back.work.due_hours == 4
    known = {"customer": "", "goal": "balance", "goal_reached": "True", "day": "2026-03-02"}
    assert [task.name for task in plan.tasks.values() if task.applies(known)] == ["sms"]
    known |= {"customer": "400121", "goal_reached": "False"}
    assert [task.name for task in plan.tasks.values() if task.applies(known)] == ["note", "call_back"]
    assert fill(sms.work.text, known) == "Booked for Monday, March 2, 2026."


def test_days_and_times_are_written_as_people_write_them() -> None:
    text = parse_template("On {day} at {time}, not {other}.")
    facts = {"day": "2026-11-27", "time": "16:00:00", "other": "2026-02-30"}
    assert fill(text, facts) == "On Friday, November 27, 2026 at 4:00 PM, not 2026-02-30."


def test_a_bot_without_a_plan_has_an_empty_one(tmp_path: Path) -> None:
    assert load_plan(tmp_path, OPERATIONS) == Plan()


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("crm.note\n", "crm.notes\n", 6, "no operation 'crm.notes'"),
        ("operation: crm.note", "operation: crm.read", 6, "only reads"),
        ("operation: crm.note", "operation: crm.pay", 6, "nobody waits after a call"),
        ("operation: crm.note", "operation: crm.on", 6, "needs 'day'"),
        ("operation: crm.note", "operation: crm.pin", 6, "takes a secret"),
        ("{who: customer, text: summary}", "{who: customer}", 6, "needs 'text'"),
        ("customer and goal", "customer +", 5, "is not a condition"),
        ("    sms: caller\n", "    sms: caller\n    email: mail\n", 9, "must do one thing"),
        ('    text: "Booked for {day}."\n', "", 9, "'text' is missing"),
        ('"Call {caller}."', '"Call {caller."', 14, "stands alone"),
        ("due_hours: 4", "due_hours: soon", 15, "no whole number"),
        ("customer: account", "client: account", 1, "'client' is not known"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigurationError) as refused:
        plan_of(tmp_path, GOOD.replace(old, new, 1))
    assert (line, True) in [(problem.line, says in problem.what) for problem in refused.value.problems]


def test_what_a_task_takes_must_be_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="only what is written as text"):
        plan_of(tmp_path, "tasks:\n  a:\n    operation: crm.on\n    with: {day: day}\n")


def test_the_shipped_plan_is_in_order() -> None:
    plan = load_plan(FLOWS, load_bot(FLOWS).operations)
    assert set(plan.tasks) == {"note", "appointment_by_sms", "call_back"}
