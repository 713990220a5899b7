"""Queues as they are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from voicebot.errors import ConfigurationError
from voicebot.routing.agents import Reach, ReachKind
from voicebot.routing.destinations import Conference, Destination, Dial, Refer, TaskQueue
from voicebot.routing.loader import load_routing
from voicebot.routing.queues import Choice, Failure, NextStep
from voicebot.routing.schema import queues_schema

FLOWS = Path(__file__).parents[2] / "flows"
WHOLE = """
default: service
queues:
  service:
    title: customer service
    topics: [balance]
    skills: {service: 2}
    overflow: second
    offers: [wait, callback, number]
    number: "+1 555 0100"
    ring_s: 12
    then: {busy: overflow, voicemail: offer}
  second: {title: second line, priority: 3}
agents:
  ana: {name: Ana, skills: {service: 5}, reach: [browser, {sip: "sip:ana@pbx.example"}, {phone: "+15550123"}]}
tiers: {gold: 10}
callbacks: {earliest_hour: 10, slot_minutes: 20}
"""


def load(tmp_path: Path, text: str) -> Any:
    (tmp_path / "queues.yaml").write_text(text, encoding="utf-8")
    return load_routing(tmp_path)


def test_queues_agents_and_rules_are_read(tmp_path: Path) -> None:
    found = load(tmp_path, WHOLE)
    service = found.queues["service"]
    assert found.queue_for("balance") is found.queue_for("anything") is service
    assert service.offers == (Choice.WAIT, Choice.CALLBACK, Choice.NUMBER)
    assert (service.ring_s, service.then[Failure.BUSY], service.then[Failure.DECLINED]) == (
        12,
        NextStep.OVERFLOW,
        NextStep.NEXT_AGENT,
    )
    assert found.agents["ana"].reaches == (
        Reach(ReachKind.BROWSER),
        Reach(ReachKind.SIP, "sip:ana@pbx.example"),
        Reach(ReachKind.PHONE, "+15550123"),
    )
    assert found.callbacks.slot_minutes == 20
    assert found.priority(found.queues["second"], tier="gold", topic="", urgency=0.5) == 18


def test_a_bot_without_queues_has_no_routing(tmp_path: Path) -> None:
    assert load_routing(tmp_path) is None


def test_the_queues_that_ship_load_and_fit_their_schema() -> None:
    assert load_routing(FLOWS) is not None
    text = (FLOWS / "queues.yaml").read_text(encoding="utf-8")
    Draft202012Validator(queues_schema()).validate(yaml.safe_load(text))
    Draft202012Validator(queues_schema()).validate(yaml.safe_load(WHOLE))


def test_the_published_schema_is_the_current_one() -> None:
    published = json.loads((FLOWS / "schema" / "queues.schema.json").read_text(encoding="utf-8"))
    assert published == queues_schema(), "run scripts/make-flow-schemas"


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("default: service", "default: servise", 2, "There is no queue 'servise'. Did you mean 'service'?"),
        ("title: customer service", "titel: customer service", 5, "'titel' is not known here."),
        ("overflow: second", "overflow: third", 5, "There is no queue 'third' to overflow to."),
        ("overflow: second", "overflow: service", 5, "'service' overflows to itself."),
        ("{service: 2}", "{servis: 2}", 5, "No agent has the skill 'servis'. Did you mean 'service'?"),
        ("{service: 2}", "{service: 12}", 7, "A level goes from 1 to 9."),
        ("wait, callback, number", "wait, call", 9, "'call' is no choice."),
        ("busy: overflow", "busy: explode", 12, "'explode' is no next step."),
        ("busy: overflow", "bussy: overflow", 12, "'bussy' is not known here. Did you mean 'busy'?"),
        ("[browser,", "[sip,", 15, "'sip' needs an address."),
        ("ring_s: 12", "ring_s: soon", 11, "'soon' is no whole number"),
        ('number: "+1 555 0100"', "max_tries: 0", 5, "A number is offered, and none is written."),
        ("ring_s: 12", "survey_always: yes", 5, "Every call ends with a survey, and none is named."),
        ("slot_minutes: 20", "slot_minutes: 45", 17, "A slot must divide an hour."),
        ("earliest_hour: 10", "earliest_hour: 22", 17, "The hours of the day make no sense."),
        ("second: {title: second line", "second: {title: second line, topics: [balance]", 13, "belongs to 'service'"),
        ("second: {title: second line", "second: {title: x, after_hours: [wait]", 13, "Nobody can wait after hours."),
        ("second: {title: second line", "second: {title: x, offers: [overflow]", 13, "none is named"),
    ],
)
def test_a_mistake_is_shown_where_it_stands(tmp_path: Path, old: str, new: str, line: int, what: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path, WHOLE.replace(old, new, 1))
    assert any(f"queues.yaml:{line}: " in str(problem) and what in str(problem) for problem in raised.value.problems), (
        str(raised.value)
    )


def test_a_schedule_that_does_not_exist_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "queues.yaml").write_text(WHOLE.replace("ring_s: 12", "hours: offise"), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"There is no schedule 'offise'. Did you mean 'office'"):
        load_routing(tmp_path, schedules={"office"})


@pytest.mark.parametrize("key", ["survey", "step"])
def test_a_flow_that_does_not_exist_is_a_mistake(tmp_path: Path, key: str) -> None:
    (tmp_path / "queues.yaml").write_text(WHOLE.replace("ring_s: 12", f"{key}: servey"), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"There is no flow 'servey'. Did you mean 'survey'"):
        load_routing(tmp_path, schedules={"office"}, flows={"survey"})


DESTINATIONS = {
    "{refer: 'sip:support@pbx.example'}": (Refer("sip:support@pbx.example"),),
    "[{dial: '+15550123'}, {dial: 'sip:desk@pbx.example'}]": (Dial("+15550123"), Dial("sip:desk@pbx.example")),
    "{conference: '+15550123', coach: '+15550124'}": (Conference("+15550123", "+15550124"),),
    f"{{workspace: WS{'1' * 32}, workflow: WW{'2' * 32}}}": (TaskQueue(f"WS{'1' * 32}", f"WW{'2' * 32}"),),
}


def written_elsewhere(written: str) -> str:
    return WHOLE.replace("second: {title: second line", "second: {title: second line, elsewhere: " + written)


@pytest.mark.parametrize(("written", "read"), DESTINATIONS.items(), ids=["refer", "dial", "conference", "workflow"])
def test_a_queue_may_have_its_agents_elsewhere(tmp_path: Path, written: str, read: tuple[Destination, ...]) -> None:
    text = written_elsewhere(written)
    assert load(tmp_path, text).queues["second"].elsewhere == read
    Draft202012Validator(queues_schema()).validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ("{refer: pbx.example}", "'pbx.example' is not a SIP address."),
        ("{dial: '0123'}", "'0123' is not a number with its country or a SIP address."),
        ("{conference: 'sip:a@b', coach: '+15550124'}", "'sip:a@b' is not a number with its country."),
        ("{workflow: WW1}", "'workspace' is missing."),
        ("{dial: '+15550123', coach: '+15550124'}", "'coach' does not go with 'dial'."),
        ("{coach: '+15550124'}", "A destination is of one kind."),
        ("{dial: '+15550123', refer: 'sip:a@b'}", "A destination is of one kind."),
    ],
)
def test_a_destination_that_is_none_is_refused_with_its_line(tmp_path: Path, written: str, what: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path, written_elsewhere(written))
    assert any("queues.yaml:13: " in str(problem) and what in str(problem) for problem in raised.value.problems), str(
        raised.value
    )
