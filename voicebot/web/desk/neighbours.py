"""The other servers as desks see them: whose callers are offered here, and who does what an agent wants with theirs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, assert_never

import structlog

from voicebot.calls.transfer.desks import Desks
from voicebot.errors import RemoteProtocolError
from voicebot.web.desk.messages import Decline, Finish, HoldCaller, Invite, LendCaller, SendOn, parse_page

_log = structlog.get_logger(__name__)

#: What only the server that has the caller can do.
Wish = Decline | HoldCaller | SendOn | LendCaller | Invite | Finish


class Talks(Protocol):
    """What an agent can do with a caller of theirs on this server; False when there is none under that token."""

    def hold(self, agent_id: str, token: int, *, held: bool) -> bool: ...
    def send_on(self, agent_id: str, token: int, queue: str, *, to: str = "") -> bool: ...
    def lend(self, agent_id: str, token: int, flow: str) -> bool: ...
    def take_back(self, agent_id: str, token: int) -> bool: ...
    def invite(self, agent_id: str, token: int, queue: str, *, who: str = "") -> bool: ...
    def let_third_go(self, agent_id: str, token: int) -> bool: ...
    def finish(self, agent_id: str, token: int, *, survey: bool = False) -> bool: ...


class Neighbours(Protocol):
    """The other servers on the same database."""

    async def url_of(self, server: str) -> str | None:
        """Return where browsers reach a server; None where they cannot."""
        ...

    async def urls(self) -> Sequence[str]:
        """Return where browsers reach each server, this one too if it is on the list."""
        ...

    async def ask(self, server: str, question: Mapping[str, Any]) -> bool:
        """Have a server carry a question of `asking` out; False when it was not done."""
        ...


class NoNeighbours:
    """The `Neighbours` of a server that is alone."""

    async def url_of(self, server: str) -> str | None:
        del server
        return None

    async def urls(self) -> Sequence[str]:
        return ()

    async def ask(self, server: str, question: Mapping[str, Any]) -> bool:
        del server, question
        return False


@dataclass(frozen=True, slots=True)
class Wishes:
    """Carries out what agents want with callers of this server. `steps` are the flows that the bot can run for them."""

    desks: Desks
    talks: Talks
    steps: Callable[[], Mapping[str, str]]

    def grant(self, agent_id: str, token: int, wish: Wish) -> bool:
        """Do what an agent wants with the caller claimed under `token`; False when it cannot be done."""
        match wish:
            case Decline():
                return self.desks.decline(agent_id, token)
            case HoldCaller(held=held):
                return self.talks.hold(agent_id, token, held=held)
            case SendOn(queue=queue, agent=agent):
                return self.talks.send_on(agent_id, token, queue, to=agent)
            case LendCaller(flow=""):
                return self.talks.take_back(agent_id, token)
            case LendCaller(flow=flow):
                return flow in self.steps() and self.talks.lend(agent_id, token, flow)
            case Invite(queue=""):
                return self.talks.let_third_go(agent_id, token)
            case Invite(queue=queue, agent=agent):
                return self.talks.invite(agent_id, token, queue, who=agent)
            case Finish(survey=survey):
                return self.talks.finish(agent_id, token, survey=survey)
            case _:
                assert_never(wish)

    def answer(self, question: Mapping[str, Any]) -> bool:
        """Do what an agent at another server's desk wants; False when it cannot be done."""
        try:
            wish = parse_page(json.dumps(question["wish"]))
            agent_id, token = str(question["agent"]), int(question["token"])
        except (RemoteProtocolError, KeyError, TypeError, ValueError) as error:
            _log.warning("another server asked for what is not known here", error=type(error).__name__)
            return False
        return isinstance(wish, Wish) and self.grant(agent_id, token, wish)


def asking(agent_id: str, token: int, wish: Wish) -> dict[str, Any]:
    """Return the question by which another server is asked to do what an agent wants."""
    return {"agent": agent_id, "token": token, "wish": asdict(wish)}
