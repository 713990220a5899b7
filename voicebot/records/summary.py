"""What a packet says in three sentences, and what an agent hears before accepting. Made from fields, never invented."""

from __future__ import annotations

from voicebot.records.context import Attempt, ContextPacket, Trend

#: The introduction may take twelve seconds; a telephone voice speaks about two and a half words in one.
MOST_WORDS = 28
_FRUSTRATED = 0.5
_URGENT = 0.5
_UNHAPPY = -0.25

_REASONS = {
    "asked": "asked for a person",
    "not_understood": "was not understood",
    "not_heard": "could not be heard",
    "approval": "needs an approval",
    "failed": "met a technical problem",
    "policy": "was not getting on with the bot",
    "callback": "was promised a callback",
}


def summarise(packet: ContextPacket) -> tuple[str, str, str]:
    """Return who it is, what they want and what was done, and why they come to a person."""
    return _who(packet), f"{_want(packet)}{_done(packet)}.", f"{_why(packet)}{_how(packet)}."


def introduction(packet: ContextPacket, *, most_words: int = MOST_WORDS) -> str:
    """Return what the agent hears: who calls and why, in at most so many words, whole sentences only.

    The first sentence is always there; those after it as long as they fit.
    """
    wanted = [
        "Warm transfer.",
        _who(packet),
        f"{_want(packet)}.",
        f"{_why(packet)}{_how(packet)}.",
        *(f"{done}." for done in [_done(packet).removeprefix(", ").capitalize()] if done),
    ]
    said: list[str] = []
    words = 0
    for sentence in wanted:
        words += len(sentence.split())
        if words > most_words and said:
            break
        said.append(sentence)
    return " ".join(said)


def _who(packet: ContextPacket) -> str:
    customer, proven = packet.customer, packet.authentication
    kind = f"{customer.tier.capitalize()} customer" if customer.tier else "Customer" if customer.name else "Caller"
    name = f" {customer.name}" if customer.name else ""
    if proven.authenticated:
        return f"{kind}{name}, authenticated."
    if proven.failures:
        return f"{kind}{name}, not authenticated after {_times(proven.failures, 'try', 'tries')}."
    return f"{kind}{name}, not authenticated."


def _want(packet: ContextPacket) -> str:
    request = packet.request
    if request is None:
        return "Has not said what it is about"
    facts = [f"{name.replace('_', ' ')} {_spaced(value)}" for name, value in packet.data.items()]
    about = f", {', '.join(facts[:2])}" if facts else ""
    return f"About {request.title}{about}"


def _done(packet: ContextPacket) -> str:
    changed = [attempt for attempt in packet.attempts if attempt.changed_something and attempt.outcome == "ok"]
    if changed:
        return f", done: {_named(changed[-1])}"
    failed = [attempt for attempt in packet.attempts if attempt.outcome != "ok"]
    if failed:
        return f", {_named(failed[-1])} gave {failed[-1].outcome.replace('_', ' ')}"
    return ", nothing was changed"


def _why(packet: ContextPacket) -> str:
    escalation = packet.escalation
    why = _REASONS.get(escalation.reason, escalation.reason.replace("_", " "))
    return f"{why[:1].upper()}{why[1:]}"


def _how(packet: ContextPacket) -> str:
    mood = packet.mood
    sounds = []
    if mood.frustration >= _FRUSTRATED:
        sounds.append("frustrated")
    elif mood.sentiment <= _UNHAPPY:
        sounds.append("unhappy")
    if mood.urgency >= _URGENT:
        sounds.append("in a hurry")
    if not sounds:
        return ""
    worse = ", more and more" if mood.trend is Trend.WORSE else ""
    return f"; sounds {' and '.join(sounds)}{worse}"


def _named(attempt: Attempt) -> str:
    """Name an operation as a person would: ``orders.status`` is "order status"."""
    system, _, what = attempt.operation.partition(".")
    words = f"{system.removesuffix('s')} {what}".replace("_", " ").strip()
    return f"{words}, reference {_spaced(attempt.reference)}" if attempt.reference else words


def _spaced(value: str) -> str:
    """Numbers that name something are read digit by digit."""
    return " ".join(value) if value.isdecimal() and len(value) > 2 else value


def _times(count: int, one: str, many: str) -> str:
    return f"one {one}" if count == 1 else f"{count} {many}"
