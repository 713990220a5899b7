"""The caller's own ears: pocketsphinx with a grammar of what the bot may say, as a human knows the language.

The bot's recogniser, engine and worker are not used: what a caller understood is independent evidence that the bot
spoke intelligibly. A grammar hears whole sentences or nothing; only slots (numbers, dates, amounts) are open, and they
are as likely with one value as with another, so a heard balance is proof of a spoken one.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soxr
from pocketsphinx import Decoder
from pocketsphinx.lm import ArpaBoLM

from voicebot import g711
from voicebot.g711 import Pcm
from voicebot.simulation.phrasebook import Phrasebook, grammar_of, sentences_of

_MODEL_RATE_HZ = 16_000
_MARGIN_SAMPLES = 2_400  # silence around the utterance, at 8 kHz, which the decoder needs to begin and end in
_DITHER = 4.0  # in steps of 16 bits; digital silence has no logarithm


@dataclass(frozen=True, slots=True)
class Heard:
    """`text` in lower-case words; `sure` when it is whole sentences of the phrasebook, else a guess by its words."""

    text: str
    sure: bool


def hear(phrasebook: Phrasebook, mulaw: bytes) -> Heard:
    """Return what the bot said in `mulaw`. Takes about 0.1 s a second of speech: call it in a process of its own."""
    pcm = _at_model_rate(mulaw)
    text = _decode(_grammar_decoder(phrasebook), pcm)
    if text:
        return Heard(text, sure=True)
    return Heard(_decode(_guessing_decoder(phrasebook), pcm), sure=False)


def warm_up(phrasebook: Phrasebook) -> None:
    """Load both decoders."""
    _grammar_decoder(phrasebook)
    _guessing_decoder(phrasebook)


def _at_model_rate(mulaw: bytes) -> bytes:
    margin = np.zeros(_MARGIN_SAMPLES, np.float32)
    wide = soxr.resample(np.concatenate([margin, g711.decode(mulaw).astype(np.float32), margin]), 8000, _MODEL_RATE_HZ)
    dithered = wide + np.random.default_rng(0).normal(0, _DITHER, len(wide))
    samples: Pcm = np.clip(dithered, -32768, 32767).astype(np.int16)
    return samples.tobytes()


def _decode(decoder: Decoder, pcm: bytes) -> str:
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return "" if hypothesis is None else " ".join(hypothesis.hypstr.split())


@cache
def _vocabulary() -> frozenset[str]:
    """Return the words the decoder can pronounce."""
    path = Path(Decoder.default_config()["dict"] or "")
    lines = path.read_text(encoding="utf-8").splitlines()
    return frozenset(line.partition(" ")[0] for line in lines if line)


@cache
def _grammar_decoder(phrasebook: Phrasebook) -> Decoder:
    with tempfile.TemporaryDirectory(prefix="voicebot-ears-") as folder:
        path = Path(folder, "bot.jsgf")
        path.write_text(grammar_of(phrasebook, _vocabulary()), encoding="utf-8")
        return Decoder(jsgf=os.fspath(path), samprate=_MODEL_RATE_HZ, loglevel="FATAL")


@cache
def _guessing_decoder(phrasebook: Phrasebook) -> Decoder:
    """A trigram over the same sentences: hears the words of a sentence that was cut off or is not in the book."""
    model = ArpaBoLM(text="\n".join(sentences_of(phrasebook, _vocabulary())), add_start=True)
    model.compute()
    with tempfile.TemporaryDirectory(prefix="voicebot-ears-") as folder:
        path = Path(folder, "bot.arpa")
        model.write_file(os.fspath(path))
        return Decoder(lm=os.fspath(path), samprate=_MODEL_RATE_HZ, loglevel="FATAL")
