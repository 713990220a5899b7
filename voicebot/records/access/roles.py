"""The roles, the rights and the one table that joins them. docs/security.md shows the same table; a test compares."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    ADMIN = "admin"
    SUPERVISOR = "supervisor"
    QA = "qa"
    AGENT = "agent"
    AUDITOR = "auditor"


class Right(StrEnum):
    """What a route asks for; an API token's scopes are the same names."""

    READ_CALLS = "calls:read"
    EXPORT_CALLS = "calls:export"
    LISTEN = "recordings:listen"
    CONTROL_RECORDING = "recordings:control"
    WRITE_REVIEWS = "reviews:write"
    WATCH_QUEUES = "queues:watch"
    TAKE_CALLS = "desk:use"
    DECIDE_APPROVALS = "approvals:decide"
    UNDO_ACTIONS = "actions:undo"
    PAUSE_AUTOMATION = "automation:pause"
    READ_AUDIT = "audit:read"
    HOLD_RECORDS = "records:hold"
    ERASE_CUSTOMERS = "customers:erase"
    BEGIN_CHATS = "chats:begin"
    MANAGE_ACCESS = "access:manage"


class Reach(StrEnum):
    """How far a right goes: to every call, or to the calls that were given to the user or to one of their queues."""

    OWN = "own"
    ALL = "all"


def _all(*rights: Right) -> dict[Right, Reach]:
    return dict.fromkeys(rights, Reach.ALL)


def _own(*rights: Right) -> dict[Right, Reach]:
    return dict.fromkeys(rights, Reach.OWN)


#: What is not here is denied.
RIGHTS: Mapping[Role, Mapping[Right, Reach]] = MappingProxyType(
    {
        Role.ADMIN: _all(*Right),
        Role.SUPERVISOR: _all(
            Right.READ_CALLS,
            Right.EXPORT_CALLS,
            Right.LISTEN,
            Right.CONTROL_RECORDING,
            Right.WRITE_REVIEWS,
            Right.WATCH_QUEUES,
            Right.TAKE_CALLS,
            Right.DECIDE_APPROVALS,
            Right.UNDO_ACTIONS,
            Right.PAUSE_AUTOMATION,
        ),
        Role.QA: _all(Right.READ_CALLS, Right.EXPORT_CALLS, Right.LISTEN, Right.WRITE_REVIEWS),
        Role.AGENT: _own(Right.READ_CALLS, Right.LISTEN, Right.CONTROL_RECORDING, Right.TAKE_CALLS),
        Role.AUDITOR: _all(Right.READ_CALLS, Right.EXPORT_CALLS, Right.READ_AUDIT),
    }
)
