"""What callers and agents are told during a hand-over; queues.yaml may word each of them otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

#: Every text with the names it may use.
DEFAULTS: Mapping[str, str] = MappingProxyType(
    {
        "announce": "I'll put you through to {queue}, and tell them what it's about, so you needn't repeat yourself.",
        "elsewhere": "I'll put you through to {queue}, and they'll know what it's about. One moment please.",
        "no_wait": "Please hold the line.",
        "wait_minutes": "You may have to wait about {minutes} minutes.",
        "wait_a_minute": "It should take about a minute.",
        "still_waiting": "You're still in line. Somebody will be with you as soon as they can.",
        "callers_ahead": "Thank you for waiting. {ahead} callers are before you.",
        "next_in_line": "Thank you for waiting. You're next in line.",
        "trying_next": "I'm trying somebody else. One moment please.",
        "joining": "{agent} is with you now.",
        "on_hold": "{agent} will be back with you in a moment.",
        "agent_gone": "I'm sorry, we lost them. I'll find you somebody else.",
        "closed": "I'm sorry, {queue} is closed at the moment.",
        "full": "I'm sorry, too many people are waiting for {queue} at the moment.",
        "nobody": "I'm sorry, nobody from {queue} can take your call at the moment.",
        "choose_wait": "To go on waiting, press {key}.",
        "choose_callback": "To be called back, press {key} or say call me back.",
        "choose_message": "To leave a message, press {key} or say message.",
        "choose_overflow": "To try another team, press {key} or say another team.",
        "choose_number": "To hear another number you can call, press {key} or say number.",
        "callback_number": "Shall we call you on {number}? Say yes or press 1. Otherwise press 2.",
        "callback_key_number": "Please key in the number to call, then the hash key.",
        "callback_slot": "We can call you {slot}. Press 1 or say yes to take it, or press 2 for a later time.",
        "callback_booked": "Good. We'll call you {slot}, and whoever calls will know what it's about. Goodbye.",
        "callback_failed": "I'm sorry, I couldn't book that.",
        "message_prompt": "Please say your message after the tone, and press the hash key when you're done.",
        "message_taken": "Thank you. I've taken that down and somebody will hear it. Goodbye.",
        "number_told": "The number is {number}. Once more, {number}. Goodbye.",
        "yes_or_no": "Sorry, was that a yes? Press 1 for yes, or 2 for no.",
        "noted": "I've noted that you'd like to speak with somebody. A colleague will see what it's about. Goodbye.",
        "cut_off": "I'm sorry, I have to end the call. A colleague will call you back as soon as we can. Goodbye.",
        "noted_unknown": "I've noted what you need, but I can't see your number. Please call again later. Goodbye.",
        "thanks": "Thank you for calling. Goodbye.",
        "agent_question": "Press 1 or say yes to take the call, 2 or no to decline.",
        "third_asks": "{agent} asks you into a call.",
        "third_question": "Press 1 or say yes to join the call, 2 or no to decline.",
        "bot_step": "One moment please. I'll take this for {agent}, who will be back with you right after it.",
        "caller_gone": "The caller has hung up. Goodbye.",
        "not_delivered": "The details could not be sent everywhere. They are on your desk.",
        "callback_hello": "Hello, this is {company}, calling you back. Press 1 or say yes to be connected.",
        "lost_hello": "Hello, this is {company}. We were cut off before. Press 1 or say yes to be connected again.",
    }
)


def names_in(text: str) -> set[str]:
    """Return the names in braces in a text."""
    return set(re.findall(r"\{([^{}]*)\}", text))


@dataclass(frozen=True, slots=True)
class Wording:
    """`changed` are the texts that an admin words otherwise."""

    changed: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str, **values: object) -> str:
        """Return a text with its names filled in; KeyError when there is no such text or name."""
        return self.changed.get(name, DEFAULTS[name]).format(**values)

    def fixed(self) -> tuple[str, ...]:
        """Return the texts that name nothing, which can be rendered before any call."""
        texts = {**DEFAULTS, **self.changed}
        return tuple(text for text in texts.values() if "{" not in text)
