"""How a call can end, as it goes to the record."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """`COMPLETED`: the caller was done. `PERSON`: they are to speak with a person. The rest is what cut it short."""

    COMPLETED = "completed"
    PERSON = "person"
    CALLER_HUNG_UP = "hung_up"
    SILENT = "silent"
    NOT_UNDERSTOOD = "not_understood"
    NOT_HEARD = "not_heard"
    TOO_LONG = "too_long"
    SHUTTING_DOWN = "shutting_down"
    FAILED = "failed"
    #: Not taken on: the server was full or shutting down.
    REFUSED = "refused"
