"""Finds calls by what was said and by what is known of them; one question, put to either kind of database."""

from __future__ import annotations

import re
import unicodedata
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import (
    ColumnElement,
    Select,
    cast,
    column,
    exists,
    extract,
    func,
    literal,
    literal_column,
    or_,
    select,
    table,
    tuple_,
)
from sqlalchemy.dialects.postgresql import TSQUERY

from voicebot.errors import VoicebotError
from voicebot.records.access.sight import EVERY_CALL, Sight, is_seen
from voicebot.records.record import Outcome, Speaker
from voicebot.records.tables import CALLS, TURNS, UtcTime

# Made by migrations with each database's own means, and kept by triggers.
_CALL_WORDS = table("call_words", column("id"), column("call_id"), column("words"))
_SQLITE_INDEX = table("call_words_index", column("rowid"))
#: PostgreSQL's weights, which tell speakers apart.
_WEIGHTS = {Speaker.CALLER: "A", Speaker.BOT: "B", Speaker.AGENT: "C"}
#: A phrase in quotation marks, or a word, either perhaps with the rest left open: ``refund*``.
_TERM = re.compile(r'"([^"]*)"(\*?)|([^\s"]+)')
_WORD = re.compile(r"[^\W_]+")
_MOST_TERMS = 20


class SearchRefused(VoicebotError):
    """A search that cannot be carried out; `field` names which part of it is wrong, `problem` says how."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"`{field}` {problem}")
        self.field = field
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the list of calls, the latest first: what follows this call comes next."""

    started_at: datetime
    call_id: str

    @classmethod
    def parse(cls, given: str) -> Self:
        """Read what `str` wrote; SearchRefused for anything else."""
        try:
            moment, _, call_id = urlsafe_b64decode(given.encode("ascii")).decode().partition(" ")
            started_at = datetime.fromisoformat(moment)
        except ValueError:
            raise SearchRefused("cursor", "is not one that this API gave.") from None
        if started_at.tzinfo is None or not call_id:
            raise SearchRefused("cursor", "is not one that this API gave.")
        return cls(started_at, call_id)

    def __str__(self) -> str:
        return urlsafe_b64encode(f"{self.started_at.isoformat()} {self.call_id}".encode()).decode("ascii")


@dataclass(frozen=True, slots=True)
class CallSearch:
    """What the calls looked for have in common; what is left out does not matter.

    `words` must all have been said, in any order: a phrase stands in quotation marks, an open end is marked as in
    ``refund*``. `said_by` narrows that to one speaker. `caller` is the whole number. `intent` was understood in any
    turn, or is what the call was for. `since` and `until` bound when the call began, the first inclusive.
    Of all these, only calls in `sight` are found.
    """

    words: str = ""
    said_by: Speaker | None = None
    caller: str | None = None
    intent: str | None = None
    outcome: Outcome | None = None
    min_duration_s: float | None = None
    max_duration_s: float | None = None
    since: datetime | None = None
    until: datetime | None = None
    flow_version: str | None = None
    sight: Sight = EVERY_CALL


def select_ids(search: CallSearch, dialect: str, *, limit: int, after: Cursor | None = None) -> Select[Any]:
    """Return the query for ids and beginnings of up to `limit` calls after a place, the latest first.

    SearchRefused when the words hold nothing to search for, or too much.
    """
    query = select(CALLS.c.id, CALLS.c.started_at).order_by(CALLS.c.started_at.desc(), CALLS.c.id.desc()).limit(limit)
    for condition in _conditions(search, dialect):
        query = query.where(condition)
    if after is not None:
        place = tuple_(literal(after.started_at, UtcTime()), literal(after.call_id))
        query = query.where(tuple_(CALLS.c.started_at, CALLS.c.id) < place)
    return query


