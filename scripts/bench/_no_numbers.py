"""What callers say in place of a number that they are asked for."""

from __future__ import annotations

#: Said where a PIN is asked for, by all the voices of this machine.
NO_NUMBERS = (
    "No, that's all.", "I don't know it.", "Can I talk to a person?", "Hold on a second.", "I forgot my PIN.",
    "What do you mean?", "Can you repeat that?", "I'd like to check on an order.", "I want to cancel.", "Never mind.",
    "Let me look for it.", "One moment please.", "I don't have one.", "Why do you need that?", "Thank you, goodbye.",
    "Yes.", "Sorry, what was that?", "My wife has it.", "Is there another way?", "To whom am I speaking?",
)  # fmt: skip
ALSO_NO_NUMBERS = (
    "I think I lost it.", "Who is this?", "It's in my other bag.", "Could we do that later?", "I'm not sure anymore.",
    "Just tell me your opening hours.", "Please connect me with somebody.", "That is not what I asked.", "Excuse me?",
    "Is it on the letter?",
)  # fmt: skip


SHORT_WORDS = (
    "Hello?", "What?", "Yes.", "No.", "Okay.", "Sorry?", "Thanks.", "Help.", "Please wait.", "Operator.", "Agent.",
    "Why?", "Stop.", "Cancel.", "Go back.", "Hmm.",
)  # fmt: skip
