"""``systems.yaml``: how each operation is carried out, over SQL or HTTP. Secrets are named here and lie elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from string import Formatter
from urllib.parse import urlsplit

from sqlalchemy import text as sql_text

from voicebot.backends.resilience import Patience
from voicebot.dialog.document import Fields, Source, read_yaml, suggestion
from voicebot.dialog.flow import Operation
from voicebot.dialog.loader import SYSTEMS
from voicebot.errors import ConfigurationError, Problem

FILE = SYSTEMS


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement with ``:argument`` places. `nothing` is the outcome when no row is found or changed."""

    sql: str
    nothing: str | None


@dataclass(frozen=True, slots=True)
class SqlSpec:
    """A database. `url` is the environment variable that holds its SQLAlchemy URL, `line` where it is declared."""

    name: str
    url: str
    statements: Mapping[str, Statement]
    line: int | None = None


class Once(StrEnum):
    """Who keeps a write from being done twice: the other side, by our key's header, or our journal alone."""

    HEADER = "header"
    JOURNAL = "journal"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Places ``{argument}`` stand in `path`; `query` and `body` map fields to arguments.

    `result` maps results to fields of the JSON answer (``promised.date``); `failures` maps statuses to outcomes.
    """

    method: str
    path: str
    query: Mapping[str, str]
    body: Mapping[str, str]
    result: Mapping[str, str]
    failures: Mapping[int, str]
    once: Once


@dataclass(frozen=True, slots=True)
class HeaderAuth:
    """A header whose value, after `prefix`, lies in the environment variable `value`."""

    header: str
    prefix: str
    value: str


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """OAuth 2.0 client credentials (RFC 6749, section 4.4); id and secret are environment variables."""

    token_url: str
    client_id: str
    client_secret: str
    scope: str


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """Mutual TLS: environment variables with the paths of certificate and key.

    `authority` names the path of the only authority that the service's own certificate may come from; empty for those
    that the machine trusts.
    """

    certificate: str
    key: str
    authority: str = ""


Auth = HeaderAuth | OAuthClient | ClientCertificate


@dataclass(frozen=True, slots=True)
class HttpSpec:
    """A web service. `url` is its address, or the environment variable that holds it (in capitals).

    `line` is where it is declared.
    """

    name: str
    url: str
    auth: Auth | None
    patience: Patience
    per_second: float
    requests: Mapping[str, Request]
    line: int | None = None


Spec = SqlSpec | HttpSpec

_SQL_KEYS = ("name", "sql", "operations")
_HTTP_KEYS = ("name", "http", "auth", "timeout_s", "retries", "per_second", "operations")
_METHODS = ("get", "post", "put", "patch", "delete")
_REQUEST_KEYS = (*_METHODS, "query", "body", "result", "failures", "once")
_STATEMENT_KEYS = ("select", "write", "nothing")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")


def read_systems(directory: Path, contracts: Mapping[str, Operation]) -> tuple[Spec, ...]:
    """Read ``systems.yaml`` in a bot's folder; without one there are none. `ConfigurationError` with all mistakes."""
    path = directory / FILE
    if not path.exists():
        return ()
    problems: list[Problem] = []
    source = read_yaml(path, FILE, problems)
    specs: list[Spec] = []
    if source:
        entries = source.fields(("systems",)).require("systems")
        reader = _Reader(contracts)
        specs = [spec for item in (entries.items() if entries else []) if (spec := reader.system(item))]
    if problems:
        raise ConfigurationError(problems)
    return tuple(specs)


def is_web_address(address: str) -> bool:
    """Say whether requests can be sent to `address`: a scheme, a host, and a port that is one."""
    try:
        parts = urlsplit(address)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port or an IPv6 address
        return False


