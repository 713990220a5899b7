"""The operations of Twilio's REST API that voicebot uses, and what a request to each must look like.

The table below was written by hand from Twilio's reference. `scripts/check-twilio` compares it with the OpenAPI
document that Twilio publishes, and `published` reads the same from such a document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET


class Kind(StrEnum):
    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    URI = "uri"
    TWIML = "twiml"
    #: May come several times.
    TEXTS = "texts"


@dataclass(frozen=True, slots=True)
class Parameter:
    """`choices` are all values it may have; any when empty. `pattern` must match the whole value; empty for none."""

    kind: Kind = Kind.TEXT
    required: bool = False
    choices: tuple[str, ...] = ()
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """`path` holds the names of `places` in braces; `status` is what Twilio answers when it went well."""

    id: str
    method: str
    path: str
    status: int
    places: Mapping[str, Parameter]
    form: Mapping[str, Parameter] = field(default_factory=dict)
    query: Mapping[str, Parameter] = field(default_factory=dict)

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """Return the values in the path of a request to this operation, None for another's."""
        if method != self.method:
            return None
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(self.path))
        found = re.fullmatch(pattern, path)
        return found.groupdict() if found else None

    def faults(
        self, places: Mapping[str, str], form: Sequence[tuple[str, str]], query: Sequence[tuple[str, str]]
    ) -> list[str]:
        """Return everything that is wrong with a request, in words."""
        found = list(_faults_of(self.places, list(places.items()), "path"))
        found += _faults_of(self.form, form, "form")
        found += _faults_of(self.query, query, "query")
        return found


def _sid(prefix: str, *, required: bool = False) -> Parameter:
    return Parameter(required=required, pattern=f"^{prefix}[0-9a-fA-F]{{32}}$")


_ACCOUNT = "/2010-04-01/Accounts/{AccountSid}"
_METHOD = Parameter(choices=("GET", "POST"))
_URI = Parameter(Kind.URI)

#: What voicebot asks of Twilio, with every parameter that it may send.
USED: tuple[Operation, ...] = (
    Operation(
        "CreateCall",
        "POST",
        f"{_ACCOUNT}/Calls.json",
        201,
        {"AccountSid": _sid("AC", required=True)},
        {
            "To": Parameter(required=True),
            "From": Parameter(required=True),
            "Twiml": Parameter(Kind.TWIML),
            "Timeout": Parameter(Kind.INTEGER),
            "StatusCallback": _URI,
            "StatusCallbackMethod": _METHOD,
            "StatusCallbackEvent": Parameter(Kind.TEXTS),
            "MachineDetection": Parameter(),
            "AsyncAmd": Parameter(),
            "AsyncAmdStatusCallback": _URI,
            "AsyncAmdStatusCallbackMethod": _METHOD,
        },
    ),
    Operation(
        "UpdateCall",
        "POST",
        f"{_ACCOUNT}/Calls/{{Sid}}.json",
        200,
        {"AccountSid": _sid("AC", required=True), "Sid": _sid("CA", required=True)},
        {"Twiml": Parameter(Kind.TWIML), "Status": Parameter(choices=("canceled", "completed"))},
    ),
    Operation(
        "FetchCall",
        "GET",
        f"{_ACCOUNT}/Calls/{{Sid}}.json",
        200,
        {"AccountSid": _sid("AC", required=True), "Sid": _sid("CA", required=True)},
    ),
    Operation(
        "CreateParticipant",
        "POST",
        f"{_ACCOUNT}/Conferences/{{ConferenceSid}}/Participants.json",
        201,
        {"AccountSid": _sid("AC", required=True), "ConferenceSid": Parameter(required=True)},
        {
            "From": Parameter(required=True),
            "To": Parameter(required=True),
            "Label": Parameter(),
            "Coaching": Parameter(Kind.BOOLEAN),
            "CallSidToCoach": _sid("CA"),
            "StartConferenceOnEnter": Parameter(Kind.BOOLEAN),
            "EndConferenceOnExit": Parameter(Kind.BOOLEAN),
            "Beep": Parameter(),
            "Timeout": Parameter(Kind.INTEGER),
        },
    ),
    Operation(
        "CreateMessage",
        "POST",
        f"{_ACCOUNT}/Messages.json",
        201,
        {"AccountSid": _sid("AC", required=True)},
        {"To": Parameter(required=True), "From": Parameter(), "Body": Parameter()},
    ),
    Operation(
        "ListMessage",
        "GET",
        f"{_ACCOUNT}/Messages.json",
        200,
        {"AccountSid": _sid("AC", required=True)},
        query={"To": Parameter(), "From": Parameter(), "PageSize": Parameter(Kind.INTEGER)},
    ),
    Operation(
        "ListTask",
        "GET",
        "/v1/Workspaces/{WorkspaceSid}/Tasks",
        200,
        {"WorkspaceSid": _sid("WS", required=True)},
        query={"EvaluateTaskAttributes": Parameter(), "PageSize": Parameter(Kind.INTEGER)},
    ),
)


