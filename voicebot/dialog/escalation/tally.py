"""Counts what happens on a call into the signals of its latest turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from voicebot.dialog.escalation.signals import Signals
from voicebot.dialog.escalation.topic import Topic
from voicebot.dialog.events import Mood

#: A mood counts as there from this value on.
_PRESENT = 0.5
#: Two turns at least this alike are the same request in other words; see `language.rephrasing.ALIKE`.
_ALIKE = 0.5
#: How many turns back anger is remembered.
_ANGER_LASTS = 4
#: Each turn back counts so much less for the mood of a call, as in `language.mood.trend`.
_MEMORY = 0.6


@dataclass(frozen=True, slots=True)
class Observed:
    """What one event brought, as the dialog saw it. `at_s` is counted from the call's beginning.

    `is_turn` is false for what systems bring. `about` is the request under way. `rephrased` is how alike this turn is
    to an earlier one (0 to 1). `moved_on` says that the conversation got on; `missed`, `unsure` and `silent` that not.
    """

    at_s: float
    about: str = ""
    is_turn: bool = True
    mood: Mood = field(default_factory=Mood)
    topics: frozenset[Topic] = frozenset()
    asked_for_person: bool = False
    refuses_person: bool = False
    intent_scores: tuple[float, ...] = ()
    rephrased: float = 0.0
    moved_on: bool = False
    missed: bool = False
    unsure: bool = False
    silent: bool = False
    repeat: bool = False
    barge_in: bool = False
    authentication_failed: bool = False
    backend_failed: bool = False
    unsolved: bool = False
    value_at_stake: float = 0.0
    tier: str = ""
    earlier_calls: int = 0


@dataclass(frozen=True, slots=True)
class Tally:
    """What is remembered of a call between turns."""

    about: str = ""
    since_s: float = 0.0
    turns: int = 0
    sentiments: tuple[float, ...] = ()
    angry: tuple[bool, ...] = ()
    failed_before: bool = False
    rephrasings: int = 0
    stalled: int = 0
    silences: int = 0
    repeats: int = 0
    barge_ins: int = 0
    no_inputs: int = 0
    no_matches: int = 0
    failed_authentications: int = 0
    backend_failures: int = 0
    unsolved: int = 0
    urgency: float = 0.0
    refuses_person: bool = False
    tier: str = ""
    earlier_calls: int = 0
    latest: Signals = field(default_factory=Signals)


def count(tally: Tally, seen: Observed) -> tuple[Tally, Signals]:
    """Take one event in; returns what to remember and the signals as they stand after it."""
    failed = seen.missed or seen.unsure or seen.backend_failed or seen.authentication_failed or seen.unsolved
    if not seen.is_turn:  # what a system brings belongs to the turn that asked for it
        seen = replace(seen, mood=_mood_of(tally.latest), topics=_topics_of(tally.latest))
    angry = seen.mood.frustration >= _PRESENT
    begun_anew = bool(seen.about) and seen.about != tally.about
    after = replace(
        tally,
        about=seen.about or tally.about,
        since_s=seen.at_s if begun_anew else tally.since_s,
        turns=(0 if begun_anew else tally.turns) + seen.is_turn,
        repeats=tally.repeats + seen.repeat,
        barge_ins=tally.barge_ins + seen.barge_in,
        no_inputs=tally.no_inputs + seen.silent,
        no_matches=tally.no_matches + seen.missed,
        failed_authentications=tally.failed_authentications + seen.authentication_failed,
        backend_failures=tally.backend_failures + seen.backend_failed,
        unsolved=tally.unsolved + seen.unsolved,
        # Saying it again after a miss is what we asked for; the miss counts by itself.
        rephrasings=tally.rephrasings + (seen.rephrased >= _ALIKE and not tally.failed_before),
        stalled=_stalled(tally.stalled, seen),
        urgency=max(tally.urgency, seen.mood.urgency),
        refuses_person=(tally.refuses_person or seen.refuses_person) and not seen.asked_for_person,
        tier=seen.tier or tally.tier,
        earlier_calls=max(seen.earlier_calls, tally.earlier_calls),
    )
    if seen.is_turn:
        after = replace(
            after,
            silences=tally.silences + 1 if seen.silent else 0,
            sentiments=(*tally.sentiments, seen.mood.sentiment),
            angry=(*tally.angry, angry)[-_ANGER_LASTS:],
        )
    # The bot's mistake is what a caller is angry about in the same breath or in the next.
    still_failing = tally.failed_before and not seen.moved_on
    at_bot = angry and (seen.missed or seen.unsure or seen.backend_failed or still_failing)
    after = replace(after, failed_before=failed)
    scores = sorted(seen.intent_scores, reverse=True)
    signals = Signals(
        uncertainty=1 - scores[0] if scores else 0.0,
        ambiguity=1 - (scores[0] - scores[1]) if len(scores) > 1 else 0.0,
        negativity=max(0.0, -seen.mood.sentiment),
        sentiment_fall=max(0.0, _fall(after.sentiments)),
        frustration=seen.mood.frustration,
        angry_turns=sum(after.angry),
        angry_at_bot=at_bot,
        urgency=after.urgency,
        rephrasings=after.rephrasings,
        stalled_turns=after.stalled,
        repeats=after.repeats,
        silences_in_a_row=after.silences,
        barge_ins=after.barge_ins,
        no_inputs=after.no_inputs,
        no_matches=after.no_matches,
        turns_in_task=after.turns,
        seconds_in_task=round(max(0.0, seen.at_s - after.since_s), 1),
        failed_authentications=after.failed_authentications,
        value_at_stake=seen.value_at_stake,
        earlier_calls=after.earlier_calls,
        backend_failures=after.backend_failures,
        unsolved=after.unsolved,
        asked_for_person=seen.asked_for_person,
        refuses_person=after.refuses_person,
        tier=after.tier,
        **{topic.value: True for topic in seen.topics},
    )
    return replace(after, latest=signals), signals


def _mood_of(signals: Signals) -> Mood:
    return Mood(-signals.negativity, signals.frustration, signals.urgency)


def _topics_of(signals: Signals) -> frozenset[Topic]:
    return frozenset(topic for topic in Topic if getattr(signals, topic.value))


def _stalled(before: int, seen: Observed) -> int:
    """Count turns in a row that led nowhere. Silence alone does not count, silence after a miss does."""
    if seen.missed or seen.unsure or (seen.silent and before):
        return before + 1
    return 0 if seen.moved_on else before


def _fall(sentiments: Sequence[float]) -> float:
    """Return how far sentiment fell from the first turns to the last."""
    weights = [_MEMORY**age for age in range(len(sentiments))]
    total = sum(weights) or 1.0
    first = sum(weight * value for weight, value in zip(weights, sentiments, strict=True)) / total
    last = sum(weight * value for weight, value in zip(weights, reversed(sentiments), strict=True)) / total
    return round(first - last, 3)
