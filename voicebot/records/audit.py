"""An append-only trail of what was decided and done, in which a changed, missing or reordered entry shows.

Each entry's hash covers the hash before it, and the content only through a salted digest. So a content can be deleted,
as the law may demand, without breaking the chain, and its digest tells nothing about it. Whoever can write to the
database could make the whole chain anew; that is why its head goes out, again and again, to a file and to the log.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import RowMapping, String, insert, select, text, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection

from voicebot.records.tables import AUDIT, AUDIT_CONTENTS

#: What the first entry follows.
GENESIS = "0" * 64
#: PostgreSQL's lock under which servers take turns to append; any number that nothing else here uses.
_CHAIN_LOCK = 7_305_808_869
_PAGE = 1000
#: The action of entries that say what was deleted; their content tells nothing personal and is kept.
DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something decided or done. `actor` is a user's name or ``"bot"``, `subject` what it was about (``"call:ID"``).

    Everything personal belongs into `content`, which can be deleted; the other fields stay for ever.
    """

    at: datetime
    actor: str
    action: str
    subject: str
    content: Mapping[str, Any]
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry of a chain; whoever keeps it can tell later whether the chain still contains it."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class AuditSearch:
    """Which entries are looked for; what is None does not matter. `until` is not itself included."""

    subject: str | None = None
    actor: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeptEntry:
    """An entry as it stands in the trail; `content` is None where it was deleted as the law demands."""

    number: int
    at: datetime
    actor: str
    action: str
    subject: str
    content: Mapping[str, Any] | None

    def document(self) -> dict[str, Any]:
        """Return the entry as it is shown, ready for JSON."""
        return asdict(self) | {"at": self.at.isoformat()}


@dataclass(frozen=True, slots=True)
class AuditProblem:
    number: int
    what: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What a check found. `deleted` counts entries whose content is gone, which is no problem where another says so."""

    entries: int
    deleted: int
    head: Head
    problems: tuple[AuditProblem, ...]

    @property
    def sound(self) -> bool:
        return not self.problems


async def append(connection: AsyncConnection, entries: Sequence[AuditEntry]) -> Head:
    """Add entries to the chain, in the caller's transaction, and return its head; those already there are left out."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _CHAIN_LOCK})
    known = set(await connection.scalars(select(AUDIT.c.id).where(AUDIT.c.id.in_([entry.id for entry in entries]))))
    head = await newest(connection)
    number, previous = head.number, head.hash
    links, contents = [], []
    for entry in entries:
        if entry.id in known:
            continue
        number += 1
        content, salt = _canonical(entry.content), secrets.token_hex(16)
        link = {
            "number": number,
            "id": entry.id,
            "at": entry.at.astimezone(UTC),
            "actor": entry.actor,
            "action": entry.action,
            "subject": entry.subject,
            "content_digest": _digest(salt, content),
            "previous": previous,
        }
        previous = link["hash"] = _link_hash(link)
        links.append(link)
        contents.append({"number": number, "salt": salt, "content": content})
    if links:
        await connection.execute(insert(AUDIT), links)
        await connection.execute(insert(AUDIT_CONTENTS), contents)
    return Head(number, previous)


async def newest(connection: AsyncConnection) -> Head:
    """Return the newest entry; that of an empty chain has the number 0."""
    query = select(AUDIT.c.number, AUDIT.c.hash).order_by(AUDIT.c.number.desc()).limit(1)
    last = (await connection.execute(query)).first()
    return Head(last.number, last.hash) if last else Head(0, GENESIS)


