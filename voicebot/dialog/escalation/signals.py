"""What is measured at every turn of a call for the decision whether a person should take over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from voicebot.dialog.escalation.topic import Topic

#: A mood beyond this is heard by people too.
_MARKED = 0.3


@dataclass(frozen=True, slots=True)
class Signals:
    """One turn's measurements. Of every number and flag more is worse, so that weights are never negative.

    `uncertainty` is 1 less the confidence of the best intent and `ambiguity` 1 less its lead over the second, both 0
    where no request was read. `negativity` and `frustration` are this turn's, 0 to 1; `sentiment_fall` is how far
    the call's sentiment fell since its beginning (0 to 2). `angry_turns` counts the angry ones among the last four, and
    `angry_at_bot` says that this one is about what the bot just got wrong. `stalled_turns` are those in a row without
    getting on, `rephrasings` those that put an earlier request again. `urgency` is that of the most urgent turn so far.
    `value_at_stake` is a sum in the bot's currency, `earlier_calls` this month's about the same. Other counts
    are over the call.
    """

    uncertainty: float = 0.0
    ambiguity: float = 0.0
    negativity: float = 0.0
    sentiment_fall: float = 0.0
    frustration: float = 0.0
    angry_turns: int = 0
    angry_at_bot: bool = False
    urgency: float = 0.0
    rephrasings: int = 0
    stalled_turns: int = 0
    repeats: int = 0
    silences_in_a_row: int = 0
    barge_ins: int = 0
    no_inputs: int = 0
    no_matches: int = 0
    turns_in_task: int = 0
    seconds_in_task: float = 0.0
    failed_authentications: int = 0
    value_at_stake: float = 0.0
    earlier_calls: int = 0
    backend_failures: int = 0
    unsolved: int = 0
    legal: bool = False
    medical: bool = False
    financial_advice: bool = False
    complaint: bool = False
    complaint_about_agent: bool = False
    distress: bool = False
    fraud: bool = False
    asked_for_person: bool = False
    refuses_person: bool = False
    tier: str = ""

    @property
    def topic(self) -> Topic | None:
        """The subject that this turn is about, if it is one of those that matter."""
        return next((topic for topic in Topic if getattr(self, topic.value)), None)

    @property
    def is_upset(self) -> bool:
        """Whether the caller sounds unhappy at this turn, or was angry a moment ago."""
        return max(self.frustration, self.negativity) >= _MARKED or self.angry_turns > 0

    def number(self, name: str) -> float:
        """Return a measurement that can be weighed; flags are 0 or 1."""
        return float(getattr(self, name))

    def document(self) -> dict[str, Any]:
        """Return the measurements as JSON-ready values; those that are nothing are left out."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Signals:
        """Read what `document` gave; measurements that this version does not know are passed over."""
        return replace(cls(), **{name: value for name, value in document.items() if name in NAMED})


#: Measurements that a policy can weigh, and all that its conditions can name.
WEIGHED = tuple(field.name for field in fields(Signals) if field.name not in {"tier", "refuses_person"})
NAMED = tuple(field.name for field in fields(Signals))
