"""The messages of the desk's WebSocket. Both ways each is one JSON object, told apart by its `type`.

What a page sends is parsed here. What it is told stands in `voicebot.web.desk.board_view` and in `socket`: ``hello``,
``board``, ``offer``, ``withdrawn``, ``talk``, ``said``, ``audio``, ``noted`` and ``refused``. A page passes over types
that it does not know, so that more can be told later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from voicebot.errors import RemoteProtocolError
from voicebot.records.call_notes import MAX_NOTE_CHARS, Disposition
from voicebot.routing.agents import AgentState, ReachKind

_IdOrNone = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,128}$")]
_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")]


@dataclass(frozen=True, slots=True)
class SetState:
    """The agent is available, on a break or away, and is rung on this line."""

    type: Literal["set_state"]
    state: Literal[AgentState.OFFLINE, AgentState.AVAILABLE, AgentState.BREAK]
    reach: ReachKind


@dataclass(frozen=True, slots=True)
class Accept:
    """The agent takes the call that was offered under `token` in the page, and needs a ticket for its audio."""

    type: Literal["accept"]
    token: int


@dataclass(frozen=True, slots=True)
class Decline:
    type: Literal["decline"]
    token: int


@dataclass(frozen=True, slots=True)
class WriteNote:
    """The agent's notes on a call, whole: they take the place of what was there."""

    type: Literal["note"]
    call_id: _Id
    disposition: Disposition | None
    text: Annotated[str, Field(max_length=MAX_NOTE_CHARS)]


@dataclass(frozen=True, slots=True)
class CloseCallback:
    """A callback is not to be made any more, or a message was dealt with."""

    type: Literal["close_callback"]
    id: _Id


@dataclass(frozen=True, slots=True)
class HoldCaller:
    """The caller the agent talks with hears music, or is taken back."""

    type: Literal["hold"]
    held: bool


@dataclass(frozen=True, slots=True)
class SendOn:
    """Another queue is to take the caller."""

    type: Literal["send_on"]
    queue: _Id
    agent: _IdOrNone = ""


@dataclass(frozen=True, slots=True)
class LendCaller:
    """The bot is to run a flow with the caller, or, without one, to give them back."""

    type: Literal["lend"]
    flow: _IdOrNone = ""


@dataclass(frozen=True, slots=True)
class Invite:
    """Somebody of a queue is to come into the call; without a queue the third party goes."""

    type: Literal["invite"]
    queue: _IdOrNone = ""
    agent: _IdOrNone = ""


@dataclass(frozen=True, slots=True)
class Finish:
    """The agent is done with the caller, who may be asked how it was."""

    type: Literal["finish"]
    survey: bool


PageMessage = (
    SetState | Accept | Decline | WriteNote | CloseCallback | HoldCaller | SendOn | LendCaller | Invite | Finish
)

_PAGE: TypeAdapter[PageMessage] = TypeAdapter(Annotated[PageMessage, Field(discriminator="type")])


def parse_page(text: str) -> PageMessage:
    """Return what a page says; raises `RemoteProtocolError`, which repeats nothing of what was sent."""
    try:
        return _PAGE.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"The page sent a message that is none: {where} {first['type']}."
        raise RemoteProtocolError("bad_message", what) from None
