"""The caller's own ears: pocketsphinx with what the bot may say, as a human knows the language.

The server's recognition workers, grammars and hints play no part: what a caller understood is independent evidence
that the bot spoke intelligibly. Values (amounts, dates, digits) are as likely with one value as with another, so a
balance that was heard is proof of one that was spoken.

A first pass with a word model tells roughly what was said. The sentences near it, whole but with open values, make
the grammar of a second pass, which telephone speech needs: it has nothing above 4 kHz, where the model listens for
half of every "s". The empty band is filled in up to four ways, and two of them must agree.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pocketsphinx import Decoder, set_loglevel

from voicebot import g711
from voicebot.g711 import Pcm
from voicebot.simulation.grammar import grammar_of
from voicebot.simulation.phrasebook import Phrasebook, Slot, Tokens, examples_of, pattern_of, sentences_of
from voicebot.speech.recognition.sphinx.lexicon import cmu_dictionary, dictionary_text
from voicebot.speech.recognition.sphinx.ngram import Sentence, arpa
from voicebot.speech.recognition.upsample import Upsampler

#: A sentence that no grammar fits is nothing to tell the terminal. Every decoder sets the level of the process anew.
_LOG_LEVEL = "FATAL"
set_loglevel(_LOG_LEVEL)

_MODEL_RATE_HZ = 16_000
_MARGIN_SAMPLES = 2_400  # silence around the utterance, at 8 kHz, which the decoder needs to begin and end in
_ALTERNATIVES = 100
_EXPECTED = "expected"
#: Sentences of so few fixed words are always expected: one misheard word leaves nothing to know them by.
_SHORT = 2
#: Words that the two passes must share, as difflib counts them.
_ALIKE = 0.5
_NO_WORD = re.compile(r"\(\d+\)|<\S+>|\[\w+\]|\+\+\w+\+\+")


@dataclass(frozen=True, slots=True)
class _View:
    """One way of filling the empty band above 4 kHz: the mirrored lower band, and white noise of that deviation."""

    mirror: float
    noise: float


#: For the first pass: it hears flite and espeak-ng alike.
_FIRST_VIEW = _View(0.0, 40.0)
#: For the second. Of 60 sentences with new values, two that agree were right 58 times, by flite and by espeak-ng alike.
_VIEWS = (_View(0.3, 4.0), _View(0.0, 160.0), _View(0.15, 20.0), _FIRST_VIEW)


@dataclass(frozen=True, slots=True)
class Heard:
    """`text` in lower-case words; `sure` when they are whole sentences of the phrasebook, and views agreed on them."""

    text: str
    sure: bool


def glance(phrasebook: Phrasebook, mulaw: bytes) -> Heard:
    """Return what the first pass makes of `mulaw`, `sure` when it is whole sentences: enough to answer by.

    Takes about 0.1 s a second of speech: call it in a process of its own.
    """
    return Heard(*_ear(phrasebook).listen(_seen(mulaw, _FIRST_VIEW)))


def hear(phrasebook: Phrasebook, mulaw: bytes, first: Heard | None = None) -> Heard:
    """Return what the bot said in `mulaw`; `first` is what a glance gave, if there was one.

    Takes about 0.2 s a second of speech: call it in a process of its own.
    """
    rough = (first or glance(phrasebook, mulaw)).text
    ear = _ear(phrasebook)
    if not rough or not ear.expect(rough):
        return Heard(rough, sure=False)
    votes: Counter[str] = Counter()
    for view in _VIEWS:
        text, whole = ear.fit(_seen(mulaw, view))
        # A grammar makes its own sentences of anything: the word model, which need not, must have heard most of them.
        if _likeness(text, rough) < _ALIKE:
            continue
        votes[text] += 1
        if whole and votes[text] == 2:
            return Heard(text, sure=True)
    return Heard(votes.most_common(1)[0][0] if votes else rough, sure=False)


def _likeness(text: str, other: str) -> float:
    return SequenceMatcher(None, text.split(), other.split(), autojunk=False).ratio()


def warm_up(phrasebook: Phrasebook) -> None:
    """Load the decoder and the pattern of whole sentences."""
    _ear(phrasebook)


def _seen(mulaw: bytes, view: _View) -> bytes:
    """Return the utterance at 16 kHz with margins, little-endian 16-bit."""
    margin: Pcm = np.zeros(_MARGIN_SAMPLES, np.int16)
    narrow: Pcm = np.concatenate([margin, g711.decode(mulaw), margin])
    wide = Upsampler().double(narrow)
    # Samples with zeros between them carry the band twice: as it is, and mirrored at 4 kHz.
    stuffed: npt.NDArray[np.float32] = np.zeros_like(wide)
    delay = 22  # of the upsampler, so that the original band cancels
    stuffed[delay::2] = 2 * narrow[: len(stuffed[delay::2])]
    noise = np.random.default_rng(0).normal(0, view.noise, len(wide))
    samples: Pcm = np.clip(wide + view.mirror * (stuffed - wide) + noise, -32768, 32767).astype(np.int16)
    return samples.tobytes()


class _Ear:
    """A decoder with two searches: a word model of the whole book, and a grammar of what is expected just now."""

    def __init__(self, phrasebook: Phrasebook) -> None:
        self._phrasebook = phrasebook
        self._sentences = sentences_of(phrasebook)
        self._whole = pattern_of(phrasebook)
        examples = examples_of(phrasebook)
        words = {word for example in examples for word in example} | grammar_of(self._sentences, phrasebook).words()
        with tempfile.TemporaryDirectory(prefix="voicebot-ears-") as folder:
            model, lexicon = Path(folder, "bot.arpa"), Path(folder, "bot.dict")
            model.write_text(arpa(Sentence(example) for example in examples), encoding="utf-8")
            lexicon.write_text(dictionary_text(words, cmu_dictionary()), encoding="utf-8")
            self._free = Decoder(
                lm=os.fspath(model),
                dict=os.fspath(lexicon),
                samprate=_MODEL_RATE_HZ,
                lw=8.0,
                bestpathlw=12.0,
                loglevel=_LOG_LEVEL,
            )
            # With a grammar the lattice search picks worse paths than the first pass.
            self._fitting = Decoder(
                lm=None, dict=os.fspath(lexicon), samprate=_MODEL_RATE_HZ, bestpath=False, loglevel=_LOG_LEVEL
            )

    def listen(self, pcm: bytes) -> tuple[str, bool]:
        """Return the likeliest reading that is whole sentences, and True; else the likeliest words, and False."""
        first = _decoded(self._free, pcm)
        if not first or self._whole.fullmatch(first):
            return first, bool(first)
        for count, alternative in enumerate(self._free.nbest()):
            if alternative is None or count == _ALTERNATIVES:
                break
            text = _plain(alternative.hypstr)
            if self._whole.fullmatch(text):
                return text, True
        return first, False

    def expect(self, rough: str) -> bool:
        """Take the sentences that resemble part of `rough` for the grammar of `fit`; False when there are none."""
        words = rough.split()
        near = [tokens for tokens in self._sentences if _resembles(tokens, words)]
        if not near:
            return False
        with tempfile.TemporaryDirectory(prefix="voicebot-ears-") as folder:
            grammar = Path(folder, "expected.fsg")
            grammar.write_text(grammar_of(near, self._phrasebook).to_fsg(_EXPECTED), encoding="utf-8")
            self._fitting.add_fsg(_EXPECTED, self._fitting.read_fsg(os.fspath(grammar)))
        self._fitting.activate_search(_EXPECTED)
        return True

    def fit(self, pcm: bytes) -> tuple[str, bool]:
        """Return the likeliest of what is expected, and whether it is whole sentences, the last one to its end."""
        text = _decoded(self._fitting, pcm)
        return text, self._whole.fullmatch(text) is not None


def _resembles(tokens: Tokens, words: list[str]) -> bool:
    """Tell whether half of a sentence's own words occur in a row of words, in order; short ones may always have."""
    own = [token for token in tokens if not isinstance(token, Slot)]
    blocks = SequenceMatcher(None, own, words, autojunk=False).get_matching_blocks()
    return len(own) <= _SHORT or sum(block.size for block in blocks) >= len(own) / 2


def _decoded(decoder: Decoder, pcm: bytes) -> str:
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()
    best = decoder.hyp()
    return "" if best is None else _plain(best.hypstr)


def _plain(text: str) -> str:
    return " ".join(_NO_WORD.sub("", text).split())


@cache
def _ear(phrasebook: Phrasebook) -> _Ear:
    return _Ear(phrasebook)
