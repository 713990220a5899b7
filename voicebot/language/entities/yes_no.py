"""Yes and no in their many forms, and when an answer is neither."""

from __future__ import annotations

import re

_UNSURE = re.compile(
    r"\b(not (really |quite |entirely )?sure|don't know|dunno|no idea|maybe|perhaps|depends|i guess not sure|"
    r"not certain|which one|what do you mean|pardon|repeat|say that again|come again)\b"
)
# "No problem" is a yes and "yeah no" a no: fixed phrases are read before their words.
_YES_PHRASES = re.compile(
    r"\b(no (problem|worries|objections?)( at all)?|why not|not a problem|no (that's|that is|it's|it is|you're) "
    r"(right|correct|fine|good|okay|ok|it|perfect|great)|no yeah|don't mind( if i do)?|i don't see why not|"
    r"nothing wrong with that|can't complain|not wrong)\b"
)
_NO_PHRASES = re.compile(
    r"\b(not (really|at all|right|correct|quite|now|today|yet|this time|exactly|that one|it|mine|me|yes|okay|ok|good|"
    r"interested|necessary|for me)|yeah no|yes no|(that's|that is|it's|it is|this is|you're|you are|that was) (wrong|"
    r"incorrect|not|false|never)|(that|it|this|he|she) (isn't|ain't|is not|wasn't|doesn't|does not|didn't|won't)|"
    r"i (don't|do not|didn't|did not|wouldn't|would not|won't|can't|cannot|haven't|am not|have not|never)|i'm not|"
    r"i'd rather not|i would rather not|don't (do|bother|want|need|think|change|book|cancel|send|go)|"
    r"(do not|don't) (do|book|cancel|send|want|need)|no (way|chance|thanks|thank you)|that can't be|absolutely not|"
    r"definitely not|certainly not|of course not|please don't|better not|hell no|cancel that|forget it|never mind|"
    r"nevermind|leave it|neither|nothing|got it wrong|by no means)\b"
)
_YES_WORDS = re.compile(
    r"\b(yes|yeah|yep|yup|yah|ya|yea|aye|yessir|ok|okay|okey|sure|surely|correct|right|exactly|absolutely|definitely|"
    r"certainly|precisely|indeed|affirmative|confirmed?|agreed?|perfect|please do|do it|do so|go ahead|go for it|"
    r"go on|of course|sounds (good|great|right|fine|perfect)|that works|works for me|uh huh|mm hmm|mhm|mm hm|uhuh|"
    r"that's (it|fine|good|okay|ok|me|great|the one|true|mine|perfect)|that is (it|fine|me|true|good|mine)|"
    r"i (do|did|would|will|am|have|can|think so|guess so|suppose so|believe so)|it (is|does|was)|they (are|do)|"
    r"that would be (good|great|fine|lovely)|fine|good|great|true|all right|alright|by all means|you got it|"
    r"you bet|please|bingo|spot on|book it|let's do (it|that)|i'd (like|love) (that|to)|very well|fair enough)\b"
)
_NO_WORDS = re.compile(r"\b(no|nope|nah|naw|nay|negative|wrong|incorrect|false|don't|never|not|neither|stop)\b")
_PLAIN = re.compile(
    r"^(?:(?:um|uh|er|erm|oh|well|so|and|but|hmm|ah) )*"
    r"(yes|yeah|yep|yup|yea|correct|exactly|absolutely|sure|okay|ok|no|nope|nah|definitely|that's right|"
    r"that's correct|uh huh|mm hmm|mhm|right)\b"
)


def affirmative(text: str, *, expected: bool) -> bool | None:
    """Say whether a normalised text answers yes (True), no (False) or neither (None).

    Where no such answer is `expected`, only one that begins with a plain yes or no counts: "I do not know my number"
    is no answer then.
    """
    if not expected:
        plain = _PLAIN.match(text)
        if plain is None:
            return None
        if len(text.split()) > 6:
            return not _NO_WORDS.fullmatch(plain.group(1)) and plain.group(1) not in {"nope", "nah"}
    if _UNSURE.search(text):
        return None
    if _YES_PHRASES.search(text):
        return True
    if _NO_PHRASES.search(text):
        return False
    yes, no = _YES_WORDS.search(text), _NO_WORDS.search(text)
    if yes and no:
        return yes.start() < no.start()
    if no:
        return False
    return True if yes else None
