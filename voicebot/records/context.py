"""The context packet: what a person who takes over a call knows before they are joined. Its types make its JSON Schema.

It says only what is on record. Secrets never get here: secret turns have no words, and secret arguments no values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from voicebot.records.schema import StrictSchema

#: Raised when a field changes its meaning or goes; a new field alone does not raise it.
CONTEXT_VERSION = 1

Share = Annotated[float, Field(ge=0, le=1)]
Sentiment = Annotated[float, Field(ge=-1, le=1)]


class Trend(StrEnum):
    BETTER = "better"
    STEADY = "steady"
    WORSE = "worse"


@dataclass(frozen=True, slots=True)
class ContextTurn:
    """What one party said; a secret turn has no text."""

    speaker: str
    at_ms: int
    text: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """What the caller came with: an intent, its title as callers hear it, and how sure that is."""

    intent: str
    title: str
    confidence: Share | None
    reached: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """Something a system was asked, and what it said. `reference` is what the caller was told to quote."""

    operation: str
    outcome: str
    changed_something: bool
    result: Mapping[str, str] = field(default_factory=dict)
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Authentication:
    """`method` names the operation that proved who the caller is; `failures` counts those that did not."""

    authenticated: bool
    method: str = ""
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Customer:
    """`number` is what the carrier gave; `profile` and `history` what the customer's systems hold."""

    name: str = ""
    number: str = ""
    tier: str = ""
    profile: Mapping[str, str] = field(default_factory=dict)
    history: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mood:
    """How the caller sounds by their words, and how that went."""

    sentiment: Sentiment = 0.0
    trend: Trend = Trend.STEADY
    frustration: Share = 0.0
    urgency: Share = 0.0
    cues: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Escalation:
    """Why a person takes over: the flow's reason, the policy's rule, and what it weighed."""

    reason: str
    rule: str = ""
    topic: str = ""
    queue: str = ""
    priority: int = 0
    signals: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContextPacket:
    """Everything a person should know, for one call; `recording` is a path below the server's own address."""

    version: int
    id: str
    call_id: str
    channel: str
    created_at: datetime
    started_at: datetime
    summary: tuple[str, ...]
    request: Request | None
    conversation: tuple[ContextTurn, ...]
    attempts: tuple[Attempt, ...]
    authentication: Authentication
    customer: Customer
    data: Mapping[str, str]
    mood: Mood
    escalation: Escalation
    next_steps: tuple[str, ...]
    promises: tuple[str, ...]
    recording: str


_PACKET = TypeAdapter(ContextPacket)


@cache
def _schema() -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:voicebot:context-packet:{CONTEXT_VERSION}",
        **_PACKET.json_schema(mode="serialization", schema_generator=StrictSchema),
    }


def context_schema() -> dict[str, Any]:
    """Return the JSON Schema that every packet satisfies."""
    return dict(_schema())


def context_document(packet: ContextPacket) -> dict[str, Any]:
    """Return a packet as JSON-ready values; times are ISO 8601 in UTC."""
    document: dict[str, Any] = _PACKET.dump_python(packet, mode="json")
    return document


def read_context(document: Mapping[str, Any]) -> ContextPacket:
    """Return the packet that a document holds; ValueError when it holds none."""
    return _PACKET.validate_python(document)