def published(document: Mapping[str, Any], ids: Iterable[str]) -> dict[str, Operation]:
    """Return operations as an OpenAPI document of Twilio's has them, whole, by their ids."""
    wanted = set(ids)
    found: dict[str, Operation] = {}
    for path, methods in document["paths"].items():
        for method, spec in methods.items():
            if isinstance(spec, dict) and spec.get("operationId") in wanted:
                found[spec["operationId"]] = _operation(document, path, method, spec)
    return found


def differences(ours: Operation, theirs: Operation) -> list[str]:
    """Return where an operation of the table is not as it was published; it may lack what need not be sent."""
    found: list[str] = []
    if (ours.method, ours.path, ours.status) != (theirs.method, theirs.path, theirs.status):
        found.append(f"{ours.method} {ours.path} {ours.status} is {theirs.method} {theirs.path} {theirs.status}")
    parts = (
        ("path", ours.places, theirs.places),
        ("form", ours.form, theirs.form),
        ("query", ours.query, theirs.query),
    )
    for where, mine, published_ones in parts:
        for name, parameter in mine.items():
            if name not in published_ones:
                found.append(f"{where} {name} does not exist")
            elif parameter != published_ones[name]:
                found.append(f"{where} {name} is {published_ones[name]}")
        missing = [name for name, one in published_ones.items() if one.required and name not in mine]
        found += [f"{where} {name} is required" for name in missing]
    return found


def _operation(document: Mapping[str, Any], path: str, method: str, spec: Mapping[str, Any]) -> Operation:
    places: dict[str, Parameter] = {}
    query: dict[str, Parameter] = {}
    for one in spec.get("parameters", ()):
        into = places if one["in"] == "path" else query
        if one["in"] in {"path", "query"}:
            into[one["name"]] = _parameter(document, one["schema"], required=one.get("required", False))
    content = spec.get("requestBody", {}).get("content", {})
    schema = content.get("application/x-www-form-urlencoded", {}).get("schema", {})
    required = set(schema.get("required", ()))
    form = {
        name: _parameter(document, value, required=name in required)
        for name, value in schema.get("properties", {}).items()
    }
    status = next(int(code) for code in spec["responses"] if code.startswith("2"))
    return Operation(spec["operationId"], method.upper(), path, status, places, form, query)


def _parameter(document: Mapping[str, Any], schema: Mapping[str, Any], *, required: bool) -> Parameter:
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    kinds = {
        "integer": Kind.INTEGER,
        "number": Kind.NUMBER,
        "boolean": Kind.BOOLEAN,
        "array": Kind.TEXTS,
    }
    formats = {"uri": Kind.URI, "twiml": Kind.TWIML}
    kind = kinds.get(schema["type"]) or formats.get(schema.get("format", ""), Kind.TEXT)
    return Parameter(kind, required, tuple(schema.get("enum", ())), schema.get("pattern", ""))


def _faults_of(known: Mapping[str, Parameter], given: Sequence[tuple[str, str]], where: str) -> Iterable[str]:
    names = [name for name, _ in given]
    for name, parameter in known.items():
        if parameter.required and name not in names:
            yield f"{where}: {name} is required"
        if parameter.kind is not Kind.TEXTS and names.count(name) > 1:
            yield f"{where}: {name} came {names.count(name)} times"
    for name, value in given:
        if name not in known:
            yield f"{where}: there is no {name}"
        elif why := _fault_of(known[name], value):
            yield f"{where}: {name} {why}"


def _fault_of(parameter: Parameter, value: str) -> str:
    if parameter.choices and value not in parameter.choices:
        return f"is none of {', '.join(parameter.choices)}"
    if parameter.pattern and not re.fullmatch(parameter.pattern, value):
        return f"does not match {parameter.pattern}"
    match parameter.kind:
        case Kind.INTEGER if not re.fullmatch(r"-?\d+", value):
            return "is no integer"
        case Kind.NUMBER if not re.fullmatch(r"-?\d+(\.\d+)?", value):
            return "is no number"
        case Kind.BOOLEAN if value not in {"true", "false"}:
            return "is neither true nor false"
        case Kind.URI if urlsplit(value).scheme not in {"http", "https"}:
            return "is no http address"
        case Kind.TWIML:
            return _twiml_fault(value)
        case _:
            return ""


def _twiml_fault(value: str) -> str:
    # Twilio: "Max 4000 characters."
    if len(value) > 4000:
        return f"has {len(value)} characters, and may have 4000"
    try:
        # It comes from the server under test, over loopback; it is no stranger's document.
        root = ET.fromstring(value)  # noqa: S314
    except ET.ParseError as error:
        return f"is no XML: {error}"
    return "" if root.tag == "Response" else f"begins with <{root.tag}>"
