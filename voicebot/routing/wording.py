"""What callers and agents are told during a hand-over. queues.yaml has the words; these stand in where it has none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

#: What callers hear, by name, with the names each text may use. `flows check` finds those that the flows leave out.
TO_CALLERS: Mapping[str, str] = MappingProxyType(
    {
        # On the way into a queue: what happens next, then how long it takes.
        "announce": "I'll put you through to {queue}, and tell them what it's about, so you needn't repeat yourself.",
        "announce_instead": "I'll try {queue} instead, and tell them what it's about.",
        "elsewhere": "I'll put you through to {queue}, who'll know what it's about. It should take about a minute.",
        "no_wait": "It should take less than a minute. Please hold the line.",
        "wait_a_minute": "It should take about a minute.",
        "wait_minutes": "You may have to wait about {minutes} minutes.",
        "wait_unknown": "I can't say how long it will take.",
        # Between two stretches of music.
        "still_waiting": "You're still in line.",
        "callers_ahead": "Thank you for waiting. {ahead} callers are before you.",
        "next_in_line": "Thank you for waiting. You're next in line.",
        "ringing": "I'm calling a colleague for you now, who hears first what it's about. A moment more, please.",
        "waiting_on": "All right, you keep your place in line.",
        # Why it is not the agent who was called, by what became of them; then what follows.
        "busy": "The colleague I called is on another call.",
        "no_answer": "There was no answer.",
        "declined": "The colleague I called can't take it right now.",
        "voicemail": "I reached nothing but a machine.",
        "unreachable": "I couldn't get through to the colleague I called.",
        "hung_up": "I'm sorry, I lost the colleague I was telling about it.",
        "claim_lost": "The colleague I called has just been given another call.",
        "agent_gone": "I'm sorry, we lost them.",
        "too_long": "I'm sorry, nobody from {queue} is free soon enough.",
        "trying_next": "I'm trying somebody else.",
        # Who joins, and while they are away.
        "joining": "{agent} is with you now.",
        "on_hold": "{agent} will be back with you in a moment.",
        "bot_step": "One moment please. I'll take this for {agent}, who will be back with you right after it.",
        # Nobody takes the caller now: why, then what there is instead.
        "closed": "I'm sorry, {queue} is closed at the moment.",
        "closed_until": "I'm sorry, {queue} is closed at the moment, and open again {opens}.",
        "full": "I'm sorry, too many people are waiting for {queue} at the moment.",
        "nobody": "I'm sorry, nobody from {queue} can take your call at the moment.",
        "choose_wait": "To go on waiting, press {key}.",
        "choose_callback": "To be called back, press {key} or say call me back.",
        "choose_callback_at": "To hang up and be called back, {slot} or later, press {key} or say call me back.",
        "choose_message": "To leave a message, press {key} or say message.",
        "choose_overflow": "To try another team, press {key} or say another team.",
        "choose_number": "For the number to call when it can't wait, press {key} or say number.",
        "callback_number": "Shall we call you on {number}? Say yes or press 1. Otherwise press 2.",
        "callback_key_number": "Please key in the number to call, then the hash key.",
        "callback_slot": "We can call you {slot}. Press 1 or say yes to take it, or press 2 for a later time.",
        "callback_booked": (
            "Good. You can hang up now: we'll call you {slot}, and whoever calls will know what it's about. Goodbye."
        ),
        "callback_failed": "I'm sorry, I couldn't book that.",
        "message_prompt": (
            "Please say your message after the tone, up to a minute and a half, and press the hash key at its end."
        ),
        "message_taken": (
            "Thank you. I've taken that down. Somebody will hear it on the next working day at the latest. Goodbye."
        ),
        "number_told": "The number is {number}. Once more, {number}. Goodbye.",
        "number_offered": (
            "The number is {number}. Once more, {number}. Press 1 or say yes to be connected now, or 2 to dial it."
        ),
        "number_connecting": "I'm calling there for you. It should take less than a minute. Please hold the line.",
        "number_unreached": "Nobody answered there. Please hang up and dial {number} yourself. Goodbye.",
        "yes_or_no": "Sorry, was that a yes? Press 1 for yes, or 2 for no.",
        "noted": (
            "I've noted that you'd like to speak with somebody. A colleague will see what it's about"
            " on the next working day at the latest. Goodbye."
        ),
        "noted_unknown": "I've noted what you need, but I can't see your number. Please call again later. Goodbye.",
        "cut_off": "I'm sorry, I have to end the call. A colleague will call you back {slot}. Goodbye.",
        "thanks": "Thank you for calling. Goodbye.",
        # In a call that we make, because it was promised.
        "callback_hello": "Hello, this is {company}, calling you back. Press 1 or say yes to be connected.",
        "lost_hello": "Hello, this is {company}. We were cut off before. Press 1 or say yes to be connected again.",
        "callback_again": "I didn't hear a yes. We'll call again {slot}. Goodbye.",
        "callback_last": "I didn't hear a yes. We won't call again. Please call us when it suits you. Goodbye.",
        "callback_unwanted": "All right, we won't call again about this. Goodbye.",
    }
)
#: What agents hear.
_TO_AGENTS: Mapping[str, str] = MappingProxyType(
    {
        "agent_question": "Press 1 or say yes to take the call, 2 or no to decline.",
        "third_asks": "{agent} asks you into a call.",
        "third_question": "Press 1 or say yes to join the call, 2 or no to decline.",
        "bot_has_caller": "I have the caller now. You hear music until they are back. Star two takes them back sooner.",
        "caller_gone": "The caller has hung up. Goodbye.",
        "not_delivered": "The details could not be sent everywhere. They are on your desk.",
    }
)
#: Every text with the names it may use.
DEFAULTS: Mapping[str, str] = MappingProxyType({**TO_CALLERS, **_TO_AGENTS})


def names_in(text: str) -> set[str]:
    """Return the names in braces in a text."""
    return set(re.findall(r"\{([^{}]*)\}", text))


@dataclass(frozen=True, slots=True)
class Wording:
    """`written` are the texts of queues.yaml."""

    written: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str, **values: object) -> str:
        """Return a text with its names filled in; KeyError when there is no such text or name."""
        return self.written.get(name, DEFAULTS[name]).format(**values)

    def fixed(self) -> tuple[str, ...]:
        """Return the texts that name nothing, which can be rendered before any call."""
        texts = {**DEFAULTS, **self.written}
        return tuple(text for text in texts.values() if "{" not in text)
