"""Whether calls are recorded, and what callers are told of it: the words that flows, policy and records share."""

from __future__ import annotations

from enum import StrEnum


class RecordingPolicy(StrEnum):
    """Record every call without a word, with a word, only those whose callers agree, or none."""

    ALWAYS = "always"
    ANNOUNCE = "announce"
    ASK = "ask"
    OFF = "off"


class RecordingOrder(StrEnum):
    """What a flow's step says of the recording. What `STOP` stopped goes on when its flow is over at the latest."""

    STOP = "stop"
    RESUME = "resume"
    AGREED = "agreed"
    REFUSED = "refused"


class Consent(StrEnum):
    """How the caller stands to being recorded: told so, asked and agreed, or asked and refused."""

    ANNOUNCED = "announced"
    AGREED = "agreed"
    REFUSED = "refused"


class RecordingHold(StrEnum):
    """Why nothing is recorded for now: a step of a flow, what the bot's rules name, or no yes of the caller's."""

    FLOW = "flow"
    POLICY = "policy"
    CONSENT = "consent"
