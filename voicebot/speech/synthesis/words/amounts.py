"""Amounts: money, per cent, degrees, measures, ordinals, ranges, and numbers that are nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass

from voicebot.speech.synthesis.words.numbers import cardinal, decimal, digit_groups, digits, money, ordinal, year
from voicebot.speech.synthesis.words.rule import Rule, rule


@dataclass(frozen=True, slots=True)
class _Currency:
    unit: str
    units: str
    hundredth: str = "cent"
    hundredths: str = "cents"


_DOLLAR = _Currency("dollar", "dollars")
_EURO = _Currency("euro", "euros")
_POUND = _Currency("pound", "pounds", "penny", "pence")
_RUPEE = _Currency("rupee", "rupees", "paisa", "paise")
_CURRENCIES = {
    "$": _DOLLAR,
    "US$": _Currency("US dollar", "US dollars"),
    "USD": _Currency("US dollar", "US dollars"),
    "CAD": _Currency("Canadian dollar", "Canadian dollars"),
    "€": _EURO,
    "EUR": _EURO,
    "£": _POUND,
    "GBP": _POUND,
    "¥": _Currency("yen", "yen"),
    "JPY": _Currency("yen", "yen"),
    "A$": _Currency("Australian dollar", "Australian dollars"),
    "C$": _Currency("Canadian dollar", "Canadian dollars"),
    "CHF": _Currency("Swiss franc", "Swiss francs"),
    "₹": _RUPEE,
    "Rs.": _RUPEE,
    "INR": _RUPEE,
}
_SIGN = r"(?:(?<!\w)(?:US|A|C))?\$|\bRs\.|[€£¥₹]"
_CODE = "USD|EUR|GBP|CAD|CHF|JPY|INR"
_AMOUNT = r"(?P<amount>[-\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+|(?=\.\d))(?:\.\d+)?)"
_SCALE = r"(?:\s?(?P<scale>thousand|million|billion|trillion|[Kk]|[Mm]|[Bb]|bn|mn)\b)?"
_SCALES = {
    "K": "thousand",
    "k": "thousand",
    "M": "million",
    "m": "million",
    "mn": "million",
    "B": "billion",
    "b": "billion",
    "bn": "billion",
}
_DASH = r"\s?(?:-|\u2013|\u2014)\s?"
_PER = "month|mo|year|yr|day|week|wk|hour|hr|minute|min|night|person|unit|user|item|mile|kg|lb|GB"
_PERIODS = {
    "mo": "month",
    "yr": "year",
    "wk": "week",
    "hr": "hour",
    "min": "minute",
    "kg": "kilogram",
    "lb": "pound",
} | {"GB": "gigabyte"}

# Written short, said singular, said plural.
_UNITS = {
    "kg": ("kilogram", "kilograms"),
    "mg": ("milligram", "milligrams"),
    "g": ("gram", "grams"),
    "km": ("kilometer", "kilometers"),
    "cm": ("centimeter", "centimeters"),
    "mm": ("millimeter", "millimeters"),
    "mi": ("mile", "miles"),
    "ft": ("foot", "feet"),
    "yd": ("yard", "yards"),
    "lb": ("pound", "pounds"),
    "lbs": ("pound", "pounds"),
    "oz": ("ounce", "ounces"),
    "gal": ("gallon", "gallons"),
    "qt": ("quart", "quarts"),
    "L": ("liter", "liters"),
    "ml": ("milliliter", "milliliters"),
    "mL": ("milliliter", "milliliters"),
    "KB": ("kilobyte", "kilobytes"),
    "MB": ("megabyte", "megabytes"),
    "GB": ("gigabyte", "gigabytes"),
    "TB": ("terabyte", "terabytes"),
    "Mbps": ("megabit per second", "megabits per second"),
    "Gbps": ("gigabit per second", "gigabits per second"),
    "kWh": ("kilowatt hour", "kilowatt hours"),
    "kW": ("kilowatt", "kilowatts"),
    "mph": ("mile per hour", "miles per hour"),
    "km/h": ("kilometer per hour", "kilometers per hour"),
    "hr": ("hour", "hours"),
    "hrs": ("hour", "hours"),
    "min": ("minute", "minutes"),
    "mins": ("minute", "minutes"),
    "sec": ("second", "seconds"),
    "secs": ("second", "seconds"),
    "ms": ("millisecond", "milliseconds"),
    "yr": ("year", "years"),
    "yrs": ("year", "years"),
    "mo": ("month", "months"),
    "mos": ("month", "months"),
    "wk": ("week", "weeks"),
    "wks": ("week", "weeks"),
    "sq ft": ("square foot", "square feet"),
    "sqft": ("square foot", "square feet"),
    "pcs": ("piece", "pieces"),
    "pc": ("piece", "pieces"),
    "m": ("meter", "meters"),
    "m2": ("square meter", "square meters"),
    "cm2": ("square centimeter", "square centimeters"),
    "km2": ("square kilometer", "square kilometers"),
    "ft2": ("square foot", "square feet"),
    "m3": ("cubic meter", "cubic meters"),
    "h": ("hour", "hours"),
    "s": ("second", "seconds"),
    "μs": ("microsecond", "microseconds"),
    "ns": ("nanosecond", "nanoseconds"),
    "Hz": ("hertz", "hertz"),
    "kHz": ("kilohertz", "kilohertz"),
    "MHz": ("megahertz", "megahertz"),
    "GHz": ("gigahertz", "gigahertz"),
    "V": ("volt", "volts"),
    "W": ("watt", "watts"),
    "mAh": ("milliampere hour", "milliampere hours"),
    "Ω": ("ohm", "ohms"),
    "kΩ": ("kilohm", "kilohms"),
    "dB": ("decibel", "decibels"),
    "x": ("time", "times"),
}
_UNIT = "|".join(sorted((re.escape(unit) for unit in _UNITS), key=len, reverse=True))
_NUMBER = r"(?P<number>(?<![\w.])[-\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)"
# A range of two plain numbers: "3-5", or longer ones before a word that counts them.
_COUNTED = (
    r"(?=\s?(?:%|percent|days?|hours?|minutes?|weeks?|months?|years?|dollars?|business|working|people|items?|miles?|"
    r"points?|times?|pages?|degrees?|of\b))"
)


def _money(match: re.Match[str]) -> str:
    currency = _CURRENCIES[match["sign"]]
    amount = (match["minus"] or "") + match["amount"]
    scale = match["scale"]
    if scale:
        return f"{decimal(amount)} {_SCALES.get(scale.lower(), scale)} {currency.units}"
    return money(amount, currency.unit, currency.units, currency.hundredth, currency.hundredths)


def _money_range(match: re.Match[str]) -> str:
    return f"{decimal(match['low'])} to {match['sign']}{match['high']}"


def _money_by_code(match: re.Match[str]) -> str:
    currency = _CURRENCIES[match["code"]]
    return money(match["amount"], currency.unit, currency.units, currency.hundredth, currency.hundredths)


def _thousands(match: re.Match[str]) -> str:
    return f"{decimal(match['number'])} thousand"


def _office_hours(match: re.Match[str]) -> str | None:
    low, high = int(match["low"]), int(match["high"])
    return f"{low} to {high}" if 1 <= low <= 12 and 1 <= high <= 12 else None


def _cents(match: re.Match[str]) -> str:
    return f"{decimal(match['number'])} cent{'' if match['number'] == '1' else 's'}"


def _period(match: re.Match[str]) -> str:
    period = match["period"]
    return f"{match['unit']} per {_PERIODS.get(period, period)}"


def _percent(match: re.Match[str]) -> str:
    return f"{decimal(match['number'])} percent"


def _degrees(match: re.Match[str]) -> str:
    scale = {"F": " Fahrenheit", "C": " Celsius"}.get(match["scale"] or "", "")
    return f"{decimal(match['number'])} degree{'' if match['number'] == '1' else 's'}{scale}"


def _measure(match: re.Match[str]) -> str:
    one, many = _UNITS[match["unit"]]
    return f"{decimal(match['number'])} {one if match['number'] == '1' else many}"


def _range(match: re.Match[str]) -> str | None:
    low, high = match["low"], match["high"]
    if int(low.replace(",", "")) >= int(high.replace(",", "")):
        return None
    return f"{low} to {high}"


def _years(match: re.Match[str]) -> str | None:
    first, last = int(match["first"]), int(match["last"])
    return f"{year(first)} to {year(last)}" if first < last else None


def _version(match: re.Match[str]) -> str:
    numbers = " point ".join(cardinal(int(part)) for part in match["number"].split("."))
    return f"version {numbers}" if match["v"] else numbers


def _bare_number(match: re.Match[str]) -> str:
    text = match["number"]
    whole = text.lstrip("-\u2212")
    if whole.isdigit():
        if (len(whole) > 1 and whole[0] == "0") or (len(whole) > 4 and not whole.endswith("000")):
            return ("minus " if whole != text else "") + digit_groups(whole)
        if len(whole) == 4 and whole[:2] in {"19", "20"} and whole == text:
            return year(int(whole))
    return decimal(text)


def _leading_point(match: re.Match[str]) -> str:
    return f"zero point {digits(match['fraction'])}"


MONEY: tuple[Rule, ...] = (
    rule(rf"(?P<sign>{_SIGN})\s?(?P<low>\d[\d,]*(?:\.\d+)?){_DASH}(?:{_SIGN})?(?P<high>\d)", _money_range),
    rule(rf"(?P<minus>[-\u2212])?(?P<sign>{_SIGN})\s?{_AMOUNT}{_SCALE}", _money),
    rule(rf"{_NUMBER}\s?(?P<code>{_CODE})\b".replace("?P<number>", "?P<amount>"), _money_by_code),
    rule(rf"\b(?P<code>{_CODE})\s?{_AMOUNT}", _money_by_code),
    rule(rf"(?P<minus>)(?P<scale>){_NUMBER}\s?(?P<sign>[€£¥₹])".replace("?P<number>", "?P<amount>"), _money),
    rule(rf"{_NUMBER}\s?¢", _cents),
    rule(rf"\b(?P<unit>dollars?|cents?|euros?|pounds?|pence)\s?/\s?(?P<period>{_PER})\b", _period),
)
RANGES: tuple[Rule, ...] = (
    rule(
        rf"(?<![\w-])(?P<low>\d+(?:st|nd|rd|th)){_DASH}(?P<high>\d+(?:st|nd|rd|th))\b",
        lambda m: f"{m['low']} to {m['high']}",
    ),
    rule(
        rf"(?:(?<=day )|(?<=day, )|(?<=[Oo]pen )|(?<=[Dd]aily )|(?<=[Hh]ours ))(?P<low>\d{{1,2}}){_DASH}"
        r"(?P<high>\d{1,2})(?![\w-])",
        _office_hours,
    ),
    rule(r"(?<![\w.])(?P<first>(?:19|20)\d{2})\s?[-\u2013]\s?(?P<last>(?:19|20)\d{2})(?![\w-])", _years),
    rule(rf"(?<![\w.,-])(?P<low>\d[\d,]*){_DASH}(?P<high>\d[\d,]*){_COUNTED}", _range),
    rule(rf"(?<![\w.,-])(?P<low>\d{{1,2}}){_DASH}(?P<high>\d{{1,2}})(?![\w-])", _range),
)
MEASURES: tuple[Rule, ...] = (
    rule(rf"{_NUMBER}[kK](?![\w-])", _thousands),
    rule(rf"{_NUMBER}\s?‰", lambda m: f"{decimal(m['number'])} per thousand"),
    rule(rf"{_NUMBER}\s?%", _percent),
    rule(rf"{_NUMBER}\s?°(?:\s?(?P<scale>[FC])\b)?", _degrees),
    rule(rf"{_NUMBER}\s?(?P<unit>{_UNIT})\b(?!['-]\w)", _measure),
)
NUMBERS: tuple[Rule, ...] = (
    rule(r"(?<![\w.,])(?P<number>\d+)(?:st|nd|rd|th)\b", lambda m: ordinal(int(m["number"]))),
    rule(r"\b(?P<v>[vV]\.?\s?|[vV]ersion\s)(?P<number>\d+(?:\.\d+)*)\b", _version),
    rule(r"(?<![\w.])(?P<v>)(?P<number>\d+(?:\.\d+){2,})(?![\w.]\d)", _version),
    rule(r"(?<=\d)\s?:\s?(?=\d)", lambda _: " to "),
    rule(r"(?<=\d)\s?/\s?(?=\d)", lambda _: " slash "),
    rule(r"(?<![\w.])\.(?P<fraction>\d+)\b", _leading_point),
    rule(_NUMBER, _bare_number),
    # Whatever digits are left stand inside a word.
    rule(r"\d+", lambda m: f" {digits(m.group())} "),
)
