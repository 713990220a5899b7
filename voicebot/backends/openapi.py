"""From an OpenAPI 3 document to operations: typed for ``operations:``, with the request for ``systems.yaml``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from voicebot.dialog.values import ValueKind
from voicebot.errors import ConfigurationError, Problem

_METHODS = ("get", "post", "put", "patch", "delete")
#: What a failure is called where the document gives it no name of its own.
_FAILURES = {
    400: "not_accepted",
    402: "payment_needed",
    403: "not_allowed",
    404: "not_found",
    409: "conflict",
    410: "gone",
    422: "not_accepted",
    423: "locked",
}
_FORMATS = {"date": ValueKind.DATE, "time": ValueKind.TIME, "date-time": ValueKind.MOMENT}
_PLAIN = {
    "string": ValueKind.TEXT,
    "integer": ValueKind.NUMBER,
    "number": ValueKind.MONEY,
    "boolean": ValueKind.YES_NO,
}
_DEPTH_MOST = 4


@dataclass(frozen=True, slots=True)
class ImportedOperation:
    """One operation of the document under the name it gets in flows. Mappings are from our names to theirs."""

    name: str
    about: str
    method: str
    path: str
    arguments: Mapping[str, ValueKind]
    query: Mapping[str, str]
    body: Mapping[str, str]
    results: Mapping[str, ValueKind]
    result_fields: Mapping[str, str]
    failures: Mapping[int, str]

    @property
    def write(self) -> bool:
        return self.method != "get"


@dataclass(slots=True)
class _Draft:
    arguments: dict[str, ValueKind] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, str] = field(default_factory=dict)
    path: str = ""


def read_openapi(path: Path, system: str, wanted: Sequence[str] = ()) -> tuple[ImportedOperation, ...]:
    """Read the operations of a document (YAML or JSON), those named in `wanted` by their operationId or all.

    `system` is the first half of their names in flows. `ConfigurationError` names what cannot be read or found.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _wrong(path, "This is no OpenAPI document.", "Give the path of a YAML or JSON file.") from error
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3."):
        raise _wrong(path, "This is no OpenAPI 3 document.", "It begins with 'openapi: 3.…'.")
    reader = _Reader(document, system)
    found = dict(reader.operations())
    missing = [name for name in wanted if name not in found]
    if missing:
        what = f"There is no operation '{missing[0]}'."
        raise _wrong(path, what, f"There are: {', '.join(sorted(found)) or 'none'}.")
    return tuple(imported for operation_id, imported in found.items() if not wanted or operation_id in wanted)


def as_yaml(operations: Sequence[ImportedOperation], system: str, url: str) -> str:
    """Write both halves as an admin would: what flows see, and how it is asked for. To be read before it is used."""
    declared: dict[str, Any] = {}
    requests: dict[str, Any] = {}
    for operation in operations:
        failures = list(dict.fromkeys(operation.failures.values()))
        declared[operation.name] = _without_empty(
            {
                "about": operation.about,
                "arguments": {name: str(kind) for name, kind in operation.arguments.items()},
                "results": {name: str(kind) for name, kind in operation.results.items()},
                "failures": failures,
                "write": "yes" if operation.write else "",
            }
        )
        requests[operation.name] = _without_empty(
            {
                operation.method: operation.path,
                "query": {theirs: ours for ours, theirs in operation.query.items()},
                "body": {theirs: ours for ours, theirs in operation.body.items()},
                "result": dict(operation.result_fields),
                "failures": dict(operation.failures),
            }
        )
    system_entry = {"name": system, "http": url, "operations": requests}
    return (
        "# operations.yaml: what flows may ask for. Take out what they need not know, and add 'needs:',\n"
        "# 'secret:' and 'person_when:' where they belong. Each write needs 'undo:', which 'flows check' asks for.\n"
        + _dumped({"operations": declared})
        + "\n# systems.yaml: how it is asked for. Add 'auth:'; for writes, 'once: header' where the service\n"
        "# promises to do a request with the same Idempotency-Key once.\n" + _dumped({"systems": [system_entry]})
    )


def _dumped(value: object) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110, default_flow_style=False)
    return text.replace("write: 'yes'", "write: yes")


def _without_empty(entries: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if value not in ("", {}, [])}


def _wrong(path: Path, what: str, fix: str) -> ConfigurationError:
    return ConfigurationError([Problem(str(path), None, what, fix)])


