"""Letter-to-sound rules of English, for words that no dictionary has: names of people, products and places.

A small, plain rule set: the longest spelling that matches at each place, with the handful of contexts that matter
(soft c and g, final silent e, vowels before two consonants). It will be wrong for many names; a bot's own lexicon
corrects those that matter.
"""

from __future__ import annotations

import re

_NUMBER_NAMES = (
    "Z IH R OW", "W AH N", "T UW", "TH R IY", "F AO R", "F AY V", "S IH K S", "S EH V AH N", "EY T", "N AY N",
)  # fmt: skip

_LETTER_NAMES = {
    "a": "EY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY", "h": "EY CH", "i": "AY",
    "j": "JH EY", "k": "K EY", "l": "EH L", "m": "EH M", "n": "EH N", "o": "OW", "p": "P IY", "q": "K Y UW",
    "r": "AA R", "s": "EH S", "t": "T IY", "u": "Y UW", "v": "V IY", "w": "D AH B AH L Y UW", "x": "EH K S",
    "y": "W AY", "z": "Z IY",
}  # fmt: skip

_V = "[aeiouy]"
_C = "[bcdfghjklmnpqrstvwxz]"

# (what comes before, the letters, what comes after, their sounds); the first match wins.
_RULES: tuple[tuple[str, str, str, str], ...] = (
    # endings
    ("", "tion", "$", "SH AH N"), ("", "tions", "$", "SH AH N Z"), ("", "ssion", "", "SH AH N"),
    ("", "sion", "", "ZH AH N"), ("", "cian", "$", "SH AH N"), ("", "cious", "$", "SH AH S"),
    ("", "tious", "$", "SH AH S"), ("", "tial", "$", "SH AH L"), ("", "cial", "$", "SH AH L"),
    ("", "ture", "$", "CH ER"), ("", "sure", "$", "ZH ER"), (f"{_C}", "ous", "$", "AH S"), ("", "ious", "$", "IY AH S"),
    (f"{_C}", "le", "$", "AH L"), (f"{_C}", "les", "$", "AH L Z"), ("[td]", "ed", "$", "IH D"),
    ("[pkfsxc]|sh|ch", "ed", "$", "T"), (f"{_V}.*{_C}", "ed", "$", "D"), ("", "ing", "$", "IH NG"),
    ("", "ings", "$", "IH NG Z"), (f"{_V}.*", "ey", "$", "IY"), (f"{_V}.*", "ie", "$", "IY"), ("", "ies", "$", "IY Z"),
    (f"{_V}.*{_C}", "y", "$", "IY"), (f"{_C}", "y", "$", "AY"), (f"{_V}.*", "es", "$", "Z"),
    (f"{_V}.*{_C}", "a", "$", "AH"), (f"{_V}.*{_C}", "o", "$", "OW"), (f"{_V}.*", "er", "$", "ER"),
    (f"{_V}.*", "ers", "$", "ER Z"), (f"{_V}.*", "or", "$", "ER"), (f"{_V}.*", "ar", "$", "ER"),
    (f"{_V}.*", "man", "$", "M AH N"), (f"{_V}.*", "ton", "$", "T AH N"), (f"{_V}.*", "son", "$", "S AH N"),
    (f"{_V}.*", "ism", "$", "IH Z AH M"), (f"{_V}.*", "age", "$", "IH JH"), (f"{_V}.*", "e", "$", ""),
    # groups of vowels
    ("", "eau", "", "OW"), ("", "igh", "", "AY"), ("", "eigh", "", "EY"), ("", "augh", "", "AO"),
    ("", "ough", "", "AO"),
    ("", "air", "", "EH R"), ("", "are", "$", "EH R"), ("", "ear", "", "IH R"), ("", "eer", "", "IH R"),
    ("", "ere", "$", "IH R"), ("", "ire", "$", "AY ER"), ("", "ore", "$", "AO R"), ("", "oor", "", "AO R"),
    ("", "our", "", "AO R"), ("", "ure", "$", "Y UH R"), ("", "ai", "", "EY"), ("", "ay", "", "EY"),
    ("", "au", "", "AO"), ("", "aw", "", "AO"), ("", "ea", "", "IY"), ("", "ee", "", "IY"), ("", "ei", "", "AY"),
    ("", "ey", "", "EY"), ("", "eu", "", "Y UW"), ("", "ew", "", "UW"), ("", "ia", "", "IY AH"), ("", "ie", "", "IY"),
    ("", "io", "", "IY OW"), ("", "oa", "", "OW"), ("", "oe", "", "OW"), ("", "oi", "", "OY"), ("", "oy", "", "OY"),
    ("", "oo", "", "UW"), ("", "ou", "", "AW"), ("", "ow", "$", "OW"), ("", "ow", "", "AW"), ("q", "u", "", "W"),
    ("g", "u", "[ei]", ""), ("", "ue", "$", "UW"), ("", "ui", "", "UW"),
    ("", "ar", "", "AA R"), ("", "er", "", "ER"), ("", "ir", "", "ER"), ("", "or", "", "AO R"), ("", "ur", "", "ER"),
    ("", "yr", "", "ER"),
    # single vowels: long before one consonant and a final e
    ("", "a", f"{_C}e$", "EY"), ("", "i", f"{_C}e$", "AY"), ("", "o", f"{_C}e$", "OW"), ("", "u", f"{_C}e$", "UW"),
    ("", "e", f"{_C}e$", "IY"), ("", "y", f"{_C}e$", "AY"),
    ("", "a", f"{_C}e[sd]$", "EY"), ("", "i", f"{_C}e[sd]$", "AY"), ("", "o", f"{_C}e[sd]$", "OW"),
    ("w", "a", "", "AA"), ("", "al", "[kl]", "AO L"), ("", "a", "", "AE"),
    (f"^{_C}*", "e", "$", "IY"), ("", "e", "", "EH"), ("", "i", "nd$", "AY"),
    (f"{_C}", "i", "$", "IY"), ("", "i", "", "IH"),
    ("", "o", "l[dtl]", "OW"), ("", "o", "$", "OW"), ("", "o", "", "AA"),
    ("[bfmp]", "u", "(ll|sh)", "UH"), ("", "u", "$", "UW"), ("", "u", "", "AH"),
    ("^", "y", _V, "Y"), ("", "y", "", "IH"),
    # consonants
    ("^", "kn", "", "N"), ("^", "gn", "", "N"), ("^", "wr", "", "R"), ("^", "ps", "", "S"), ("^", "pn", "", "N"),
    ("^", "wh", "", "W"), ("^", "x", "", "Z"), ("^", "rh", "", "R"), ("^", "mc", "", "M AH K"),
    ("", "mb", "$", "M"), ("", "gh", "$", ""), ("", "gh", "", "G"), ("", "tch", "", "CH"), ("", "sch", "", "SH"),
    ("", "ch", "[rl]", "K"), ("", "ch", "", "CH"), ("", "ck", "", "K"), ("", "cc", "[eiy]", "K S"), ("", "cc", "", "K"),
    ("s", "c", "[eiy]", ""), ("", "c", "[eiy]", "S"), ("", "c", "", "K"), ("", "dge", "", "JH"), ("", "dg", "", "JH"),
    ("", "dd", "", "D"), ("", "d", "", "D"), ("", "ff", "", "F"), ("", "f", "", "F"), ("", "gg", "", "G"),
    ("", "ge", "$", "JH"), ("", "g", "[eiy]", "JH"), ("n", "g", "$", ""), ("", "g", "", "G"),
    (_V, "h", f"({_C}|$)", ""),
    ("", "h", "", "HH"), ("", "j", "", "JH"), ("", "k", "", "K"), ("", "ll", "", "L"), ("", "l", "", "L"),
    ("", "mm", "", "M"), ("", "m", "", "M"), ("", "nn", "", "N"), ("", "ng", "$", "NG"), ("", "n", "[kgqx]", "NG"),
    ("", "n", "", "N"), ("", "ph", "", "F"), ("", "pp", "", "P"), ("", "p", "", "P"), ("", "q", "", "K"),
    ("", "rr", "", "R"), ("", "r", "", "R"), ("", "ss", "", "S"), ("", "sh", "", "SH"), (_V, "s", _V, "Z"),
    ("[bdglmnrvwz]|[aeiouy]", "s", "$", "Z"), ("", "s", "", "S"), ("", "tt", "", "T"),
    ("", "th", "", "TH"), ("", "t", "", "T"),
    ("", "v", "", "V"), ("", "w", f"({_C}|$)", ""), ("", "w", "", "W"), ("", "x", "", "K S"), ("", "zz", "", "Z"),
    ("", "z", "", "Z"), ("", "bb", "", "B"), ("", "b", "", "B"),
)  # fmt: skip

