"""Yes and no in their many forms, and when an answer is neither."""

from __future__ import annotations

import re

from voicebot.language.words import FILLERS


def _any_of(*phrases: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(phrases)})\b")


_UNSURE = _any_of(
    r"not (?:really |quite |entirely )?(?:sure|certain)",
    r"don't know|dunno|no idea|maybe|perhaps|depends",
    r"which one|what do you mean|pardon|repeat|say (?:that )?again|come again|what (?:was that|did you say)",
    r"(?:can't|cannot|don't|do not) (?:remember|recall)|i forget|didn't (?:catch|hear|get) (?:that|it|you)",
    r"yes and no|good question|could be|might be|couldn't (?:say|tell)|who knows|hard to (?:say|tell)|fifty fifty",
    r"let me (?:think|check|see|look)|beats me|either way|need to check|have to (?:check|look|think)",
)
# "No problem" is a yes and "yeah no" a no: fixed phrases are read before their words.
_YES_PHRASES = _any_of(
    r"no (?:problem|worries|objections?)(?: at all)?|not a problem|why not|no yeah",
    r"no (?:that's|that is|it's|it is|you're) (?:right|correct|fine|good|okay|ok|it|perfect|great)",
    r"yeah no (?:that's|it's) (?:right|correct|fine|good|okay|ok|perfect|great)",
    r"don't mind(?: if i do)?|i don't see why not|nothing wrong with that|can't complain|not wrong",
    r"(?:no|without(?: a)?|not a) doubt(?: about it)?|(?:wouldn't|won't) (?:mind|say no)|nothing against (?:it|that)",
    r"can't (?:argue with that|go wrong with that)|couldn't be better|no complaints|no objection",
)
_NO_PHRASES = _any_of(
    r"not (?:really|at all|right|correct|quite|now|today|yet|this time|exactly|that one|it|mine|me|yes|okay|ok|good)",
    r"not (?:interested|necessary|for me)|yeah no|yes no",
    r"(?:that's|that is|it's|it is|this is|you're|you are|that was) (?:wrong|incorrect|not|false|never)",
    r"(?:that|it|this|he|she) (?:isn't|ain't|is not|wasn't|doesn't|does not|didn't|won't)",
    r"i (?:don't|do not|didn't|did not|wouldn't|would not|won't|can't|cannot|haven't|am not|have not|never)|i'm not",
    r"i'd rather not|i would rather not|please don't|better not|by no means",
    r"(?:do not|don't) (?:do|bother|want|need|think|change|book|cancel|send|go)",
    r"no (?:way|chance|thanks|thank you)|that can't be|(?:absolutely|definitely|certainly|of course|hell) not?",
    r"cancel (?:that|it)|forget (?:it|about it)|never ?mind|leave it|let it be|drop it|scrap (?:that|it)",
    r"neither|nothing",
    r"got (?:it|that|this) wrong|far from it|(?:on the|quite the) (?:contrary|opposite)|the opposite",
    r"i doubt (?:it|that)",
    r"(?:skip|decline|reject) (?:it|that|this)|i(?:'ll| will| would|'d) (?:pass|skip|leave|decline)",
    r"i (?:decline|refuse|object)",
    r"i'm (?:good|fine|okay|ok|all right|alright)(?: thanks| thank you| for now| as it is)?$|i'm against",
    r"(?:a|the|some) (?:mistake|error)|something(?:'s| is) (?:wrong|off)|hold off|hardly|count me out|i disagree",
    r"(?:they|we|you|those|these) (?:aren't|are not|weren't|don't|didn't)",
    r"(?:it|that|he|she) (?:hasn't|has not|isn't)",
    r"none of (?:it|that|this|those|them)|changed my mind|(?:somebody|someone|something) else",
    r"i'd (?:sooner|prefer) not",
    r"out of the question|(?:some other|another) time|(?:maybe|perhaps) (?:later|another time|next time)",
    r"no (?:can do|dice)",
    r"(?:obviously|naturally|totally|surely|probably) not|thanks but|wrong (?:one|number|person)|no longer",
    r"not any ?more",
)
_YES_WORDS = _any_of(
    r"yes|yeah|yep|yup|yah|ya|yea|aye|yessir|sure|surely|uh huh|mm hmm|mhm|mm hm|uhuh|please do|do it|do so",
    r"correct|exactly|precisely|absolutely|definitely|certainly|indeed|all right|alright|spot on|bingo|affirmative",
    r"confirmed?|agreed?|perfect|fair enough|by all means|of course|go ahead|go for it|book it|let's do (?:it|that)",
    r"naturally|obviously|totally|(?:one |a )?hundred percent|roger(?: that)?|positive|gladly|with pleasure",
    r"certain of it",
    r"i (?:confirm|accept|approve|should (?:think|hope|say) so)|i'd (?:say|think) so|very much so",
    r"if you (?:would|could)",
    r"sounds like a plan|up for (?:that|it)|count me in|(?:it|that)(?:'s| is) a (?:yes|deal)|make it so|be my guest",
    r"let's (?:go (?:with|for)|have|take|try) (?:it|that|this)|i'll (?:take|have) (?:it|that|this)",
    r"go (?:on then|right ahead)",
    r"checks out|that (?:matches|suits)|(?:looks|seems) (?:good|great|right|fine|correct|okay|ok)|got it in one",
    r"bang on",
    r"you(?:'ve| have) got it|that's (?:what i (?:want|wanted|meant|need|said)|how i (?:want|like) it)",
    r"happy (?:to|with)",
    r"that(?:'d| would) be (?:helpful|nice|perfect|wonderful|lovely|brilliant|me)|(?:yes|yep) sir(?:ee)?",
    r"okey dokey|righto",
    r"(?:good|fine|okay) enough|good to go|fire away|proceed|carry on then|i'd (?:love|like) to$|i want (?:that|it)",
    r"you got it|you bet|you (?:could|can|might) say (?:that|so)",
    r"sounds (?:good|great|right|fine|perfect)|that works|works for me|that'll do|that will do",
    r"that(?:'s| is) (?:it|right|fine|good|okay|ok|me|great|the one|true|mine|perfect)",
    r"that (?:would|will) be (?:good|great|fine|lovely)|i'm (?:happy|fine|good|okay|ok) with (?:that|it)",
    r"i (?:think|believe) so|i (?:guess|suppose)(?: so)?|i(?:'d| would) (?:like|love) that",
)
#: Words that agree only when they are nearly all that was said.
_WEAK_YES_WORDS = _any_of(
    r"ok|okay|okey|right|true|fine|good|great|very well|go on|ya|i (?:do|did|would|will|am|have|can)",
    r"(?:it|that) (?:is|does|was|did|has|will)|(?:they|we) (?:are|do|did|have|will)",
    r"(?:sure|can|will) (?:is|do|does|did)",
    r"works|lovely|brilliant|cool|awesome|excellent|wonderful|fantastic|super|deal|done|continue|confirm|i have",
)
_SHORT_ANSWER_WORDS = 4
_PLEASE = _any_of("please")
#: "Please" agrees where nothing else is asked for: "oh please", "if you could please", but not "wednesday please".
_ONLY_POLITE = re.compile(
    r"(?:(?:please|oh|yes|well|so|and|then|now|just|if|could|would|can|will|you|i|it|that|this|one|too|do|ok|okey|okay|"
    r"right|true|fine|good|great|very|go|on|um|uh|er|erm|ah|hmm) ?)+"
)
#: Greetings hold a "good" that agrees to nothing.
_GREETING = _any_of(r"good (?:morning|afternoon|evening|night|day|bye)")
_NO_WORDS = _any_of(r"no|nope|nah|naw|nay|negative|wrong|incorrect|false|don't|never|not|neither|stop")
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
            return _NO_WORDS.fullmatch(plain.group(1)) is None
    if _UNSURE.search(text):
        return None
    if _YES_PHRASES.search(text):
        return True
    if _NO_PHRASES.search(text):
        return False
    yes, no = _YES_WORDS.search(text), _NO_WORDS.search(text)
    if yes is None and sum(word not in FILLERS for word in text.split()) <= _SHORT_ANSWER_WORDS:
        yes = _weak_yes(_GREETING.sub("", text))
    if yes and no:
        return yes.start() < no.start()
    if no:
        return False
    return True if yes else None


def _weak_yes(text: str) -> re.Match[str] | None:
    if (polite := _PLEASE.search(text)) and _ONLY_POLITE.fullmatch(text):
        return polite
    return _WEAK_YES_WORDS.search(text)
