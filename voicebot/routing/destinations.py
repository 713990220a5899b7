"""Where a queue's callers are sent whose agents live beyond this server: with another switch or another system."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refer:
    """A SIP address that the caller's own telephone system calls instead of us (REFER).

    With `introduced` we call it first and say who calls; their system takes our place in that call (Replaces).
    """

    uri: str
    introduced: bool = False


@dataclass(frozen=True, slots=True)
class Dial:
    """A number or SIP address that Twilio calls; whoever answers hears who calls and accepts by key."""

    to: str


@dataclass(frozen=True, slots=True)
class Conference:
    """A number that we call and introduce the caller to; both then meet in a conference of Twilio's, without us.

    `coach` is a number or SIP address that listens, and that only the agent hears; empty for none.
    """

    agent: str
    coach: str = ""


@dataclass(frozen=True, slots=True)
class TaskQueue:
    """A workflow of Twilio's TaskRouter, which finds an agent by its own rules. Both are SIDs."""

    workspace: str
    workflow: str


Destination = Refer | Dial | Conference | TaskQueue
