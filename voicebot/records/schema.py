"""The JSON form of a call's record and its published JSON Schema (draft 2020-12), both made from the types."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from voicebot.records.record import CallRecord

_CALL = TypeAdapter(CallRecord)


class StrictSchema(GenerateJsonSchema):
    """Every field is always present and no other ever is, so that readers can rely on both."""

    def generate(self, schema: Any, mode: Any = "serialization") -> dict[str, Any]:
        document = super().generate(schema, mode)
        for part in (document, *document.get("$defs", {}).values()):
            if part.get("type") == "object":
                part["required"] = list(part["properties"])
                part["additionalProperties"] = False
        return document


@cache
def _document() -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:voicebot:call-record:1",
        **_CALL.json_schema(mode="serialization", schema_generator=StrictSchema),
    }


def call_schema() -> dict[str, Any]:
    """Return the JSON Schema that every document of `/api/calls/{id}` satisfies."""
    return dict(_document())


def call_document(record: CallRecord) -> dict[str, Any]:
    """Return the record as JSON-ready values; times are ISO 8601 in UTC."""
    document: dict[str, Any] = _CALL.dump_python(record, mode="json")
    return document
