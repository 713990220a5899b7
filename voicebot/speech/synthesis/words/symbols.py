"""Characters that are not words: cleaned up before anything else is read, and put into words or dropped at the end."""

from __future__ import annotations

import html
import re
import unicodedata

from voicebot.speech.synthesis.words.rule import Rule, rule

_REPLACED = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2026": "...",
        "\u2010": "-",
        "\u2011": "-",
        "\u2012": "-",
        "\u2122": " ",
        "\u00ae": " ",
        "\u00d7": " times ",
        "\u00ba": "°",
        "\u2116": "No. ",
        "\u00a7": " section ",
        "\u00b6": " paragraph ",
        "\u00a9": " copyright ",
        "\u00b1": " plus or minus ",
        "\u2260": " is not equal to ",
        "\u2264": " is at most ",
        "\u2265": " is at least ",
        "\u2192": " to ",
        "\u221e": " infinity ",
        "\u221a": " the square root of ",
        "\u03c0": "pi",
    }
)
#: "2½" is two and a half: the fraction keeps a stroke of its own, by which it is known from a date.
_FRACTIONS = re.compile("[\u00bc-\u00be\u2150-\u215e]")
_ENTITIES = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{1,6});")
_TAGS = re.compile(r"</?[A-Za-z][^<>]{0,60}>")
#: A thousand written with a space that does not break, and one written as on the European continent.
_THIN_THOUSANDS = re.compile("(?<=\\d)[\u00a0\u2009\u202f](?=\\d{3}(?!\\d))")
_CONTINENTAL = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+),(\d{2})(?![\d.,])")

EARLY_RULES: tuple[Rule, ...] = (
    rule(
        r"(?i)\b(?P<verb>press|hit|push|dial|then|or|and)(?P<the>\s(?:the\s)?)#(?!\d)",
        lambda m: f"{m['verb']}{m['the']}pound",
    ),
    rule(
        r"(?i)\b(?P<verb>press|hit|push|dial|then|or|and)(?P<the>\s(?:the\s)?)\*(?![*\w])",
        lambda m: f"{m['verb']}{m['the']}star",
    ),
    rule(r"~\s?(?=\$?\d)", lambda _: "about "),
    rule(r"(?<!\w)<\s?(?=\$?\d)", lambda _: "less than "),
    rule(r"(?<!\w)>\s?(?=\$?\d)", lambda _: "more than "),
)
LATE_RULES: tuple[Rule, ...] = (
    rule(r"\s?&\s?", lambda _: " and "),
    rule(r"(?<=\w)\s?\+\s?(?=\w)", lambda _: " plus "),
    rule(r"\s=\s", lambda _: " equals "),
    rule(r"(?<=\w)@(?=\w)|\s@\s", lambda _: " at "),
    rule(r"(?<=[a-z])/(?=[a-z])", lambda _: " or "),
    rule(r"(?<=\w)\s?/\s?(?=\w)", lambda _: " slash "),
    rule(r"(?<=\w)\s?:\s?(?=\w)(?<!\s:)", lambda _: ": "),
    # A dash or a parenthesis is heard as a short pause.
    rule(r"\s*[\u2013\u2014]\s*|\s+-{1,2}\s+", lambda _: ", "),
    rule(r"\s*\(\s*([^()]*?)\s*\)(?=\s*([.,;:?!]|$)|)", lambda m: f", {m[1]}" + ("" if m[2] is not None else ",")),
    rule(r"[^\w\s.,;:?!'-]|_", lambda _: " "),
    rule(r"(?<=\w\w)\.(?=[a-z]{2})", lambda _: " dot "),
    rule(r",(?=[^\W\d_])", lambda _: ", "),
    # A hyphen joins words, or it is nothing.
    rule(r"(?<!\w)-+|-+(?!\w)", lambda _: " "),
)
_TIDY: tuple[Rule, ...] = (
    rule(r"\.{2,}", lambda _: "."),
    rule(r"([?!])[?!.]+", lambda m: str(m[1])),
    rule(r"\s+([.,;:?!])", lambda m: str(m[1])),
    rule(r",(?:\s*,)+", lambda _: ","),
    rule(r",\s*([.;:?!])", lambda m: str(m[1])),
    rule(r"([.;:?!])\s*,", lambda m: str(m[1])),
    rule(r"^[\s,.;:]+", lambda _: ""),
    rule(r"\s+", lambda _: " "),
    # A lone capital A is the article where it opens a sentence, and else the letter.
    rule(r"(?:(?<=^)|(?<=[.?!]\s))A(?=\s(?!or\b|and\b)[a-z])", lambda _: "a"),
    rule(r"(?<![\w'-])A(?![\w'-])", lambda _: "eigh"),
)


def cleaned(text: str) -> str:
    """Return `text` with plain quotes, dashes, spaces and fractions, and without characters nobody can say."""
    text = _TAGS.sub(" ", _ENTITIES.sub(lambda match: html.unescape(match.group()), text))
    text = _FRACTIONS.sub(lambda match: f" {unicodedata.normalize('NFKC', match.group())} ", text)
    text = _THIN_THOUSANDS.sub("", text)
    text = unicodedata.normalize("NFKC", text.translate(_REPLACED))
    text = _CONTINENTAL.sub(lambda match: f"{match[1].replace('.', '')}.{match[2]}", text)
    kept = (_plain(character) for character in text)
    return re.sub(r"\s+", " ", "".join(kept)).strip()


def _plain(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category.startswith("Z") or category == "Cc":
        return " "
    # Surrogates, emoji and other pictures, and the invisible joiners between them.
    return "" if category in {"Cf", "Cs", "Co", "Cn", "So", "Sk", "Me"} and character not in "°^" else character


def tidied(text: str) -> str:
    """Return `text` with single spaces and one mark of punctuation at a time."""
    for each in _TIDY:
        text = each.apply(text)
    return text.strip()