_COMPILED = tuple(
    (re.compile(f"(?:{before})$") if before else None, letters, re.compile(after) if after else None, sounds)
    for before, letters, after, sounds in _RULES
)
_VOWEL_SOUND = re.compile(r"[AEIOU]")


def pronounce(word: str) -> str:
    """Return one pronunciation of `word` in ARPABET; letters by name where it has no vowel ("crm"), digits by name."""
    letters = "".join(character for character in word.lower() if character.isascii() and character.isalnum())
    sounds: list[str] = []
    for part in re.findall(r"[a-z]+|[0-9]", letters):
        if part.isdigit():
            sounds.append(_NUMBER_NAMES[int(part)])
        elif len(part) > 1 and re.search(_V, part):
            sounds.append(_by_rule(part))
        else:
            sounds.extend(_LETTER_NAMES[letter] for letter in part)
    return " ".join(" ".join(sounds).split()) or "AH"


def _by_rule(word: str) -> str:
    sounds: list[str] = []
    at = 0
    while at < len(word):
        for before, letters, after, said in _COMPILED:
            end = at + len(letters)
            if (
                word.startswith(letters, at)
                and (before is None or before.search(word[:at]))
                and (after is None or after.match(word[end:]))
            ):
                sounds.append(said)
                at = end
                break
        else:
            at += 1
    spoken = " ".join(sounds)
    return spoken if _VOWEL_SOUND.search(spoken) else f"{spoken} AH"
