"""Abbreviations and initialisms: "Dr. Smith", "5 Main St.", "e.g.", "ATM", "ASAP"."""

from __future__ import annotations

import re

from voicebot.speech.synthesis.words.numbers import cardinal, digits, letters
from voicebot.speech.synthesis.words.rule import Rule, rule, sentence_end

_TITLES = {
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Miz",
    "Dr": "Doctor",
    "Prof": "Professor",
    "Rev": "Reverend",
    "Sgt": "Sergeant",
    "Capt": "Captain",
    "Lt": "Lieutenant",
    "St": "Saint",
    "Mt": "Mount",
    "Ft": "Fort",
}
_STREETS = {
    "St": "Street",
    "Ave": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "Dr": "Drive",
    "Ln": "Lane",
    "Ct": "Court",
    "Pl": "Place",
    "Hwy": "Highway",
    "Pkwy": "Parkway",
    "Sq": "Square",
}
_SIDES = {"N": "North", "S": "South", "E": "East", "W": "West", "NE": "Northeast", "NW": "Northwest"} | {
    "SE": "Southeast",
    "SW": "Southwest",
}
# Only with their dot, for without it most are words.
_DOTTED = {
    "acct": "account",
    "appt": "appointment",
    "approx": "approximately",
    "apt": "apartment",
    "asst": "assistant",
    "avg": "average",
    "bldg": "building",
    "bros": "brothers",
    "co": "company",
    "corp": "corporation",
    "dept": "department",
    "est": "estimated",
    "etc": "et cetera",
    "ext": "extension",
    "fl": "floor",
    "govt": "government",
    "inc": "incorporated",
    "incl": "including",
    "jr": "junior",
    "ltd": "limited",
    "max": "maximum",
    "mgr": "manager",
    "min": "minimum",
    "misc": "miscellaneous",
    "qty": "quantity",
    "ref": "reference",
    "rm": "room",
    "sr": "senior",
    "ste": "suite",
    "tel": "telephone",
    "temp": "temperature",
    "vs": "versus",
}
_ANYWHERE = {
    "e.g.": "for example",
    "i.e.": "that is",
    "a.k.a.": "also known as",
    "w/o": "without",
    "w/": "with",
    "b/c": "because",
    "c/o": "care of",
    "n/a": "not available",
    "N/A": "not available",
    "and/or": "and or",
    "P.O.": "P O",
    "P.S.": "P S",
    "e.g": "for example",
    "i.e": "that is",
    "U.S.A.": "U S eigh",
    "U.S.A": "U S eigh",
    "U.S.": "U S",
    "U.K.": "U K",
    "D.C.": "D C",
    "Ph.D.": "P H D",
}
_WITHOUT_DOT = {
    "ASAP": "as soon as possible",
    "FYI": "for your information",
    "OK": "okay",
    "Ok": "okay",
    "vs": "versus",
    "approx": "approximately",
    "dept": "department",
    "Dept": "department",
    "acct": "account",
    "appt": "appointment",
    "apt": "apartment",
    "Apt": "apartment",
    "ext": "extension",
    "Ext": "extension",
    "qty": "quantity",
    "Qty": "quantity",
    "Blvd": "Boulevard",
    "Ave": "Avenue",
    "Pkwy": "Parkway",
    "Hwy": "Highway",
    "Inc": "Incorporated",
    "Ltd": "Limited",
    "Corp": "Corporation",
    "etc": "et cetera",
}
# Written in capitals, said as a word.
_CAPITAL_WORDS = frozenset({"PIN", "PINS", "SIM", "ZIP", "VISA", "NASA", "RAM", "LAN", "GIF", "LASER", "COVID", "IKEA"})
# fmt: off
_INITIALISMS = frozenset({
    "AC", "ACH", "AI", "API", "APR", "APY", "ATM", "BMW", "CD", "CEO", "CFO", "CTO", "DHL", "DIY", "DMV", "DOB",
    "DVD", "EIN", "EMV", "ETA", "EU", "EV", "FAQ", "FBI", "GMT", "GPS", "HMO", "HOA", "HR", "IBAN", "ID", "IOU",
    "IP", "IRA", "IRS", "ISBN", "IV", "IVR", "LED", "LLC", "MRI", "PDF", "POS", "PPO", "QA", "QR", "RMA", "SKU", "SMS",
    "SSN", "SUV", "TV", "TVS", "UK", "UPS", "URL", "US", "USA", "USB", "USPS", "UTC", "VAT", "VIN", "VIP", "VOIP",
    "VPN", "WIFI",
})
# fmt: on
_VOWEL = re.compile(r"[AEIOUY]")
_STATES = {
    "CA": "California",
    "CO": "Colorado",
    "FL": "Florida",
    "GA": "Georgia",
    "IL": "Illinois",
    "MA": "Massachusetts",
    "MI": "Michigan",
    "MN": "Minnesota",
    "NC": "North Carolina",
    "NJ": "New Jersey",
    "NY": "New York",
    "OH": "Ohio",
    "OR": "Oregon",
    "PA": "Pennsylvania",
    "TN": "Tennessee",
    "TX": "Texas",
    "VA": "Virginia",
    "WA": "Washington",
    "WI": "Wisconsin",
}


