"""The right customer is found by what a recogniser makes of postcode, name and birth date; a stranger is none."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicebot.language.identity import SURE, Profile, ProfileSearch, SpokenIdentity, find_profile

TOWNS = (
    "GU6 3HA",
    "W5F 6QW",
    "NE14 7QT",
    "EC6 9BB",
    "TA89 9GZ",
    "M53 2ZD",
    "L41 4HU",
    "PO5X 2PH",
    "B16 5XX",
    "N78 3TZ",
)
FIRSTS = ("Anna", "Robert", "Judith", "Peter", "Chelsea", "Derek", "Maria", "Toby", "Rachel", "Hugh")
LASTS = ("Weston", "Begum", "O'Neill", "Atkinson", "Müller", "Savage", "Price", "Fielding", "Smith", "Novak")
PEOPLE = tuple(
    Profile(str(number), TOWNS[(3 * number + number // 10) % 10], f"{first} {last}", born)
    for number, (first, last, born) in enumerate(
        (first, last, date(1930 + (7 * one + 3 * two) % 80, 1 + (one + 5 * two) % 12, 1 + (11 * one + 2 * two) % 28))
        for one, first in enumerate(FIRSTS)
        for two, last in enumerate(LASTS)
    )
)
SEARCH = ProfileSearch(PEOPLE, day_first=True)
JUDITH = next(profile for profile in PEOPLE if profile.name == "Judith Weston")


def said(postcode: str = "", name: str = "", birth_date: str = "") -> SpokenIdentity:
    return SpokenIdentity(*(((text,),) if text else () for text in (postcode, name, birth_date)))


def in_words(day: date) -> str:
    return f"{day.day} {day:%B} {day.year}"


def test_three_garbled_answers_find_the_one_they_fit() -> None:
    heard = said(JUDITH.postcode.lower().replace("5", "v"), "judas western", in_words(JUDITH.birth_date or date.min))
    best = SEARCH.find(heard)[0]
    assert best.profile == JUDITH
    assert best.probability >= SURE


def test_a_stranger_is_nobodys_profile() -> None:
    others = ProfileSearch([profile for profile in PEOPLE if profile != JUDITH])
    heard = said(JUDITH.postcode, JUDITH.name, in_words(JUDITH.birth_date or date.min))
    assert SEARCH.find(heard)[0].probability >= SURE
    assert all(match.probability < 0.5 for match in others.find(heard))


@pytest.mark.parametrize(
    ("heard", "postcode"),
    [
        ("p o 5 x 2 p eh", "PO5X 2PH"),
        ("papa oscar five x ray two papa hotel", "PO5X 2PH"),
        ("and 7 8 3 tea zed", "N78 3TZ"),
        ("it's B for bravo one six five double x", "B16 5XX"),
        ("l for T 1 for h you", "L41 4HU"),
        ("W 5 S 6 q w", "W5F 6QW"),
        ("TA 89 9 g that", "TA89 9GZ"),
    ],
)
def test_a_postcode_is_found_by_the_sound_of_its_letters(heard: str, postcode: str) -> None:
    profiles = [Profile(each, postcode=each) for each in TOWNS]
    best = find_profile(profiles, said(postcode=heard))[0]
    assert best.profile.key == postcode
    assert best.probability > 0.5


@pytest.mark.parametrize(
    ("heard", "name"),
    [
        ("chelsea vegan", "Chelsea Begum"),
        ("my name is Derrick Atkinson", "Derek Atkinson"),
        ("j u d i t h space w e s t o n", "Judith Weston"),
        ("J u DI th wes t o n", "Judith Weston"),
        ("tango oscar bravo yankee sierra mike india tango hotel", "Toby Smith"),
        ("a double n a p r i c e", "Anna Price"),
        ("muller maria", "Maria Müller"),
        ("Hugh O'Neil", "Hugh O'Neill"),
    ],
)
def test_a_name_is_found_said_or_spelled(heard: str, name: str) -> None:
    assert SEARCH.find(said(name=heard))[0].profile.name == name


@pytest.mark.parametrize(
    "heard",
    [
        "7th of May 1951",
        "seventh of may nineteen fifty one",
        "the 7th of the 5th 1951",
        "7th May 1950 1",
        "oh seven oh five fifty one",
        "0705 1951",
        "may seven nineteen fifty one",
        "my date of birth is 7/5/1951",
    ],
)
def test_a_birth_date_is_found_in_every_form(heard: str) -> None:
    dates = [date(1951, 5, 7), date(1951, 5, 17), date(1951, 7, 5), date(1915, 5, 7), date(1980, 11, 30)]
    profiles = [Profile(str(day), birth_date=day) for day in dates]
    best = find_profile(profiles, said(birth_date=heard), day_first=True)[0]
    assert best.profile.birth_date == date(1951, 5, 7)


def test_figures_are_read_in_the_order_of_the_country() -> None:
    profiles = [Profile("april", birth_date=date(1980, 4, 3)), Profile("march", birth_date=date(1980, 3, 4))]
    heard = said(birth_date="oh three oh four nineteen eighty")
    assert find_profile(profiles, heard)[0].profile.key == "march"
    assert find_profile(profiles, heard, day_first=True)[0].profile.key == "april"


def test_a_later_alternative_and_a_second_attempt_count() -> None:
    day = in_words(JUDITH.birth_date or date.min)
    once = SpokenIdentity(birth_date=((day,),), name=(("you do it", "Judith Weston"),))
    again = SpokenIdentity(birth_date=((day,),), name=(("do it west",), ("Judith Weston",)))
    unheard = SpokenIdentity(birth_date=((day,),), name=(("you do it",),))
    for heard in (once, again):
        assert SEARCH.find(heard)[0].probability > SEARCH.find(unheard)[0].probability


def test_what_fits_many_says_less_than_what_fits_one() -> None:
    people = [
        *(Profile(f"smith {number}", name="John Smith") for number in range(20)),
        Profile("rare", name="Ida Quill"),
    ]
    common, rare = (find_profile(people, said(name=name))[0] for name in ("john smith", "ida quill"))
    assert rare.probability > 5 * common.probability


def test_what_a_profile_lacks_speaks_neither_for_nor_against_it() -> None:
    people = [Profile("full", "GU6 3HA", "Anna Price", date(1980, 1, 1)), Profile("nameless", "GU6 3HA")]
    by_postcode = find_profile(people, said("g u 6 3 h a"))
    assert by_postcode[0].probability == pytest.approx(by_postcode[1].probability)
    assert find_profile(people, said("g u 6 3 h a", "anna price"))[0].profile.key == "full"


def test_nothing_heard_and_no_profiles_find_nothing() -> None:
    assert SEARCH.find(SpokenIdentity()) == ()
    assert SEARCH.find(SpokenIdentity(name=((), ()))) == ()
    assert find_profile([], said(name="anna price")) == ()


ANYTHING = st.text(max_size=40) | st.text(
    "٣5½ⅷab '+@given(st.lists(st.text(max_size=40), max_size=4), st.lists(st.text(max_size=40), max_size=4))é-/:",
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(ANYTHING, max_size=4), st.lists(ANYTHING, max_size=4))
def test_whatever_is_heard_or_stored_gives_probabilities(heard: list[str], stored: list[str]) -> None:
    profiles = [Profile(text, text, text, None) for text in stored]
    for search in (SEARCH, ProfileSearch(profiles)):
        matches = search.find(SpokenIdentity((tuple(heard),), (tuple(heard),), (tuple(heard),)))
        assert all(0 <= match.probability <= 1 for match in matches)
