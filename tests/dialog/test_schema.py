from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.dialog.small_bot import BOT
from tests.dialog.small_bot import FLOWS as SMALL_FLOWS
from tests.dialog.strategies import FLOWS
from voicebot.dialog.loader import AFTER_CALL, POLICY, QUEUES
from voicebot.dialog.schema import bot_schema, flow_schema, policy_schema, story_schema

SCHEMAS = {"flow": flow_schema(), "bot": bot_schema(), "policy": policy_schema(), "story": story_schema()}
BOT_FILES = {"bot.yaml", "types.yaml", "operations.yaml", "opening_hours.yaml"}
#: The queues have a schema of their own, in `routing`; what follows a call is read in `work`.
FILES = sorted(path for path in FLOWS.rglob("*.yaml") if path.name not in {QUEUES, AFTER_CALL})


def read(text: str) -> Any:
    """As an editor sees it: every scalar by its text, so that `no:` stays a word."""
    return yaml.load(text, Loader=yaml.BaseLoader)  # it makes nothing but texts, lists and mappings


def kind_of(path: Path) -> str:
    if path.parent.name == "stories":
        return "story"
    if path.name == POLICY:
        return "policy"
    return "bot" if path.name in BOT_FILES else "flow"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(FLOWS).as_posix())
def test_every_shipped_file_fits_its_schema(path: Path) -> None:
    validator = Draft202012Validator(SCHEMAS[kind_of(path)])
    assert [error.message for error in validator.iter_errors(read(path.read_text(encoding="utf-8")))] == []


def test_the_small_bot_fits_the_schemas() -> None:
    Draft202012Validator(SCHEMAS["bot"]).validate(read(BOT))
    for text in SMALL_FLOWS.values():
        Draft202012Validator(SCHEMAS["flow"]).validate(read(text))


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_itself(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_published_schema_is_the_current_one(name: str) -> None:
    published = json.loads((FLOWS / "schema" / f"{name}.schema.json").read_text(encoding="utf-8"))
    assert published == SCHEMAS[name], "run scripts/make-flow-schemas"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("flow", "flow: a\nstepps: []"),
        ("flow", "flow: a\nsteps:\n  - sya: hello"),
        ("flow", "flow: a\nsteps:\n  - say: hello\n    prompt: twice"),
        ("flow", "flow: a\nsteps:\n  - end: somehow"),
        ("flow", "flow: a\nsteps:\n  - go_to: b\n    at_most: often"),
        ("bot", "types:\n  a: {kind: dtae}"),
        ("bot", "operations:\n  status: {}"),
        ("story", "- story: a\n  steps:\n    - says: hello"),
    ],
)
def test_an_editor_can_mark_what_does_not_belong(name: str, text: str) -> None:
    assert list(Draft202012Validator(SCHEMAS[name]).iter_errors(read(text)))