def _street(match: re.Match[str]) -> str:
    return f"{match['name']} {_STREETS[match['kind']]}{sentence_end(match)}"


def _house(match: re.Match[str]) -> str:
    number = match["number"]
    if len(number) == 3 and number[1:] != "00":
        tail = f"oh {cardinal(int(number[2]))}" if number[1] == "0" else cardinal(int(number[1:]))
        return f"{cardinal(int(number[0]))} {tail}{match['rest']}"
    if len(number) == 4 and number[1:] != "000":
        hundreds, rest = cardinal(int(number[:2])), int(number[2:])
        tail = "hundred" if rest == 0 else f"oh {cardinal(rest)}" if rest < 10 else cardinal(rest)
        return f"{hundreds} {tail}{match['rest']}"
    said = digits(number) if len(number) > 4 else cardinal(int(number))
    return f"{said}{match['rest']}"


def _side(match: re.Match[str]) -> str:
    return f"{match['number']} {_SIDES[match['side']]} "


def _title(match: re.Match[str]) -> str:
    return f"{_TITLES[match['title']]} "


def _dotted(match: re.Match[str]) -> str:
    word = match["word"]
    said = _DOTTED[word.lower()]
    return (said.capitalize() if word[0].isupper() else said) + sentence_end(match)


def _anywhere(match: re.Match[str]) -> str:
    ends_text = match.group().endswith(".") and not match.string[match.end() :].strip("\"') ")
    return _ANYWHERE[match.group()] + ("." if ends_text else "")


def _capitals(match: re.Match[str]) -> str | None:
    word, plural = match["word"], match["plural"] or ""
    if word in _CAPITAL_WORDS:
        return word.lower() + plural
    if word in _INITIALISMS or (len(word) <= 6 and not _VOWEL.search(word)):
        return letters(word) + ("'s" if plural else "")
    return None if len(word) < 2 else word.lower() + plural


def _any_of(table: dict[str, str]) -> str:
    return "|".join(re.escape(word) for word in sorted(table, key=len, reverse=True))


_STREET_KIND = _any_of(_STREETS)
_FULL_STREET = "|".join(_STREETS.values())

EARLY_RULES: tuple[Rule, ...] = (
    # Before numbers are read: an address has its own way with them.
    rule(rf"\b(?P<number>\d+)\s(?P<side>{_any_of(_SIDES)})\.?\s(?=[A-Z\d])", _side),
    rule(
        rf"(?P<name>\b\d+\s(?:[A-Z][\w']*\s){{0,3}}(?:[A-Z][\w']*|\d+(?:st|nd|rd|th)))\s(?P<kind>{_STREET_KIND})\b\.?",
        _street,
    ),
    rule(
        rf"\b(?P<number>\d{{3,5}})(?P<rest>\s(?:[A-Z][\w']*\s){{0,3}}(?:[A-Z][\w']*|\d+(?:st|nd|rd|th))\s(?:{_FULL_STREET})\b)",
        _house,
    ),
    rule(rf"(?<=,\s)(?P<state>{_any_of(_STATES)})(?=\s\d{{5}}\b|[.,]|$)", lambda m: _STATES[m["state"]]),
    rule(r"\b[Ss]te\.?\s(?=\d)", lambda _: "suite "),
    rule(
        r"\b[Ee]xt\.?\s?(?=\d)|(?<=\d)\s?,?\s[x](?=\d{2,5}\b)",
        lambda m: ("" if m.group()[0] in "Ee" else ", ") + "extension ",
    ),
)
RULES: tuple[Rule, ...] = (
    rule(rf"(?<![\w/])(?:{_any_of(_ANYWHERE)})(?![\w/])", _anywhere),
    rule(rf"\b(?P<title>{_any_of(_TITLES)})\.\s(?=[A-Z]|and\s)", _title),
    rule(r"\b(?P<title>Mr|Mrs|Ms|Dr|Prof)\s(?=[A-Z])", _title),
    rule(rf"(?P<name>\b[A-Z][\w']*)\s(?P<kind>{_STREET_KIND})\.(?!\w)", _street),
    rule(rf"\b(?P<word>{_any_of(_DOTTED)})\.(?!\w)(?=\s[a-z\d]|,|;|\)|$|\s[A-Z])", _dotted, re.IGNORECASE),
    rule(rf"\b(?P<word>{_any_of(_WITHOUT_DOT)})\b", lambda m: _WITHOUT_DOT[m["word"]]),
    rule(r"\b(?P<word>[A-Z]{2,})(?P<plural>s)?\b(?!')", _capitals),
)
