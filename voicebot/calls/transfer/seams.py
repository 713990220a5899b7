"""What a transfer needs of its surroundings, as narrow as it needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from voicebot.calls.seams import Journal
from voicebot.dialog.events import Interpretation
from voicebot.dialog.expectation import Expectation
from voicebot.errors import VoicebotError
from voicebot.media.bridge import Observe
from voicebot.records.context import ContextPacket
from voicebot.routing.agents import Agent, Reach
from voicebot.routing.events import Claim
from voicebot.routing.queues import Failure, Queue, Routing
from voicebot.routing.waiting import InLine, Outlook
from voicebot.telephony.leg import CallLeg


class RingFailed(VoicebotError):
    """An agent was not reached."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"the agent was not reached: {failure}")
        self.failure = failure


class NotKept(VoicebotError):
    """The records did not take what a caller was to be promised."""


@dataclass(frozen=True, slots=True)
class Reached:
    """An agent's open line. `accepted`: they took the call before they opened it.

    `confirm` is called once they have, for a carrier that suspects a machine.
    """

    leg: CallLeg
    accepted: bool = False
    confirm: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Place:
    """A caller's place in a queue. `number` is personal, and empty when it is withheld."""

    entry_id: str
    call_id: str
    number: str
    priority: int
    entered_at: datetime


@dataclass(frozen=True, slots=True)
class FlowRun:
    """What came of a flow that the bot ran with a caller. `reached` are the goals that the flow says were reached."""

    done: bool
    wants_person: bool = False
    reached: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TalkNews:
    """What an agent's desk shows of their call: how it stands, whom they have asked in, and what the bot's step did.

    `state` is the phase of the hand-over. `inviting` is a queue, `third` a name, `failed` why nobody came. `run` is
    None while the bot is still at its `flow`. `writing` says how the talk is written down, or why it is not.
    """

    state: str
    inviting: str = ""
    third: str = ""
    flow: str = ""
    run: FlowRun | None = None
    failed: Failure | None = None
    writing: str = ""


@dataclass(frozen=True, slots=True)
class TalkLine:
    """What was said in a joined call, as the record has it; without text where nobody knows what. See `Speaker`."""

    speaker: str
    at_ms: int
    text: str


ShowLine = Callable[[TalkLine], None]


class Talk(Protocol):
    """What the caller and agents say to each other, taken down."""

    @property
    def note(self) -> str: ...

    def listening(self, show: ShowLine) -> AbstractContextManager[Observe]:
        """Listen while the block lasts, to all that the yielded function is told; `show` gets what was said."""
        ...

    async def close(self) -> None:
        """Take down what was said last, and no more; the call is over."""
        ...


#: Makes what takes down the talk of a call, by its journal and where on the monotonic clock its recording begins.
MakeTalk = Callable[[Journal, float], Talk]


class NotWritten:
    """A `Talk` that nobody takes down."""

    @property
    def note(self) -> str:
        return ""

    @contextmanager
    def listening(self, show: ShowLine) -> Iterator[Observe]:
        del show
        yield lambda _side, _event: None

    async def close(self) -> None:
        """Do nothing: there is nothing to write."""


def not_written(journal: Journal, started_s: float) -> Talk:
    """Make what takes nothing down."""
    del journal, started_s
    return NotWritten()


class CallerSide(Protocol):
    """The caller's line while a transfer has it. Sounds come one after the other; each returns once heard or cut."""

    @property
    def leg(self) -> CallLeg: ...

    @property
    def talk(self) -> Talk:
        """What takes down the caller's talk with agents."""
        ...

    async def say(self, prompt: str, text: str, *, personal: bool = False) -> None: ...
    async def play(self, audio: bytes) -> None: ...
    async def hush(self) -> None: ...
    async def listen(self, expectation: Expectation | None) -> None: ...
    async def step_aside(self) -> None:
        """Have the bot leave the line, so that it can be bridged."""
        ...

    async def come_back(self) -> None:
        """Have the bot take the line again."""
        ...

    async def run_flow(self, flow: str) -> FlowRun:
        """Have the bot, which has the line, run a flow with the caller; cancelled, it stops."""
        ...


