"""Whatever is heard at whatever question: reading it never fails, tells true places, and ends soon."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dialog.strategies import shipped_bot
from tests.language.test_callers import caller_turns
from voicebot.dialog.events import Interpretation
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.language.understanding import Understanding
from voicebot.language.words import normalise

#: What a caller could say in the longest turn is far less; what somebody may type is not.
_LONG = 5000
#: A hundred times what an ordinary turn takes, on a machine that does other things as well.
_SOON_S = 2.0

FRAGMENTS = (
    "twenty one hundred and five double seven oh a as in alpha b for bravo next tuesday at half past three the "
    "fifteenth of march 2026 03/15 10:30 4:5pm $45.20 1,234,567 £3.5 ORD-48213 -- no not friday i mean monday yes yeah "
    "nope um uh "
    "and also then my balance <sil> [noise] ( ' . , ! ? 07302 sw1a 1aa two thousand and twelve o'clock and a half "
    "minus zero first second of the last 29th february 31/02 99:99 9999999999999999999999 plus tomorrow week fortnight"
).split()

texts = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(FRAGMENTS), max_size=40).map(" ".join),
    st.sampled_from([said for _, said in caller_turns()]),
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=8)), max_size=25).map(" ".join),
)
moments = st.datetimes(timezones=st.just(UTC)) | st.just(datetime(2024, 2, 29, 23, 59, tzinfo=UTC))


@cache
def understanding() -> Understanding:
    return Understanding(shipped_bot().intents)


@st.composite
def expectations(draw: st.DrawFn) -> Expectation:
    if draw(st.booleans()):
        return draw(st.sampled_from(shipped_bot().domain().expectations))
    kinds = draw(st.lists(st.sampled_from(AnswerKind), min_size=1, max_size=4, unique=True))
    lengths = draw(st.lists(st.integers(1, 20), max_size=3))
    return Expectation("any", tuple(kinds), draw(st.lists(texts, max_size=4).map(tuple)), tuple(lengths))


def check(reading: Interpretation) -> None:
    for entity in reading.entities:
        assert 0 <= entity.start < entity.end <= len(reading.text)
        assert reading.text[entity.start : entity.end] == entity.text
    scores = [score.confidence for score in reading.intents]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    known = shipped_bot().intents
    assert {score.intent for score in (*reading.intents, *reading.further)} <= set(known)
    assert -1 <= reading.mood.sentiment <= 1
    assert 0 <= reading.mood.frustration <= 1
    assert 0 <= reading.mood.urgency <= 1


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(texts, st.floats(0, 1)), max_size=4), expectations(), moments)
def test_anything_heard_is_read(heard: list[tuple[str, float]], expectation: Expectation, now: datetime) -> None:
    readings = understanding().interpret(heard, expectation, now)
    assert [reading.text for reading in readings] == list(dict.fromkeys(filter(None, (normalise(t) for t, _ in heard))))
    for reading in readings:
        check(reading)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(FRAGMENTS), texts), min_size=1, max_size=6), expectations())
def test_a_long_text_is_read_soon(parts: list[str], expectation: Expectation) -> None:
    _read_soon((" ".join(parts) + " ") * _LONG, expectation)


@pytest.mark.parametrize(
    "part",
    ["one ", "and ", "double ", "1,", "a-", "(", "<", "' ", "no not ", "and a half ", "i mean ", "hi ", "thanks ", "x"],
)
def test_one_part_over_and_over_is_read_soon(part: str) -> None:
    for expectation in shipped_bot().domain().expectations[:2]:
        _read_soon(part * _LONG, expectation)


def _read_soon(text: str, expectation: Expectation) -> None:
    before = time.thread_time()
    readings = understanding().interpret([(text[:_LONG], 1.0)], expectation, datetime(2026, 3, 4, 10, tzinfo=UTC))
    assert time.thread_time() - before < _SOON_S
    for reading in readings:
        check(reading)
