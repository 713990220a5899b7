"""What an agent does by keys in a joined call: a star and a digit; everything else goes to the caller."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: After a star so long, it was no beginning of a command.
STAR_S = 3.0


class AgentKey(StrEnum):
    """What follows the star."""

    #: On hold, or back.
    HOLD = "1"
    #: The bot does the queue's step, or is called off.
    STEP = "2"
    #: Somebody of the queue's overflow is asked in, or called off.
    THIRD = "3"
    #: The queue's overflow takes the caller.
    SEND_ON = "4"
    #: The caller is asked how it was.
    SURVEY = "9"


@dataclass(frozen=True, slots=True)
class Pressed:
    """What a key came to: a command, or keys that go to the caller."""

    command: AgentKey | None = None
    keys: str = ""


class AgentKeys:
    """Reads an agent's keys one by one. Pure: times are seconds of any clock."""

    def __init__(self) -> None:
        self._star_s: float | None = None

    def press(self, key: str, at_s: float) -> Pressed:
        began_s, self._star_s = self._star_s, None
        waits = began_s is not None and at_s - began_s <= STAR_S
        if waits and key in set(AgentKey):
            return Pressed(AgentKey(key))
        if key == "*" and not waits:
            self._star_s = at_s
            return Pressed()
        # Two stars are one for the caller.
        return Pressed(keys=key if not waits or key == "*" else f"*{key}")
