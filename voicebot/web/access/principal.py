"""Who makes a request, and what they may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from voicebot.records.access.roles import Reach, Right
from voicebot.records.access.sight import EVERY_CALL, Sight


@dataclass(frozen=True, slots=True)
class Principal:
    """A user in a session, or a program with a token.

    `actor` names them in the audit trail: a user's name, or ``"token:NAME"``. `csrf` is what forms and scripts of a
    session must send with every change; None for a token, which no browser sends by itself.
    """

    actor: str
    rights: Mapping[Right, Reach]
    queues: frozenset[str] = frozenset()
    csrf: str | None = None

    @property
    def is_person(self) -> bool:
        return self.csrf is not None

    def may(self, right: Right) -> bool:
        return right in self.rights

    def sight(self, right: Right) -> Sight:
        """Return the calls that `right` reaches; raises KeyError without the right."""
        match self.rights[right]:
            case Reach.ALL:
                return EVERY_CALL
            case Reach.OWN:
                return Sight(self.actor, self.queues)


#: Set by the guard for every route that is not public.
PRINCIPAL = web.RequestKey("principal", Principal)


def principal_of(request: web.Request) -> Principal:
    """Return who makes a request to a route that is not public."""
    return request[PRINCIPAL]