async def find(
    connection: AsyncConnection, wanted: AuditSearch, *, limit: int, before: int | None = None
) -> Sequence[KeptEntry]:
    """Return up to `limit` entries that fit, the newest first, with `before` those of lower numbers."""
    query = (
        select(AUDIT, AUDIT_CONTENTS.c.content)
        .outerjoin(AUDIT_CONTENTS, AUDIT_CONTENTS.c.number == AUDIT.c.number)
        .order_by(AUDIT.c.number.desc())
        .limit(limit)
    )
    for name in ("subject", "actor", "action"):
        if (value := getattr(wanted, name)) is not None:
            query = query.where(AUDIT.c[name] == value)
    if wanted.since is not None:
        query = query.where(AUDIT.c.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(AUDIT.c.at < wanted.until)
    if before is not None:
        query = query.where(AUDIT.c.number < before)
    return [
        KeptEntry(row.number, row.at, row.actor, row.action, row.subject, json.loads(row.content or "null"))
        for row in await connection.execute(query)
    ]


async def verify(connection: AsyncConnection, heads: Iterable[Head] = ()) -> AuditReport:
    """Check the whole chain, and that it contains every one of `heads`, which were taken from it earlier.

    A content may be gone only if an entry with the action `DELETED` says so, its number lying in one of the stretches
    ``[first, last]`` under ``audit_contents``.
    """
    expected = {head.number: head.hash for head in heads}
    problems: list[AuditProblem] = []
    head = Head(0, GENESIS)
    entries = 0
    gone: list[int] = []
    told: list[tuple[int, int]] = []
    while page := await _page(connection, after=head.number if entries else None):
        for row in page:
            entries += 1
            if row["number"] <= head.number:
                problems.append(AuditProblem(row["number"], "put in before the first entry"))
                continue
            if row["number"] != head.number + 1:
                problems.append(AuditProblem(head.number + 1, f"missing, up to {row['number'] - 1}"))
            elif row["previous"] != head.hash:
                problems.append(AuditProblem(row["number"], "does not follow the entry before it"))
            if row["hash"] != _link_hash(row):
                problems.append(AuditProblem(row["number"], "changed"))
            if row["content"] is None:
                gone.append(row["number"])
            elif row["content_digest"] != _digest(row["salt"], row["content"]):
                problems.append(AuditProblem(row["number"], "content changed"))
            elif row["action"] == DELETED:
                stretches = json.loads(row["content"]).get("audit_contents", ())
                # What comes later was not there to be deleted.
                told += [(first, min(last, row["number"] - 1)) for first, last in stretches]
            if expected.pop(row["number"], row["hash"]) != row["hash"]:
                problems.append(AuditProblem(row["number"], "is not the entry whose hash was exported"))
            head = Head(row["number"], row["hash"])
    problems += [AuditProblem(number, "exported once and now missing") for number in sorted(expected)]
    problems += [AuditProblem(number, "content deleted, and no entry says so") for number in _untold(gone, told)]
    return AuditReport(entries, len(gone), head, tuple(problems))


def _untold(gone: Sequence[int], told: Sequence[tuple[int, int]]) -> list[int]:
    """Return the numbers, which are in order, that lie in none of the stretches."""
    left, stretches = [], sorted(told)
    place = covered = 0
    for number in gone:
        while place < len(stretches) and stretches[place][0] <= number:
            covered = max(covered, stretches[place][1])
            place += 1
        if number > covered:
            left.append(number)
    return left


def write_head(path: Path, head: Head, at: datetime) -> None:
    """Append a head to the file of heads, one JSON object a line."""
    line = json.dumps({"at": at.isoformat(), "number": head.number, "hash": head.hash}) + "\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def read_heads(path: Path) -> list[Head]:
    """Return the heads in a file; a line cut short by a crash is passed over."""
    heads = []
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    for line in lines:
        try:
            values = json.loads(line)
            heads.append(Head(int(values["number"]), str(values["hash"])))
        except (ValueError, KeyError, TypeError):
            continue
    return heads


async def _page(connection: AsyncConnection, after: int | None) -> Sequence[RowMapping]:
    """Return the entries that follow a number, or the first of all; moments as the database keeps them."""
    columns = [type_coerce(column, String) if column is AUDIT.c.at else column for column in AUDIT.c]
    query = (
        select(*columns, AUDIT_CONTENTS.c.salt, AUDIT_CONTENTS.c.content)
        .outerjoin(AUDIT_CONTENTS, AUDIT_CONTENTS.c.number == AUDIT.c.number)
        .order_by(AUDIT.c.number)
        .limit(_PAGE)
    )
    if after is not None:
        query = query.where(AUDIT.c.number > after)
    return (await connection.execute(query)).mappings().all()


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)


def _digest(salt: str, content: str) -> str:
    return hashlib.sha256(f"{salt}\n{content}".encode()).hexdigest()


def _link_hash(link: Mapping[str, Any] | RowMapping) -> str:
    """Hash everything of an entry but its content; a JSON list, so that no field can run into the next."""
    fields = [link["number"], link["id"], _moment(link["at"])]
    fields += [link[name] for name in ("actor", "action", "subject", "content_digest", "previous")]
    return hashlib.sha256(json.dumps(fields).encode()).hexdigest()


def _moment(at: datetime | str) -> str:
    """Write a moment in one way, whichever database kept it; what somebody made no moment stays as it is."""
    try:
        moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    except ValueError:
        return str(at)
    utc = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return utc.isoformat(timespec="microseconds")
