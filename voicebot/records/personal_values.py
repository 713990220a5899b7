"""Values of an action that must not stand in clear: masked as in transcripts, and sealed for whoever needs them.

Values are JSON as operations give them: a name with the type and the text of its value, or null.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import Row, Table, select, update

from voicebot.records.database import Database
from voicebot.records.redacting import redact_slot
from voicebot.records.tables import APPROVALS, DEEDS
from voicebot.records.vault.keys import RecordingKeys, UnknownKeyError
from voicebot.records.vault.sealed import SealBrokenError, key_id_of, seal, unseal
from voicebot.redaction import Sensitive

log = structlog.get_logger(__name__)

_Values = dict[str, list[str] | None]
_PAGE = 200
_MARKS = frozenset(kind.mark for kind in Sensitive)


def masked(values: str) -> str:
    """Return values as lists of actions show them: numbers of accounts and cards are told as what they are."""
    return json.dumps(_masked(json.loads(values)))


def has_masked(values: str) -> bool:
    """Tell whether any of the values is shown as what it is only."""
    parsed: _Values = json.loads(values)
    return _masked(parsed) != parsed or any(_is_mark(entry) for entry in parsed.values())


class PersonalValues:
    """Takes personal values apart from the others, and puts them back."""

    def __init__(self, keys: RecordingKeys) -> None:
        self._keys = keys

    def apart(self, name: str, **parts: str) -> tuple[dict[str, str], bytes | None]:
        """Return the `parts`, such as an action's arguments, masked, and what was masked, sealed as `name`."""
        parsed: dict[str, _Values] = {part: json.loads(values) for part, values in parts.items()}
        shown = {part: _masked(values) for part, values in parsed.items()}
        hidden = {
            part: {slot: entry for slot, entry in values.items() if entry != shown[part][slot]}
            for part, values in parsed.items()
        }
        texts = {part: json.dumps(values) for part, values in shown.items()}
        if not any(hidden.values()):
            return texts, None
        return texts, seal(json.dumps(hidden).encode(), _name(name), self._keys.current)

    def together(self, name: str, sealed: bytes | None, **parts: str) -> dict[str, str]:
        """Return the `parts` as they were; what was sealed with a key that is not here is null there."""
        if sealed is None or not any(json.loads(values) for values in parts.values()):  # deleted by its age
            return parts
        hidden: Mapping[str, _Values] | None = None
        try:
            hidden = json.loads(unseal(sealed, _name(name), self._keys))
        except (UnknownKeyError, SealBrokenError) as error:
            log.error("what an action was done with cannot be read", action=name, error=str(error))
        return {part: json.dumps(_whole(json.loads(values), part, hidden)) for part, values in parts.items()}

    async def rotate(self, database: Database) -> AsyncIterator[tuple[str, str | None]]:
        """Seal anew with the current key what actions were done with; yield each one's call, and what failed.

        What was noted in clear, before such values were sealed, is sealed too. May be broken off and begun again.
        """
        for table in (DEEDS, APPROVALS):
            after = ""
            while page := await _page(database, table, after):
                for row in page:
                    after = row.id
                    try:
                        values = self._anew(table, row)
                    except (SealBrokenError, UnknownKeyError) as error:
                        yield row.call_id, f"what an action was done with is {error}"
                        continue
                    if values:
                        # Emptied by its age meanwhile, it stays empty.
                        same = (table.c.id == row.id) & (table.c.arguments == row.arguments)
                        async with database.begin() as connection:
                            await connection.execute(update(table).where(same).values(values))
                        yield row.call_id, None

    def _anew(self, table: Table, row: Row[Any]) -> dict[str, Any]:
        """Return what has to be put in place of a row's values; nothing where it is sealed as it should be."""
        if row.personal is None:
            parts = {name: getattr(row, name) for name in ("arguments", "result") if name in table.c}
            shown, personal = self.apart(row.id, **parts)
            return {} if personal is None else {**shown, "personal": personal}
        if key_id_of(row.personal) == self._keys.current.id:
            return {}
        return {"personal": seal(unseal(row.personal, _name(row.id), self._keys), _name(row.id), self._keys.current)}


async def _page(database: Database, table: Table, after: str) -> Sequence[Row[Any]]:
    query = select(table).where(table.c.id > after).order_by(table.c.id).limit(_PAGE)
    async with database.connect() as connection:
        return (await connection.execute(query)).all()


def _masked(values: _Values) -> _Values:
    return {name: _masked_entry(name, entry) for name, entry in values.items()}


def _masked_entry(name: str, entry: list[str] | None) -> list[str] | None:
    if entry is None or entry[0] not in {"str", "int"}:
        return entry
    text = redact_slot(name, entry[1])
    return entry if text == entry[1] else ["str", text]


def _whole(values: _Values, part: str, hidden: Mapping[str, _Values] | None) -> Any:
    if hidden is None:
        return {name: None if _is_mark(entry) else entry for name, entry in values.items()}
    return values | dict(hidden.get(part, {}))


def _is_mark(entry: list[str] | None) -> bool:
    return entry is not None and any(mark in entry[1] for mark in _MARKS)


def _name(action: str) -> str:
    return f"action/{action}"
