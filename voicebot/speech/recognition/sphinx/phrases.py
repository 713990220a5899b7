"""What callers say around an answer or a request: greetings, hesitations, politeness, and forms of yes and no."""

from __future__ import annotations

YES = (
    "yes", "yeah", "yep", "yup", "yes please", "yes it is", "yes that's right", "yes that's correct", "that's right",
    "that's correct", "correct", "right", "sure", "okay", "of course", "absolutely", "please do", "go ahead",
    "yes go ahead", "sounds good", "i do", "yes i do", "yes i am", "exactly", "definitely", "uh huh", "yes yes",
    "that's fine", "that works", "perfect", "yes thank you", "oh yes", "yeah sure", "yeah please",
)  # fmt: skip
NO = (
    "no", "nope", "nah", "no thanks", "no thank you", "no it isn't", "no it's not", "no that's wrong",
    "no that's not right", "that's wrong", "that's not right", "that's not correct", "incorrect", "wrong", "not really",
    "no i don't", "i don't", "no i'm not", "no no", "not now", "definitely not", "no that's all", "that's all",
    "no that's it", "not yet", "oh no",
)  # fmt: skip

BEFORE_ANSWER = (
    "it's", "it is", "that's", "that is", "uh", "um", "sure", "okay", "yes", "yeah", "the number is", "my number is",
    "the account number is", "my account number is", "account number", "the order number is", "my order number is",
    "order number", "sure it's", "yes it's", "okay it's", "yeah it's", "um it's", "uh it's", "so", "well", "let's say",
    "how about", "maybe", "my pin is", "the pin is", "for", "on", "i'd like", "can we do", "could we do",
)  # fmt: skip
AFTER_ANSWER = ("please", "thank you", "thanks", "if possible", "if that works", "would be good", "would be great")

GREETINGS = (
    "hi", "hello", "hey", "good morning", "good afternoon", "hi there", "hello there", "yes", "yeah", "yes hi", "okay",
)  # fmt: skip
HESITATIONS = ("uh", "um", "so", "well", "yeah so", "okay so", "actually")
BACKCHANNELS = (
    "uh huh", "mm hmm", "hmm", "okay", "yeah", "right", "i see", "oh okay", "okay yeah", "got it", "all right", "oh",
    "great", "please", "thank you", "thanks",
)  # fmt: skip
"""What listeners say over a prompt. A recogniser that does not know them hears requests in them."""
WHO = ("my name is", "this is", "i'm", "it's")
COURTESIES = ("please", "thank you", "thanks")
CORRECTIONS = ("no", "no sorry", "sorry", "wait", "actually", "i mean", "no i said", "no i meant", "not that")
"""What comes before an answer given anew: "no, the fifteenth"."""
