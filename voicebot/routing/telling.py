"""How a hand-over is told to a caller, and how a caller's choice is understood."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from voicebot.dialog.values import Form, ValueKind, spoken
from voicebot.routing.actions import Setback
from voicebot.routing.queues import Choice, Failure
from voicebot.routing.waiting import InLine, Outlook, Standing, minutes_to_say
from voicebot.routing.wording import Wording


def announcement(
    wording: Wording,
    title: str,
    outlook: Outlook,
    *,
    offered: tuple[Choice, ...],
    soonest: str = "",
    because: Failure | Setback | None = None,
    instead_of: str = "",
) -> str:
    """Return what a caller who enters a queue is told: what happens, how long it may take, what else there is.

    `because` is why they come from the queue that callers know as `instead_of`. `soonest` is when they could be called
    back, empty where that is not known.
    """
    told = [wording.text("announce", queue=title)]
    if because is not None:
        told = [_why(wording, because, instead_of), wording.text("announce_instead", queue=title)]
    told.append(duration(wording, outlook.wait_s))
    told += offers(wording, tuple(choice for choice in offered if choice is not Choice.WAIT), soonest)
    return " ".join(told)


def going_on(wording: Wording, title: str, line: InLine, because: Failure | Setback | None) -> str:
    """Return what a caller is told who waits on: what went wrong, what follows, and how long it may take."""
    told = [wording.text("waiting_on")]
    if because is not None:
        told = [_why(wording, because, title), wording.text("trying_next")]
    return " ".join((*told, duration(wording, line.wait_s)))


def _why(wording: Wording, because: Failure | Setback, title: str) -> str:
    """Return what went wrong; the texts are named as what they tell."""
    named = because in {Setback.FULL, Setback.NOBODY, Setback.TOO_LONG}
    return wording.text(because.value, queue=title) if named else wording.text(because.value)


def duration(wording: Wording, wait_s: float | None) -> str:
    """Return how long it may take until somebody is there."""
    if wait_s is None:
        return wording.text("wait_unknown")
    if not wait_s:
        return wording.text("no_wait")
    minutes = minutes_to_say(wait_s)
    return wording.text("wait_a_minute") if minutes == 1 else wording.text("wait_minutes", minutes=minutes)


def refusal(wording: Wording, title: str, standing: Standing, opens: str = "") -> str:
    """Return why nobody takes the caller now; `opens` is when somebody will, empty where that is not known."""
    match standing:
        case Standing.CLOSED:
            return (
                wording.text("closed_until", queue=title, opens=opens) if opens else wording.text("closed", queue=title)
            )
        case Standing.FULL:
            return wording.text("full", queue=title)
        case Standing.UNSTAFFED | Standing.OPEN:
            return wording.text("nobody", queue=title)


def offers(wording: Wording, offered: tuple[Choice, ...], soonest: str = "") -> list[str]:
    """Return how each choice is taken; their keys count from 1. `soonest` is when a callback can be made."""
    told = []
    for key, choice in enumerate(offered, start=1):
        if choice is Choice.CALLBACK and soonest:
            told.append(wording.text("choose_callback_at", key=key, slot=soonest))
        else:
            told.append(wording.text(f"choose_{choice}", key=key))
    return told


def comfort(wording: Wording, line: InLine, *, rings: bool = False) -> str:
    """Return the word that breaks the music; `rings` is whether an agent is being reached just then."""
    if rings:
        return wording.text("ringing")
    match line.ahead:
        case None:
            return wording.text("still_waiting")
        case 0:
            place = wording.text("next_in_line")
        case 1:
            place = wording.text("still_waiting")
        case _:
            place = wording.text("callers_ahead", ahead=line.ahead)
    return f"{place} {duration(wording, line.wait_s)}"


def moment_to_say(at: datetime, now: datetime) -> str:
    """Return a moment as it is said by the clock of its own zone: ``today at 3 PM``, ``on Monday, March 9th``."""
    today = now.astimezone(at.tzinfo).date()
    return spoken(at, ValueKind.MOMENT, form=Form.RELATIVE, noun="", today=today)


#: Words by which a choice is taken; whoever says several is not understood.
_WORDS: Mapping[Choice, tuple[str, ...]] = {
    Choice.CALLBACK: ("call me back", "callback", "call back", "call me", "ring me"),
    Choice.MESSAGE: ("message",),
    Choice.WAIT: ("wait", "hold", "stay"),
    Choice.OVERFLOW: ("another", "other team", "someone else", "somebody else"),
    Choice.NUMBER: ("number",),
}


def spoken_choice(text: str, offered: tuple[Choice, ...]) -> Choice | None:
    """Return what a caller chose in words, None when it was nothing on offer or not clear."""
    said = f" {text.lower()} "
    found = [choice for choice in offered if any(f" {words} " in said for words in _WORDS[choice])]
    return found[0] if len(found) == 1 else None


def keyed_choice(keys: str, offered: tuple[Choice, ...]) -> Choice | None:
    """Return what a key means, None when it means nothing."""
    return offered[int(keys) - 1] if keys.isdecimal() and 1 <= int(keys) <= len(offered) else None
