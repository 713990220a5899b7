"""The caller's own ears: pocketsphinx with a word model of what the bot may say, as a human knows the language.

The server's recognition workers, grammars and hints play no part: what a caller understood is independent evidence
that the bot spoke intelligibly. Values (amounts, dates, digits) are as likely with one value as with another, so a
balance that was heard is proof of one that was spoken. Telephone speech has nothing above 4 kHz where the model
listens for half of every "s", so each utterance is heard in up to four ways, and two of them must agree.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pocketsphinx import Decoder, set_loglevel

from voicebot import g711
from voicebot.g711 import Pcm
from voicebot.simulation.phrasebook import Phrasebook, examples_of, pattern_of
from voicebot.speech.recognition.sphinx.lexicon import cmu_dictionary, dictionary_text
from voicebot.speech.recognition.sphinx.ngram import Sentence, arpa
from voicebot.speech.recognition.upsample import Upsampler

set_loglevel("FATAL")

_MODEL_RATE_HZ = 16_000
_MARGIN_SAMPLES = 2_400  # silence around the utterance, at 8 kHz, which the decoder needs to begin and end in
_ALTERNATIVES = 100
_NO_WORD = re.compile(r"\(\d+\)|<\S+>|\[\w+\]|\+\+\w+\+\+")


@dataclass(frozen=True, slots=True)
class _View:
    """One way of filling the empty band above 4 kHz: the mirrored lower band, and white noise of that deviation."""

    mirror: float
    noise: float


#: In this order two agree soonest: the first hears flite and espeak-ng alike, the second flite, the third espeak-ng.
_VIEWS = (_View(0.0, 40.0), _View(0.3, 4.0), _View(0.0, 160.0), _View(0.1, 4.0))


@dataclass(frozen=True, slots=True)
class Heard:
    """`text` in lower-case words; `sure` when they are whole sentences of the phrasebook, and views agreed on them."""

    text: str
    sure: bool


def glance(phrasebook: Phrasebook, mulaw: bytes) -> Heard:
    """Return what the first view makes of `mulaw`, `sure` when it is whole sentences: enough to answer by.

    Takes about 0.05 s a second of speech: call it in a process of its own.
    """
    return Heard(*_decode(phrasebook, _seen(mulaw, _VIEWS[0])))


def hear(phrasebook: Phrasebook, mulaw: bytes, first: Heard | None = None) -> Heard:
    """Return what the bot said in `mulaw`; `first` is what a glance gave, if there was one.

    Takes about 0.1 s a second of speech: call it in a process of its own.
    """
    glanced = first or glance(phrasebook, mulaw)
    votes = Counter([glanced.text] if glanced.sure else [])
    texts = [glanced.text]
    for view in _VIEWS[1:]:
        text, whole = _decode(phrasebook, _seen(mulaw, view))
        texts.append(text)
        if whole:
            votes[text] += 1
            if votes[text] == 2:
                return Heard(text, sure=True)
    # Of views that disagree, the one with the most words in whole sentences made the most sense.
    return Heard(max(texts, key=lambda text: _sense(phrasebook, text)), sure=False)


def _sense(phrasebook: Phrasebook, text: str) -> float:
    """Return the share of words that stand in whole sentences."""
    inside = sum(len(found.group().split()) for found in _pattern(phrasebook).finditer(text))
    return inside / max(1, len(text.split()))


def warm_up(phrasebook: Phrasebook) -> None:
    """Load the decoder and the pattern of whole sentences."""
    _decoder(phrasebook)
    _pattern(phrasebook)


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


def _decode(phrasebook: Phrasebook, pcm: bytes) -> tuple[str, bool]:
    """Return the likeliest reading that is whole sentences, and True; else the likeliest words, and False."""
    decoder, pattern = _decoder(phrasebook), _pattern(phrasebook)
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()
    best = decoder.hyp()
    if best is None:
        return "", False
    first = _plain(best.hypstr)
    if pattern.fullmatch(first):
        return first, True
    for count, alternative in enumerate(decoder.nbest()):
        if alternative is None or count == _ALTERNATIVES:
            break
        text = _plain(alternative.hypstr)
        if pattern.fullmatch(text):
            return text, True
    return first, False


def _plain(text: str) -> str:
    return " ".join(_NO_WORD.sub("", text).split())


@cache
def _pattern(phrasebook: Phrasebook) -> re.Pattern[str]:
    return pattern_of(phrasebook)


@cache
def _decoder(phrasebook: Phrasebook) -> Decoder:
    examples = examples_of(phrasebook)
    words = {word for example in examples for word in example}
    with tempfile.TemporaryDirectory(prefix="voicebot-ears-") as folder:
        model, lexicon = Path(folder, "bot.arpa"), Path(folder, "bot.dict")
        model.write_text(arpa(Sentence(example) for example in examples), encoding="utf-8")
        lexicon.write_text(dictionary_text(words, cmu_dictionary()), encoding="utf-8")
        return Decoder(lm=os.fspath(model), dict=os.fspath(lexicon), samprate=_MODEL_RATE_HZ, lw=8.0, bestpathlw=12.0)
