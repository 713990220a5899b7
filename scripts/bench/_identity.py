"""Callers identified among the records by what a recogniser made of them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from _corpora import EviCall, evi
from _report import Report, percentile
from _understanding import Bench, calibration_error

from voicebot.language.identity import SURE, ProfileSearch, SpokenIdentity


def _asked(said: SpokenIdentity, attempts: int, items: Sequence[str]) -> SpokenIdentity:
    """Return what a caller said to the first `attempts` questions after each of `items`."""
    return SpokenIdentity(**{item: getattr(said, item)[:attempts] for item in items})


def _heard_names(said: SpokenIdentity, attempts: int) -> set[str]:
    return {_name_key(text) for heard in said.name[:attempts] for text in heard}


def _name_key(name: str) -> str:
    """Return a name's letters alone, so that "T OB y" is Toby."""
    return "".join(letter for letter in name.lower() if letter.isalpha())


def measure_identity(bench: Bench) -> None:
    """Callers of EVI by what a recogniser made of their postcode, name and birth date, among 10,000 profiles.

    Weights and thresholds were set on the speakers of the other half. Strangers are the same calls with the profiles of
    all callers taken out. Calls whose profile the records lack are left out.
    """
    profiles, calls = evi(bench.data)
    by_key = {profile.key: profile for profile in profiles}
    calls = [call for call in calls if call.key in by_key]
    callers = {call.key for call in calls}
    among_all = ProfileSearch(profiles, day_first=True)
    without = ProfileSearch([profile for profile in profiles if profile.key not in callers], day_first=True)
    section = "identity (EVI), 10,000 profiles"
    for attempts in (1, 3):
        tries = f"{attempts} attempt{'s' if attempts > 1 else ''}"
        listed = sum(_name_key(by_key[call.key].name) in _heard_names(call.said, attempts) for call in calls)
        bench.report.rate(section, f"name among what was heard, {tries}", listed, len(calls), yardstick="aim 82")
        named = [among_all.find(_asked(call.said, attempts, ("name",)), limit=1) for call in calls]
        pairs = zip(named, calls, strict=True)
        found = sum(
            bool(best) and _name_key(best[0].profile.name) == _name_key(by_key[call.key].name) for best, call in pairs
        )
        bench.report.rate(section, f"name found by searching the records, {tries}", found, len(calls))
    asked_for = [("postcode", "name", "birth_date"), ("postcode", "birth_date"), ("name", "birth_date")]
    for items in asked_for:
        for attempts in (1, 3):
            _identify(bench.report, (among_all, without), calls, items, attempts)


def _identify(
    report: Report,
    searches: tuple[ProfileSearch, ProfileSearch],
    calls: Sequence[EviCall],
    items: tuple[str, ...],
    attempts: int,
) -> None:
    section = (
        f"identity (EVI): {', '.join(items).replace('_', ' ')}; {attempts} attempt{'s' if attempts > 1 else ''} each"
    )
    spent, customers, strangers = [], [], []
    for call in calls:
        said = _asked(call.said, attempts, items)
        before = time.thread_time()
        best = searches[0].find(said, limit=1)
        spent.append(1000 * (time.thread_time() - before))
        customers.append((best[0].probability, best[0].profile.key == call.key) if best else (0.0, False))
        stranger = searches[1].find(said, limit=1)
        strangers.append(stranger[0].probability if stranger else 0.0)
    taken = [right for probability, right in customers if probability >= SURE]
    report.rate(section, "right profile first", sum(right for _, right in customers), len(calls))
    report.rate(section, f"right profile taken (at {SURE})", sum(taken), len(calls))
    report.rate(section, "wrong profile taken", len(taken) - sum(taken), len(calls))
    report.rate(section, "false accept: stranger taken for a customer", sum(p >= SURE for p in strangers), len(calls))
    error = calibration_error(customers)
    report.figure(section, "expected calibration error", 100 * error, "points", n=len(customers))
    report.figure(section, "a search, median", percentile(spent, 0.5), "ms", n=len(spent))
