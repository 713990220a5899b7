"""Whether the place of recordings can be used at all: a small object is written there, read and deleted."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum

from voicebot.records.vault.objects import ObjectMissingError, Objects, StoreFault, StoreUnavailableError

#: Begins the names of objects that are only tried with; recordings lie below a date.
TRIALS = "voicebot-trial"
_CONTENT = b"voicebot tries whether recordings can be kept here; this may be deleted"


class Step(StrEnum):
    """What recordings need of a store."""

    WRITE = "write"
    READ = "read"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Failed:
    """What could not be done, and why; `reason` as `StoreUnavailableError` has it."""

    step: Step
    fault: StoreFault
    reason: str


def try_out(objects: Objects) -> Failed | None:
    """Write, read and delete an object of a name that nobody else uses; None when all of it worked. It blocks."""
    name = f"{TRIALS}/{secrets.token_hex(8)}"
    step = Step.WRITE
    try:
        objects.put(name, _CONTENT)
        step = Step.READ
        if objects.read(name) != _CONTENT:
            return Failed(step, StoreFault.AWAY, "what was read is not what was written")
        step = Step.DELETE
        objects.delete(name)
    except ObjectMissingError:
        return Failed(step, StoreFault.AWAY, "what was written is not there")
    except StoreUnavailableError as error:
        return Failed(step, error.fault, error.reason)
    return None
