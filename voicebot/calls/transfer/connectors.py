"""Reads how packets are posted to ticket and CRM systems: one YAML file a system, with file and line of mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from voicebot.calls.transfer.posting import Mapped, is_secret, names_of
from voicebot.dialog.document import Source, read_yaml, suggestion
from voicebot.errors import ConfigurationError, Problem
from voicebot.records.context import context_schema

KEYS = ("connector", "about", "method", "url", "headers", "body")
_METHODS = ("POST", "PUT", "PATCH")


def shipped() -> tuple[str, ...]:
    """Return the names of the mappings that ship."""
    folder = resources.files("voicebot.calls.transfer") / "mappings"
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def load_connector(name_or_path: str, environment: Mapping[str, str]) -> tuple[Mapped, Mapping[str, str]]:
    """Load a shipped mapping by name or one of your own by path, and the secrets it names.

    ConfigurationError with every problem: fields that packets do not have, secrets that the environment lacks.
    """
    path = Path(name_or_path)
    if name_or_path in shipped():
        path = Path(str(resources.files("voicebot.calls.transfer") / "mappings" / f"{name_or_path}.yaml"))
    problems: list[Problem] = []
    if not path.is_file():
        fix = suggestion(name_or_path, shipped())
        raise ConfigurationError([Problem(str(path), None, "There is no such connector.", fix)])
    document = read_yaml(path, path.name, problems)
    mapping = _mapped(document, environment) if document else None
    if problems or mapping is None:
        raise ConfigurationError(problems)
    wanted = {name.partition(".")[2] for name in names_of([mapping.url, dict(mapping.headers)]) if is_secret(name)}
    return mapping, {name: environment[name.upper()] for name in wanted}


def _mapped(document: Source, environment: Mapping[str, str]) -> Mapped:
    fields = document.fields(KEYS)
    name, url, body = fields.require("connector"), fields.require("url"), fields.require("body")
    method = fields.text("method", "POST")
    if method not in _METHODS:
        document.problem(f"'{method}' is no method that sends anything.", suggestion(method, _METHODS))
    headers_source = fields.get("headers")
    headers = dict(headers_source.fields()) if headers_source else {}
    for source in (*headers.values(), *((url,) if url else ())):
        _check(source, environment, secrets=True)
    if body:
        _check_all(body, environment)
    return Mapped(
        name.text() if name else "",
        method,
        url.text() if url else "",
        {key: entry.text() for key, entry in headers.items()},
        _plain(body) if body else {},
    )


def _check_all(source: Source, environment: Mapping[str, str]) -> None:
    if source.is_fields:
        for _, entry in source.fields():
            _check_all(entry, environment)
    elif source.is_list:
        for item in source.items():
            _check_all(item, environment)
    else:
        _check(source, environment, secrets=False)


def _check(source: Source, environment: Mapping[str, str], *, secrets: bool) -> None:
    known = {*context_schema()["properties"], "summary_text"}
    for name in sorted(names_of(source.text())):
        first, _, rest = name.partition(".")
        if is_secret(name):
            if not secrets:
                source.problem("A secret must not stand in the body.", "Put it into a header.")
            elif rest.upper() not in environment:
                source.problem(f"The secret '{rest}' is not set.", f"Set {rest.upper()} in the environment.")
        elif first not in known:
            source.problem(f"Packets have no field '{first}'.", suggestion(first, sorted(known)))


def _plain(source: Source) -> Any:
    if source.is_fields:
        return {name: _plain(entry) for name, entry in source.fields()}
    if source.is_list:
        return [_plain(item) for item in source.items()]
    text = source.text()
    return text == "true" if text in {"true", "false"} and not source.is_quoted else text
