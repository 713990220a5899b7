"""What a call was about, in up to three sentences made from its record; nothing in them is not in the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voicebot.backends.sqlite import from_json
from voicebot.dialog.outcome import Outcome
from voicebot.records.deeds import Deed, DeedState

#: At most so many facts of a call are named: what helps the next person to recognise it.
_FACTS = 3
#: What flows remember about a caller that is no fact of the request.
_STANDING = frozenset(("authenticated", "reauthenticated", "customer_name", "account_number"))

_ENDS = {
    Outcome.COMPLETED: "The caller was done",
    Outcome.PERSON: "The caller asked for or needed a person",
    Outcome.CALLER_HUNG_UP: "The caller hung up",
    Outcome.SILENT: "The caller said nothing more",
    Outcome.NOT_UNDERSTOOD: "The caller could not be understood",
    Outcome.NOT_HEARD: "The caller could not be heard",
    Outcome.TOO_LONG: "The call reached its time limit",
    Outcome.SHUTTING_DOWN: "The server was shut down during the call",
    Outcome.FAILED: "A technical fault ended the call",
    Outcome.REFUSED: "The call was not taken on",
}


def facts_of(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what a call's slots held last, by name; secret turns have none."""
    facts: dict[str, str] = {}
    for turn in record["turns"]:
        facts |= turn["slots"]
    return facts


def summarise(record: Mapping[str, Any], deeds: Sequence[Deed]) -> str:
    """Return the summary of a finished call, as shaped by /api/schema, and of what was written for it."""
    facts = facts_of(record)
    sentences = [_request(record, facts)]
    done = [_named(deed) for deed in sorted(deeds, key=lambda deed: deed.done_at) if deed.state is DeedState.DONE]
    if done:
        sentences.append(f"Done: {'; '.join(done)}.")
    outcome = record["outcome"]
    if outcome:
        sentences.append(f"{_ENDS[Outcome(outcome)]}.")
    return " ".join(sentences)


def _request(record: Mapping[str, Any], facts: Mapping[str, str]) -> str:
    goal = record["goal"]
    if not goal:
        return "Nothing was asked for."
    named = [f"{name.replace('_', ' ')} {value}" for name, value in facts.items() if name not in _STANDING]
    about = f" ({', '.join(named[:_FACTS])})" if named else ""
    reached = "and got it" if record["goal_reached"] else "and did not get it"
    return f"Wanted {goal.replace('_', ' ')}{about} {reached}."


def _named(deed: Deed) -> str:
    results = {name: value for name, value in from_json(deed.result).items() if value is not None}
    named = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in results.items())
    what = deed.operation.replace(".", " ").replace("_", " ")
    return f"{what} ({named})" if named else what
