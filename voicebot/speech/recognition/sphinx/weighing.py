"""What the two searches of an utterance heard, weighed against each other. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from voicebot.speech.asr import Hypothesis, Word
from voicebot.speech.recognition.sphinx.decoder import FRAMES_PER_S, Result

#: What an alternative's confidence is of that of the one before it, at most.
_NEXT = 0.97
#: The share of words that two searches have in common (0 to 1) from which on they heard the same thing.
_ALIKE = 0.5
#: So many words of a phrase, one after the other, are not heard where none was said.
_NO_ACCIDENT_WORDS = 3


def ranked(hypotheses: Sequence[Hypothesis], most: int) -> tuple[Hypothesis, ...]:
    """Return each text once, in the given order, every one a little less sure than the one before it."""
    ranked: dict[str, Hypothesis] = {}
    ceiling = 1.0
    for hypothesis in hypotheses:
        if hypothesis.text and hypothesis.text not in ranked and len(ranked) < most:
            ceiling = min(hypothesis.confidence, ceiling)
            ranked[hypothesis.text] = replace(hypothesis, confidence=ceiling)
            ceiling *= _NEXT
    return tuple(ranked.values())


def alike(closed: str, free: str) -> bool:
    """Say whether both searches heard much the same.

    A grammar finds something that fits in whatever was said, and its scores cannot be compared with those of a language
    model. But where it was an answer, the language model, which knows answers too, hears most of the same words; then
    the grammar, which knows more, is right about the rest.
    """
    return SequenceMatcher(None, closed.split(), free.split(), autojunk=False).ratio() >= _ALIKE


def holds_a_phrase(free: str, phrases: Sequence[str]) -> bool:
    """Say whether a language model heard one of the question's phrases word for word, and one that is no accident.

    A grammar of digits or dates makes digits or dates of "I want a person", as it must make something of it.
    """
    said = f" {free} "
    return any(len(phrase.split()) >= _NO_ACCIDENT_WORDS and f" {phrase} " in said for phrase in phrases)


def confidence_of(result: Result) -> float:
    """Return how sure a search is of a frame of what it heard, on average, 0 to 1."""
    return math.exp(min(0.0, result.posterior) / max(1, result.frames))


def hypothesis_of(result: Result, confidence: float, *, posteriors: bool = False) -> Hypothesis:
    """Return what was heard; with `posteriors` each word has its own confidence, else that of the whole.

    Only a language model's lattice gives words a posterior; a grammar's figures are no probabilities.
    """
    words = tuple(
        Word(
            word.text,
            word.start_frame / FRAMES_PER_S,
            (word.end_frame + 1) / FRAMES_PER_S,
            min(1.0, word.probability) if posteriors else confidence,
        )
        for word in result.words
    )
    return Hypothesis(result.text, confidence, words)