def _conditions(search: CallSearch, dialect: str) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [] if search.sight.is_whole else [is_seen(search.sight)]
    if search.words.strip():
        terms = read_terms(search.words)
        match = _postgresql_match if dialect == "postgresql" else _sqlite_match
        conditions.append(match(terms, search.said_by))
    if search.intent is not None:
        conditions.append(_intent_match(search.intent, dialect))
    if search.caller is not None:
        conditions.append(CALLS.c.caller == search.caller)
    if search.outcome is not None:
        conditions.append(CALLS.c.outcome == search.outcome.value)
    if search.flow_version is not None:
        conditions.append(CALLS.c.flow_version == search.flow_version)
    if search.since is not None:
        conditions.append(CALLS.c.started_at >= search.since)
    if search.until is not None:
        conditions.append(CALLS.c.started_at < search.until)
    if search.min_duration_s is not None:
        conditions.append(_duration_s(dialect) >= search.min_duration_s)
    if search.max_duration_s is not None:
        conditions.append(_duration_s(dialect) <= search.max_duration_s)
    return conditions


@dataclass(frozen=True, slots=True)
class Term:
    """Words that follow one another; `open` when the last of them may go on."""

    words: tuple[str, ...]
    open: bool


def read_terms(given: str) -> list[Term]:
    """Take apart the words of a search; SearchRefused when they hold nothing to search for, or too much."""
    terms = []
    for phrase, phrase_open, word in _TERM.findall(unicodedata.normalize("NFC", given)):
        found = tuple(_WORD.findall(phrase or word))
        if found:
            terms.append(Term(found, bool(phrase_open) or word.endswith("*")))
    if not terms:
        raise SearchRefused("words", "holds no word to search for.")
    if len(terms) > _MOST_TERMS:
        raise SearchRefused("words", f"holds more than {_MOST_TERMS} words or phrases.")
    return terms


def _sqlite_match(terms: list[Term], said_by: Speaker | None) -> ColumnElement[bool]:
    # FTS5's own syntax; only letters and digits come here, so nothing can leave the quotation marks.
    said = " AND ".join(f'"{" ".join(term.words)}"{"*" if term.open else ""}' for term in terms)
    columns = said_by.value if said_by else "caller bot agent"
    return _in_sqlite_index(f"{{{columns}}} : ({said})")


def _in_sqlite_index(match: str) -> ColumnElement[bool]:
    found = select(_SQLITE_INDEX.c.rowid).where(literal_column("call_words_index").op("MATCH")(match))
    # The plus keeps SQLite from looking up every call that has a common word: it walks the calls, the latest first,
    # looks each up in the list of ids found, and has a page after a few.
    return exists().where(_CALL_WORDS.c.call_id == CALLS.c.id, literal_column("+call_words.id").in_(found))


def _postgresql_match(terms: list[Term], said_by: Speaker | None) -> ColumnElement[bool]:
    # Without weights the index alone decides, with them every text found must be read.
    weight = _WEIGHTS[said_by] if said_by else ""
    parts = []
    for term in terms:
        *closed, last = term.words
        ends = [f"'{word}':{weight}" if weight else f"'{word}'" for word in closed]
        label = ("*" if term.open else "") + weight
        ends.append(f"'{last}':{label}" if label else f"'{last}'")
        parts.append("(" + " <-> ".join(ends) + ")")
    query = func.to_tsquery(literal_column("'simple'"), " & ".join(parts))
    return CALLS.c.id.in_(select(_CALL_WORDS.c.call_id).where(_CALL_WORDS.c.words.op("@@")(query)))


def _intent_match(intent: str, dialect: str) -> ColumnElement[bool]:
    came_for = CALLS.c.goal == intent
    if dialect == "postgresql":
        quoted = intent.replace("\\", "\\\\").replace("'", "''")
        query = cast(literal(f"'intent:{quoted}'"), TSQUERY)
        understood = select(_CALL_WORDS.c.call_id).where(_CALL_WORDS.c.words.op("@@")(query))
        return or_(came_for, CALLS.c.id.in_(understood))
    if re.fullmatch(r"\w+", intent):
        return or_(came_for, _in_sqlite_index(f'{{intents}} : "{intent}"'))
    return or_(came_for, CALLS.c.id.in_(select(TURNS.c.call_id).where(TURNS.c.intent == intent)))


def _duration_s(dialect: str) -> ColumnElement[Any]:
    if dialect == "postgresql":
        return extract("epoch", CALLS.c.ended_at - CALLS.c.started_at)
    # Days, as SQLite counts them, and not to the last digit.
    days = func.julianday(CALLS.c.ended_at) - func.julianday(CALLS.c.started_at)
    return func.round(days * timedelta(days=1).total_seconds(), 3)
