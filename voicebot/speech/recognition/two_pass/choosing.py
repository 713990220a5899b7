"""Which of two recognisers' alternatives was said: one knows the domain's words alone, the other English.

Whisper hears better, but writes "light rose" for the light roast that it has no reason to expect. Pocketsphinx finds
words of the domain in whatever is said. So what pocketsphinx heard counts where Whisper's decoder, asked for it, finds
it nearly as likely as its own text or likelier; else Whisper's first alternative without a stranger's word; else
pocketsphinx's, where that sounds the same; else callers talk of something else, and Whisper's words stand.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from voicebot.numerals import TEENS, TENS, UNITS, ZERO
from voicebot.speech.asr import Hypothesis
from voicebot.speech.recognition.known import all_known, words_of
from voicebot.speech.recognition.whisper.figures import only_digits

#: In natural logarithms: an alternative of known words may be a twentieth as likely as the first.
_NEAR = 3.0
#: How much less likely pocketsphinx's text may be than Whisper's own, to Whisper, and yet be what was said: those words
#: are expected, and others are not. Of what pocketsphinx made of other talk hardly any is over -10.
_EXPECTED = -6.0
#: The share of letters that a known word and the one heard in its place have in common. At 0.5 "sell concert tickets"
#: became "so come service it's it's", at 0.7 the "home milk" stays that was whole milk.
_SOUNDS_ALIKE = 0.6
#: The share of words in common below which the caller may talk of something that no flow expects.
_SAME_WORDS = 0.6
#: So long may a word be that one of the two heard and the other did not ("a", "of").
_SLIGHT = 3
_MOST = 5
_NUMBER_WORDS = frozenset((*ZERO, *UNITS, *TEENS, *TENS))


def choose(
    dictated: Sequence[Hypothesis],
    expected: Sequence[Hypothesis],
    known: Collection[str],
    *,
    closed: bool = True,
    preferred: bool = False,
) -> tuple[Hypothesis, ...]:
    """Return all alternatives, what was most likely said first.

    `dictated` are Whisper's and `expected` pocketsphinx's, each likeliest first; `known` are the words that the
    question expects. The first of `expected` comes first where it is `preferred`. The first one's confidence is halved
    where nobody else heard anything like it. Then, where the question is not `closed`, pocketsphinx's words do not
    count at all: it makes requests of whatever is said, and the dialog would take one from far down the list if nothing
    before it is a request.
    """
    if not dictated:
        return tuple(expected)
    first = expected[0] if preferred and expected else _first(dictated, expected, known)
    agreed = _agreement(first, expected[0]) if expected else 0.0
    first = replace(first, confidence=min(1.0, dictated[0].confidence) * (1 + agreed) / 2)
    ranked: dict[str, Hypothesis] = {}
    believed = expected if closed or agreed >= _SAME_WORDS else ()
    for each in (first, *dictated, *believed):
        ceiling = min((kept.confidence for kept in ranked.values()), default=1.0)
        if len(ranked) < _MOST:
            ranked.setdefault(" ".join(words_of(each.text)), replace(each, confidence=min(ceiling, each.confidence)))
    return tuple(ranked.values())


def choose_number(
    dictated: Sequence[Hypothesis],
    expected: Sequence[Hypothesis],
    known: Collection[str],
    *,
    none_said: bool = False,
    preferred: bool = False,
) -> tuple[Hypothesis, ...]:
    """Return all alternatives for a number: Whisper's, then what only pocketsphinx heard, none surer than those.

    Where Whisper is sure that no number was said ("No, that's all."), or `none_said` tells so, those of pocketsphinx do
    not count, whose grammar makes a number of everything, and the rest is weighed like any other words.
    """
    if none_said or (dictated and not any(only_digits(each.text) for each in dictated)):
        others = [each for each in expected if not holds_number(each.text)]
        return choose(dictated, others, known, preferred=preferred and others[:1] == list(expected[:1]))
    ranked = {" ".join(words_of(each.text)): each for each in reversed(dictated)}
    ranked = dict(reversed(ranked.items()))
    ceiling = min((each.confidence for each in ranked.values()), default=1.0)
    for each in expected:
        ranked.setdefault(" ".join(words_of(each.text)), replace(each, confidence=min(ceiling, each.confidence)))
    return tuple(ranked.values())


def holds_number(text: str) -> bool:
    """Say whether any word of `text` is a number's."""
    return not _NUMBER_WORDS.isdisjoint(words_of(text))


def worth_weighing(text: str, expected: str) -> bool:
    """Say whether `expected`, pocketsphinx's, may be what was said where Whisper writes `text`.

    Where it leaves words out that Whisper heard, it is not: a text that stops early is likely as far as it goes.
    """
    ours, theirs = words_of(expected), words_of(text)
    operations = _differences(ours, theirs)
    left_out = ("".join(theirs[first:last]) for operation, _, _, first, last in operations if operation == "insert")
    return bool(ours) and ours != theirs and all(len(words) <= _SLIGHT for words in left_out)


def likely_enough(likelier: float) -> bool:
    """Say whether pocketsphinx's text counts that is so much `likelier` to Whisper than its own."""
    return likelier > _EXPECTED


def settled(text: str, expected: Sequence[Hypothesis], known: Collection[str]) -> bool:
    """Say whether Whisper's first `text` needs no alternatives: they are asked for the words that the question knows.

    Either all of its words are known, or it sounds like what pocketsphinx heard with known words alone.
    """
    return all_known(text, known) or bool(expected and _sounds_like(words_of(expected[0].text), words_of(text)))


def _first(dictated: Sequence[Hypothesis], expected: Sequence[Hypothesis], known: Collection[str]) -> Hypothesis:
    best = dictated[0]
    for each in dictated:
        if _behind(each, best) <= _NEAR and all_known(each.text, known):
            return each
    if expected and _sounds_like(words_of(expected[0].text), words_of(best.text)):
        return expected[0]
    return best


def _behind(one: Hypothesis, best: Hypothesis) -> float:
    """Return how much less likely `one` is as a whole, when confidence is the probability of a token on average."""
    tokens = len(words_of(best.text)) + 1
    return tokens * (math.log(max(best.confidence, 1e-9)) - math.log(max(one.confidence, 1e-9)))


def _sounds_like(expected: Sequence[str], dictated: Sequence[str]) -> bool:
    for operation, start, end, first, last in _differences(expected, dictated):
        ours, theirs = "".join(expected[start:end]), "".join(dictated[first:last])
        match operation:
            case "equal":
                continue
            case "replace":
                if SequenceMatcher(None, ours, theirs, autojunk=False).ratio() < _SOUNDS_ALIKE:
                    return False
            case _:
                if len(ours + theirs) > _SLIGHT:
                    return False
    return True


def _differences(one: Sequence[str], other: Sequence[str]) -> Sequence[tuple[str, int, int, int, int]]:
    return SequenceMatcher(None, one, other, autojunk=False).get_opcodes()


def _agreement(one: Hypothesis, other: Hypothesis) -> float:
    return SequenceMatcher(None, words_of(one.text), words_of(other.text), autojunk=False).ratio()
