"""Where requests end: learned from the examples of what callers may say, so that half a request is known as such."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from voicebot.language.words import normalise

#: The longest run of last words that is looked up; longer ones are seen too seldom to tell.
_LONGEST = 4
#: How often a run of several words, and a single word, must have been seen to tell something.
_LEAST_RUN = 2
_LEAST_WORD = 3
#: How often a run that ended some and not others must have been seen. Once of twice says nothing, nor does one word.
_LEAST_MIXED = 4

#: What people put behind a sentence that is whole.
_COURTESIES = frozenset("please thank thanks you today now then".split())


class Endings:
    """How often words that stood at the end of what was heard were the end, among `sentences`."""

    def __init__(self, sentences: Iterable[str]) -> None:
        self._whole: set[tuple[str, ...]] = set()
        self._seen: Counter[tuple[str, ...]] = Counter()
        self._ended: Counter[tuple[str, ...]] = Counter()
        for sentence in sentences:
            words = tuple(normalise(sentence).split())
            for end in range(1, len(words) + 1):
                is_whole = _COURTESIES.issuperset(words[end:])
                if is_whole:
                    self._whole.add(words[:end])
                for length in range(1, min(_LONGEST, end) + 1):
                    self._seen[words[end - length : end]] += 1
                    self._ended[words[end - length : end]] += is_whole

    def chance(self, words: Sequence[str]) -> float | None:
        """Return the share, 0 to 1, of what ended with the last of `words` where it was seen; None where it was not.

        The longest run of last words that was seen often enough tells, or that nothing can be told. A sentence that is
        an example is whole.
        """
        said = tuple(words)
        if said in self._whole:
            return 1.0
        for length in range(min(_LONGEST, len(said)), 0, -1):
            run = said[-length:]
            seen, ended = self._seen[run], self._ended[run]
            if seen >= (_LEAST_RUN if length > 1 else _LEAST_WORD):
                tells = ended in {0, seen} or (length > 1 and seen >= _LEAST_MIXED)
                return ended / seen if tells else None
        return None
