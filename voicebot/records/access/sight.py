"""Which calls somebody may see: every one, or those that were given to them or to a queue that they serve."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, exists, or_, select, true

from voicebot.records.tables import CALL_SHARES, CALLS


class SharedWith(StrEnum):
    """Whom a call was given to, apart from those who see all."""

    USER = "user"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class Sight:
    """The calls given to `user` or to one of `queues`; without a user, every call."""

    user: str | None = None
    queues: frozenset[str] = frozenset()

    @property
    def is_whole(self) -> bool:
        return self.user is None


EVERY_CALL = Sight()


def is_seen(sight: Sight) -> ColumnElement[bool]:
    """Return the condition under which a row of `CALLS` is in `sight`; add it to every query that serves a person."""
    if sight.is_whole:
        return true()
    given = or_(
        and_(CALL_SHARES.c.shared_with == SharedWith.USER.value, CALL_SHARES.c.name == sight.user),
        and_(CALL_SHARES.c.shared_with == SharedWith.QUEUE.value, CALL_SHARES.c.name.in_(sorted(sight.queues))),
    )
    return exists(select(CALL_SHARES.c.call_id).where(CALL_SHARES.c.call_id == CALLS.c.id, given))
