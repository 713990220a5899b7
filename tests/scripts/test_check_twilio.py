"""The check of what we ask of Twilio against what it publishes, on a document of the test's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from voicebot.simulation.twilio_operations import USED, Kind, Operation, Parameter

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_twilio.py"


def schema(parameter: Parameter) -> dict[str, Any]:
    types = {Kind.INTEGER: "integer", Kind.NUMBER: "number", Kind.BOOLEAN: "boolean", Kind.TEXTS: "array"}
    found: dict[str, Any] = {"type": types.get(parameter.kind, "string")}
    if parameter.kind in {Kind.URI, Kind.TWIML}:
        found["format"] = parameter.kind.value
    if parameter.choices:
        found["enum"] = list(parameter.choices)
    if parameter.pattern:
        found["pattern"] = parameter.pattern
    return found


def described(operation: Operation) -> dict[str, Any]:
    places = [
        {"name": name, "in": where, "required": one.required, "schema": schema(one)}
        for where, given in (("path", operation.places), ("query", operation.query))
        for name, one in given.items()
    ]
    form = {
        "properties": {name: schema(one) for name, one in operation.form.items()},
        "required": [name for name, one in operation.form.items() if one.required],
    }
    return {
        "operationId": operation.id,
        "parameters": places,
        "requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": form}}},
        "responses": {str(operation.status): {}},
    }


def published(folder: Path, operations: tuple[Operation, ...]) -> dict[str, Any]:
    document: dict[str, Any] = {"paths": {}}
    for operation in operations:
        document["paths"].setdefault(operation.path, {})[operation.method.lower()] = described(operation)
    (folder / "twilio").mkdir()
    (folder / "twilio" / "twilio_api_v2010.json").write_text(json.dumps(document))
    (folder / "twilio" / "twilio_taskrouter_v1.json").write_text(json.dumps({"paths": {}}))
    return document


def check(folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--data", str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_what_we_ask_is_what_is_published(tmp_path: Path) -> None:
    published(tmp_path, USED)
    code, said = check(tmp_path)
    assert code == 0, said
    assert said.count("as published") == len(USED)
    assert "13 requests of our client, 0 faults by the documents" in said


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda form: form["properties"].pop("AsyncAmd"), "form AsyncAmd does not exist"),
        (lambda form: form["properties"].update(Timeout={"type": "string"}), "form Timeout is"),
        (lambda form: form["properties"].update(New={"type": "string"}) or form["required"].append("New"), "form New"),
    ],
    ids=["gone", "another type", "newly required"],
)
def test_what_twilio_has_changed_is_found(tmp_path: Path, change: Any, what: str) -> None:
    document = published(tmp_path, USED)
    create = document["paths"][USED[0].path]["post"]
    change(create["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"])
    (tmp_path / "twilio" / "twilio_api_v2010.json").write_text(json.dumps(document))
    code, said = check(tmp_path)
    assert code == 1
    assert what in said


def test_missing_documents_are_named(tmp_path: Path) -> None:
    code, said = check(tmp_path)
    assert code == 2
    assert "lacks twilio_api_v2010.json, twilio_taskrouter_v1.json" in said
