"""Pronunciations: from the CMU dictionary of the pocketsphinx wheel, from related words, and by rule for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from voicebot.errors import EngineUnavailable
from voicebot.speech.recognition.sphinx.letters import pronounce

_EXTRA: Mapping[str, tuple[str, ...]] = {
    # The dictionary has the verb only, or the careful form only; callers say these.
    "am": ("AE M", "EY EH M"),
    "pm": ("P IY EH M",),
    "oh": ("OW",),
    # Hummed and breathed by listeners, not read.
    "hmm": ("HH M", "HH AH M", "HH UW M", "M UW M"),
    "huh": ("HH AH", "AH", "HH AH N"),
    "mm": ("M", "AH M", "M UW M"),
    "xray": ("EH K S R EY",),
    "zero": ("Z IH R OW", "Z IY R OW"),
    "wanna": ("W AA N AH",),
}
#: What a telephone leaves of the digits, as a model of wideband speech hears it: above 4 kHz, where /s/, /z/ and the
#: burst of /t/ have most of their energy, there is nothing. Right single digits rose from 78 to 87 of 100 with these;
#: more ways of losing them (F IH K F) hear a "six" in the noise behind a number.
_NARROWBAND: Mapping[str, tuple[str, ...]] = {
    "zero": ("IH R OW", "V IH R OW", "DH IH R OW"),
    "two": ("K UW", "CH UW"),
    "three": ("F R IY",),
    "six": ("IH K S", "S IH K", "HH IH K S", "TH IH K TH"),
    "eight": ("EY D",),
}
_VOICELESS = frozenset({"P", "T", "K", "F", "TH"})
_SIBILANT = frozenset({"S", "Z", "SH", "ZH", "CH", "JH"})

Pronunciations = tuple[str, ...]


def model_directory() -> Path:
    """Return the English model's directory in the pocketsphinx wheel; `EngineUnavailable` without it.

    Found without importing the package, so that compiling a domain loads no engine.
    """
    spec = find_spec("pocketsphinx")
    if spec is None or spec.origin is None:
        raise EngineUnavailable("pocketsphinx is not installed. Run scripts/setup again.")
    return Path(spec.origin).parent / "model" / "en-us"


@cache
def cmu_dictionary() -> Mapping[str, Pronunciations]:
    """Return the wheel's dictionary: 134,000 words, each with its pronunciations in ARPABET."""
    entries: dict[str, list[str]] = {}
    with (model_directory() / "cmudict-en-us.dict").open(encoding="utf-8") as lines:
        for line in lines:
            word, _, phones = line.rstrip("\n").partition(" ")
            entries.setdefault(word.partition("(")[0], []).append(phones.strip())
    return {word: tuple(phones) for word, phones in entries.items()}


def pronunciations(word: str, dictionary: Mapping[str, Pronunciations]) -> Pronunciations:
    """Return the ways of saying `word` in ARPABET, the usual one first."""
    if word in _EXTRA:
        return _EXTRA[word] + _NARROWBAND.get(word, ())
    if word in dictionary:
        return dictionary[word] + _NARROWBAND.get(word, ())
    return _inflected(word, dictionary) or _compound(word, dictionary) or (pronounce(word),)


def dictionary_text(words: Iterable[str], dictionary: Mapping[str, Pronunciations]) -> str:
    """Return a Sphinx dictionary of `words`, alternatives numbered as it wants them."""
    lines: list[str] = []
    for word in sorted(set(words)):
        for number, phones in enumerate(pronunciations(word, dictionary), start=1):
            lines.append(f"{word} {phones}" if number == 1 else f"{word}({number}) {phones}")
    return "\n".join([*lines, ""])


def _inflected(word: str, dictionary: Mapping[str, Pronunciations]) -> Pronunciations:
    """Pronounce a plural or possessive from its base."""
    for ending in ("'s", "s'", "s"):
        base = word.removesuffix(ending)
        if base != word and base in dictionary:
            return tuple(f"{phones} {_plural_sound(phones)}" for phones in dictionary[base])
    return ()


def _plural_sound(phones: str) -> str:
    last = phones.rsplit(maxsplit=1)[-1]
    if last in _SIBILANT:
        return "IH Z"
    return "S" if last in _VOICELESS else "Z"


def _compound(word: str, dictionary: Mapping[str, Pronunciations]) -> Pronunciations:
    """Pronounce two known words run together ("callerline"); short ones are rarely words inside another."""
    for split in range(len(word) - 3, 2, -1):
        head, tail = word[:split], word[split:]
        if head in dictionary and tail in dictionary:
            return (f"{dictionary[head][0]} {dictionary[tail][0]}",)
    return ()