class _Reader:
    def __init__(self, document: Mapping[str, Any], system: str) -> None:
        self._document = document
        self._system = system

    def operations(self) -> Iterator[tuple[str, ImportedOperation]]:
        taken: set[str] = set()
        for path, item in _mapping(self._document.get("paths")).items():
            shared = _list(_mapping(item).get("parameters"))
            for method in _METHODS:
                operation = _mapping(_mapping(item).get(method))
                if not operation:
                    continue
                operation_id = str(operation.get("operationId") or f"{method} {path}")
                name = _unique(_snake(operation_id), taken)
                yield operation_id, self._operation(name, method, str(path), operation, shared)

    def _operation(
        self, name: str, method: str, path: str, operation: Mapping[str, Any], shared: Sequence[Any]
    ) -> ImportedOperation:
        draft = _Draft(path=path)
        for parameter in (*shared, *_list(operation.get("parameters"))):
            self._parameter(draft, self._resolved(parameter))
        body = self._json_schema(self._resolved(operation.get("requestBody")))
        for ours, theirs, kind in self._fields(body):
            argument = _unique(ours, set(draft.arguments))
            draft.arguments[argument] = kind
            draft.body[argument] = theirs
        responses = _mapping(operation.get("responses"))
        success = next((responses[status] for status in responses if str(status).startswith("2")), None)
        results = list(self._fields(self._json_schema(self._resolved(success))))
        failures = {
            int(status): _FAILURES.get(int(status), f"refused_{status}")
            for status in responses
            if str(status).isdecimal() and 400 <= int(status) < 500 and int(status) not in {401, 408, 429}
        }
        return ImportedOperation(
            name=f"{self._system}.{name}",
            about=str(operation.get("summary") or "").strip().rstrip("."),
            method=method,
            path=draft.path,
            arguments=draft.arguments,
            query=draft.query,
            body=draft.body,
            results={ours: kind for ours, _, kind in results},
            result_fields={ours: theirs for ours, theirs, _ in results},
            failures=failures,
        )

    def _parameter(self, draft: _Draft, parameter: Mapping[str, Any]) -> None:
        theirs = str(parameter.get("name", ""))
        kind = self._kind(self._resolved(parameter.get("schema")))
        where = parameter.get("in")
        if not theirs or kind is None or where not in {"path", "query"}:
            return  # headers and cookies are the system's own business
        if where == "query" and not parameter.get("required"):
            return
        ours = _snake(theirs)
        draft.arguments[ours] = kind
        if where == "path":
            draft.path = draft.path.replace(f"{{{theirs}}}", f"{{{ours}}}")
        else:
            draft.query[ours] = theirs

    def _json_schema(self, holder: Mapping[str, Any]) -> Mapping[str, Any]:
        content = _mapping(holder.get("content"))
        media = next((content[name] for name in content if "json" in name), None)
        return self._resolved(_mapping(media).get("schema"))

    def _fields(self, schema: Mapping[str, Any], before: tuple[str, ...] = ()) -> Iterator[tuple[str, str, ValueKind]]:
        """Every single value in an object, as our name, its path in the JSON and its kind; lists are left out."""
        for theirs, entry in self._properties(schema).items():
            inner = self._resolved(entry)
            path = (*before, str(theirs))
            kind = self._kind(inner)
            if kind is not None:
                yield _snake("_".join(path)), ".".join(path), kind
            elif len(path) < _DEPTH_MOST:
                yield from self._fields(inner, path)

    def _properties(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        found = dict(_mapping(schema.get("properties")))
        for part in _list(schema.get("allOf")):
            found |= self._properties(self._resolved(part))
        return found

    @staticmethod
    def _kind(schema: Mapping[str, Any]) -> ValueKind | None:
        named = schema.get("type")
        types = [one for one in _list(named) if one != "null"] if isinstance(named, list) else [named]
        if types == ["string"]:
            text = str(schema.get("pattern") or "")
            if text and re.fullmatch(r"[\^\\d\[\]0-9{},+$-]+", text):
                return ValueKind.DIGITS
            decimal = str(schema.get("format") or "") == "decimal"
            return ValueKind.MONEY if decimal else _FORMATS.get(str(schema.get("format") or ""), ValueKind.TEXT)
        return _PLAIN.get(str(types[0])) if len(types) == 1 else None

    def _resolved(self, value: object) -> Mapping[str, Any]:
        """Follow ``$ref`` inside the document; anything else that is no mapping is an empty one."""
        found = value
        for _ in range(20):
            reference = _mapping(found).get("$ref")
            if not isinstance(reference, str):
                return _mapping(found)
            found = self._document
            for part in reference.removeprefix("#/").split("/"):
                found = _mapping(found).get(part.replace("~1", "/").replace("~0", "~"))
        return {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _snake(text: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    snake = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    return snake if snake[:1].isalpha() else f"x_{snake}"


def _unique(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    taken.add(name)
    return name