class _Reader:
    def __init__(self, contracts: Mapping[str, Operation]) -> None:
        self._contracts = contracts
        self._done_by: dict[str, str] = {}

    def system(self, source: Source) -> Spec | None:
        names = source.fields().names
        if "sql" in names:
            return self._sql(source.fields(_SQL_KEYS))
        if "http" in names:
            return self._http(source.fields(_HTTP_KEYS))
        source.problem("This system has no way to reach it.", "Add 'sql: VARIABLE' or 'http: https://…'.")
        return None

    def _sql(self, fields: Fields) -> SqlSpec:
        statements = {}
        for name, entry in self._operations(fields):
            contract = self._contracts[name]
            parts = entry.fields(_STATEMENT_KEYS)
            kind = "write" if contract.write else "select"
            sql_source = parts.require(kind)
            sql = sql_source.text() if sql_source else ""
            if sql_source:
                self._known(sql_text(sql).compile().params, contract.arguments, sql_source, f"argument of '{name}'")
            statements[name] = Statement(sql, self._outcome(parts.get("nothing"), contract))
        url = self._variable(fields.get("sql"))
        return SqlSpec(fields.text("name"), url, statements, fields.source.line)

    def _http(self, fields: Fields) -> HttpSpec:
        timeout, retries, rate = fields.get("timeout_s"), fields.get("retries"), fields.get("per_second")
        patience = Patience(
            timeout_s=float(timeout.number(least=1)) if timeout else Patience().timeout_s,
            retries=retries.number() if retries else Patience().retries,
        )
        requests = {name: self._request(entry, self._contracts[name]) for name, entry in self._operations(fields)}
        auth = fields.get("auth")
        return HttpSpec(
            name=fields.text("name"),
            url=self._address(fields.get("http")),
            auth=self._auth(auth) if auth else None,
            patience=patience,
            per_second=float(rate.number(least=1)) if rate else 50.0,
            requests=requests,
            line=fields.source.line,
        )

    def _operations(self, fields: Fields) -> list[tuple[str, Source]]:
        operations = fields.require("operations")
        found = list(operations.fields(self._contracts)) if operations else []
        system = fields.text("name") or "unnamed"
        fields.require("name")
        for name, entry in found:
            if name in self._done_by:
                entry.problem(f"'{name}' is done by '{self._done_by[name]}' already.", "Keep one of the two.")
            self._done_by[name] = system
        return found

    def _request(self, source: Source, contract: Operation) -> Request:
        fields = source.fields(_REQUEST_KEYS)
        methods = [name for name in fields.names if name in _METHODS]
        if len(methods) != 1:
            source.problem("An operation makes one request.", f"Write one of: {', '.join(_METHODS)}.")
        method = methods[0] if methods else "get"
        path_source = fields.get(method)
        path = path_source.text() if path_source else ""
        if path_source:
            self._known(_places(path_source), contract.arguments, path_source, f"argument of '{contract.name}'")
        if contract.write and method == "get":
            source.problem(f"'{contract.name}' writes, but GET only reads.", "Use post, put, patch or delete.")
        result = self._mapping(fields.get("result"))
        if result_source := fields.get("result"):
            self._known(result, contract.results, result_source, f"result of '{contract.name}'")
        for part in ("query", "body"):
            if part_source := fields.get(part):
                self._known(
                    self._mapping(part_source).values(),
                    contract.arguments,
                    part_source,
                    f"argument of '{contract.name}'",
                )
        once = fields.get("once")
        return Request(
            method=method.upper(),
            path=path,
            query=self._mapping(fields.get("query")),
            body=self._mapping(fields.get("body")),
            result=result,
            failures=self._failures(fields.get("failures"), contract),
            once=self._once(once) if once else Once.JOURNAL,
        )

    def _failures(self, source: Source | None, contract: Operation) -> dict[int, str]:
        found = {}
        for status, entry in source.fields() if source else ():
            outcome = self._outcome(entry, contract)
            if not status.isdecimal() or not 400 <= int(status) < 600:
                entry.problem(f"'{status}' is no status of a failure.", "Write an HTTP status from 400 to 599.")
            elif outcome:
                found[int(status)] = outcome
        return found

    @staticmethod
    def _once(source: Source) -> Once:
        text = source.text()
        if text in set(Once):
            return Once(text)
        source.problem(f"'{text}' does not say how a write stays single.", suggestion(text, list(Once)))
        return Once.JOURNAL

    def _auth(self, source: Source) -> Auth | None:
        names = source.fields().names
        if "header" in names:
            fields = source.fields(("header", "prefix", "from"))
            prefix = fields.text("prefix")
            return HeaderAuth(
                fields.text("header"), f"{prefix} " if prefix else "", self._variable(fields.require("from"))
            )
        if "token_url" in names:
            fields = source.fields(("token_url", "client_id", "client_secret", "scope"))
            token_url = fields.text("token_url")
            if token_url and not is_web_address(token_url):
                source.problem(f"'{token_url}' is no web address.", "Write it like https://shop.example/token.")
            return OAuthClient(
                token_url,
                self._variable(fields.require("client_id")),
                self._variable(fields.require("client_secret")),
                fields.text("scope"),
            )
        if "certificate" in names:
            fields = source.fields(("certificate", "key", "authority"))
            return ClientCertificate(
                self._variable(fields.get("certificate")),
                self._variable(fields.require("key")),
                self._variable(fields.get("authority")),
            )
        source.problem("This is no known way to log in.", "Use 'header:', 'token_url:' or 'certificate:'.")
        return None

    @staticmethod
    def _mapping(source: Source | None) -> dict[str, str]:
        return {name: entry.text() for name, entry in source.fields()} if source else {}

    @staticmethod
    def _address(source: Source | None) -> str:
        """Read an address, or the name of the variable that holds it."""
        address = source.text().rstrip("/") if source else ""
        if source and address and not _VARIABLE.fullmatch(address) and not is_web_address(address):
            what = f"'{address}' is no address of a web service."
            source.problem(what, "Write it like https://shop.example/api, or the environment variable that holds it.")
        return address

    @staticmethod
    def _variable(source: Source | None) -> str:
        """Read the name of an environment variable; a value in its place would be a secret in a file."""
        if source is None:
            return ""
        name = source.text()
        if not _VARIABLE.fullmatch(name):
            what = "Here stands the name of an environment variable, not its value."
            source.problem(what, "Write a name in capitals, such as CRM_TOKEN.")
            return ""
        return name

    def _outcome(self, source: Source | None, contract: Operation) -> str | None:
        if source is None:
            return None
        outcome = source.text()
        self._known((outcome,), dict.fromkeys(contract.failures), source, f"failure of '{contract.name}'")
        return outcome

    @staticmethod
    def _known(names: Iterable[str], known: Mapping[str, object], source: Source, what: str) -> None:
        for name in names:
            if name not in known:
                source.problem(f"There is no {what} named '{name}'.", suggestion(name, tuple(known)))


def _places(path: Source) -> tuple[str, ...]:
    """Return the names in braces of a request's path."""
    try:
        return tuple(name for _, name, _, _ in Formatter().parse(path.text()) if name is not None)
    except ValueError:
        path.problem("A brace in this path is not closed or not opened.", "Write arguments like {number}.")
        return ()
