"""What tells a transcript from an invention. Whisper writes fluent text for noise; none of it may reach the dialog."""

from __future__ import annotations

import re
import zlib

_LEAST_SPEECH_PROBABILITY = 0.4
_LEAST_LOG_PROBABILITY = -1.0
_MOST_COMPRESSION = 2.4
_MOST_CHARACTERS_PER_S = 30.0
_MOST_REPEATS = 4
_LONGEST_REPEATED = 6
_SHORTEST_LOOP = 3
_LEAST_WORDS_PER_S = 1.2
_LAST_SENTENCE = re.compile(r".*[.?!,](?=\s)", re.DOTALL)
_SENTENCE_END = re.compile(r"[.?!](?=\s)")
_DIGIT = re.compile(r"[\d ,.-]+|zero|one|two|three|four|five|six|seven|eight|nine|oh", re.IGNORECASE)


def invented(text: str, *, no_speech: float, log_probability: float, speech_s: float) -> bool:
    """Say whether `text` was made up rather than heard.

    `no_speech` is the model's probability that nothing was said, `log_probability` the mean of its tokens' (thresholds
    of Radford et al. 2022, section 4.5), `speech_s` how long voice activity lasted.
    """
    if no_speech > 1.0 - _LEAST_SPEECH_PROBABILITY and log_probability < _LEAST_LOG_PROBABILITY:
        return True
    if len(text) > 20 + _MOST_CHARACTERS_PER_S * speech_s:
        return True
    return compression(text) > _MOST_COMPRESSION or repeats(text)


def compression(text: str) -> float:
    """Return how much shorter deflate makes `text`; loops compress far better than speech does."""
    encoded = text.encode()
    return len(encoded) / len(zlib.compress(encoded)) if encoded else 0.0


def repeats(text: str) -> bool:
    """Say whether the same few words come more than four times in a row, digits apart: callers do say "five five"."""
    words = re.findall(r"[\w']+", text.lower())
    for length in range(1, _LONGEST_REPEATED + 1):
        for start in range(len(words) - length * (_MOST_REPEATS + 1) + 1):
            piece = words[start : start + length]
            if all(map(_is_digit, piece)):
                continue
            if words[start : start + length * (_MOST_REPEATS + 1)] == piece * (_MOST_REPEATS + 1):
                return True
    return False


def before_loop(text: str, speech_s: float) -> str:
    """Return `text` without what repeats itself at its end; the last word may be half a one.

    In a short context the model often misses the end of the speech and says all of it again, until it is stopped.
    A word or two again and again in a longer utterance are no such loop, but made up.
    """
    found = list(re.finditer(r"[\w']+", text.lower()))[:-1]
    words = [each.group() for each in found]
    for period in range(1, len(words) - _SHORTEST_LOOP + 1):
        start = len(words)
        while start > period and words[start - 1] == words[start - 1 - period]:
            start -= 1
        if len(words) - start >= _SHORTEST_LOOP:
            if period < _SHORTEST_LOOP and start < _LEAST_WORDS_PER_S * speech_s:
                break
            said = text[: found[start].start()]
            # The repeat may hold words that were missed at first ("have a coffee. May I have a coffee. May I").
            return (said[: end.end()] if (end := _LAST_SENTENCE.match(said)) else said).strip()
    return text


def before_restart(text: str, *, in_full: bool = False) -> str:
    """Return `text` before it begins again as all of it does, behind the end of a sentence; the last word may be half.

    Where it has to be there again `in_full`, all of its words must be.
    A word is enough, which tells little: "I want tea. I want milk" begins again, too. So the sound has to be asked
    whether more was said. People say the digits of a number again, and a loop of a word or two was most likely made up:
    both are left as they are.
    """
    found = list(re.finditer(r"[\w']+", text.lower()))
    words = [each.group() for each in found]
    if any(words[period:-1] == words[: -period - 1] for period in range(1, _SHORTEST_LOOP)):
        return text
    for start in range(_SHORTEST_LOOP, len(words)):
        *again, last = words[start:]
        if again != words[: len(again)] or not words[len(again)].startswith(last) or any(map(_is_digit, words[start:])):
            continue
        if in_full and words[start:] != words[:start]:
            continue
        # Half a word alone may be any ("Please call Dr. P").
        begins = bool(again) or last == words[0]
        if begins and _SENTENCE_END.search(text, found[start - 1].end(), found[start].start()):
            return text[: found[start].start()].strip()
    return text


def said_once(text: str) -> str:
    """Return `text` without its second half where that is the first again, word for word, and no number.

    That is how a loop looks that ended by itself. Who really says a request twice means the same by it.
    """
    found = list(re.finditer(r"[\w']+", text.lower()))
    words = [each.group() for each in found]
    half = len(words) // 2
    if half < _SHORTEST_LOOP or words[:half] != words[half:] or any(map(_is_digit, words)):
        return text
    return text[: found[half].start()].strip()


def agreed(earlier: str, later: str) -> str:
    """Return the words at the beginning of `later` that two passes have in common, whatever their punctuation."""
    kept: list[str] = []
    for before, now in zip(earlier.split(), later.split(), strict=False):
        if bare(before) != bare(now):
            break
        kept.append(now)
    return " ".join(kept)


def bare(text: str) -> str:
    """Return the words of `text` as they would be said: without capitals and marks."""
    return " ".join(re.findall(r"[\w']+", text.lower()))


def _is_digit(word: str) -> bool:
    return bool(_DIGIT.fullmatch(word))
