"""How a hand-over is told to a caller, and how a caller's choice is understood."""

from __future__ import annotations

from collections.abc import Mapping

from voicebot.routing.queues import Choice
from voicebot.routing.waiting import Outlook, Standing, minutes_to_say
from voicebot.routing.wording import Wording


def announcement(wording: Wording, title: str, outlook: Outlook, *, offered: tuple[Choice, ...]) -> str:
    """Return what a caller who enters a queue is told: what happens, how long it may take, what else there is."""
    told = [wording.text("announce", queue=title)]
    if not outlook.wait_s:
        told.append(wording.text("no_wait"))
    elif (minutes := minutes_to_say(outlook.wait_s)) == 1:
        told.append(wording.text("wait_a_minute"))
    else:
        told.append(wording.text("wait_minutes", minutes=minutes))
    told += offers(wording, tuple(choice for choice in offered if choice is not Choice.WAIT))
    return " ".join(told)


def refusal(wording: Wording, title: str, standing: Standing) -> str:
    """Return why nobody takes the caller now."""
    match standing:
        case Standing.CLOSED:
            return wording.text("closed", queue=title)
        case Standing.FULL:
            return wording.text("full", queue=title)
        case Standing.UNSTAFFED | Standing.OPEN:
            return wording.text("nobody", queue=title)


def offers(wording: Wording, offered: tuple[Choice, ...]) -> list[str]:
    """Return how each choice is taken; their keys count from 1."""
    return [wording.text(f"choose_{choice}", key=key) for key, choice in enumerate(offered, start=1)]


def comfort(wording: Wording, ahead: int | None) -> str:
    """Return the word that breaks the music."""
    match ahead:
        case None:
            return wording.text("still_waiting")
        case 0:
            return wording.text("next_in_line")
        case _:
            return wording.text("callers_ahead", ahead=ahead) if ahead > 1 else wording.text("still_waiting")


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