class Party(Protocol):
    """An agent on an open line."""

    @property
    def leg(self) -> CallLeg: ...

    async def ask(self, introduction: str, question: str, *, accept_s: float) -> Failure | None:
        """Introduce a call; None when the agent takes it."""
        ...

    async def tell(self, text: str, *, limit_s: float) -> None: ...

    async def entertain(self, text: str, music: Callable[[], bytes]) -> None:
        """Say something and play music, stretch after stretch, until cancelled; what they do is read by others."""
        ...

    async def gone(self, pressed: Callable[[str], None] = ...) -> None:
        """Return when the line ends, while nobody else reads it; `pressed` is told of each key."""
        ...


class Lines(Protocol):
    """How agents are rung."""

    async def ring(
        self, agent: Agent, reach: Reach, claim: Claim, packet: ContextPacket, *, timeout_s: float
    ) -> Reached:
        """Ring an agent and return their line when it is open; raises `RingFailed`. Cancelled, it stops ringing."""
        ...

    def release(self, leg: CallLeg) -> None:
        """Let go of a line that has been hung up."""
        ...


class Floor(Protocol):
    """The contact centre as one transfer sees it."""

    @property
    def routing(self) -> Routing: ...

    def is_open(self, queue: Queue, at: datetime) -> bool: ...

    async def look(self, queue: Queue, priority: int) -> Outlook: ...

    async def can_serve(self, queue: Queue, tried: tuple[str, ...]) -> bool:
        """Tell whether anybody is on duty who could take a caller of this queue and was not rung for them yet."""
        ...

    async def enter(
        self, place: Place, queue: str, tried: tuple[str, ...], on_claimed: Callable[[Claim], None]
    ) -> None:
        """Have the caller wait; `on_claimed` is told, once, which agent is theirs."""
        ...

    async def in_line(self, place: Place, queue: Queue, tried: tuple[str, ...]) -> InLine:
        """Return how it stands with a caller who waits in this queue."""
        ...

    def opens(self, queue: Queue, at: datetime) -> datetime | None:
        """Return when a closed queue opens again, in the zone of its hours; None where nobody can tell."""
        ...

    async def soonest(self, queue: Queue, number: str) -> datetime | None:
        """Return when a number could be called back at the earliest, in its own zone; None where nobody can tell."""
        ...

    async def leave(self, place: Place, ending: str) -> None: ...

    async def reach_of(self, claim: Claim) -> tuple[Agent, Reach]:
        """Return a claimed agent and the line they want to be rung on."""
        ...

    async def joined(self, place: Place, claim: Claim) -> bool:
        """Note that they talk; False when the claim was lost."""
        ...

    async def free(self, claim: Claim, failure: Failure | None, *, talked: bool, wrap_up_s: float) -> None: ...

    async def deliver(self, packet: ContextPacket) -> tuple[str, ...]:
        """Put the packet on the desk and send it to everybody else; return who did not have it within a second."""
        ...

    async def book(self, place: Place, queue: Queue, *, number: str, at: datetime, reason: str) -> None:
        """Book a callback; raises `NotKept`."""
        ...

    async def take_message(self, place: Place, queue: Queue) -> None:
        """Note that the caller left a message, which is in the call's recording."""
        ...

    async def note(self, place: Place, queue: Queue) -> None:
        """Put the caller on the list of those whom somebody should see to; they have asked for no call."""
        ...

    async def slots(self, queue: Queue, number: str) -> tuple[datetime, ...]:
        """Return when a number could be called back; raises `NotKept`."""
        ...


@dataclass(frozen=True, slots=True)
class Said:
    """What a caller said or keyed while a transfer has their line."""

    keys: str = ""
    readings: tuple[Interpretation, ...] = ()
