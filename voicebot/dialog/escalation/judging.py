"""How good a policy is on calls of which it is known when a person should have taken over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from voicebot.dialog.escalation.deciding import decide
from voicebot.dialog.escalation.decision import Decision, Standing
from voicebot.dialog.escalation.policy import EscalationPolicy
from voicebot.dialog.escalation.signals import Signals


@dataclass(frozen=True, slots=True)
class MeasuredTurn:
    """A turn's signals and the request that was under way."""

    about: str
    signals: Signals


@dataclass(frozen=True, slots=True)
class MeasuredCall:
    """A call of which it is known at which turn (from 1) a person should take over, None for never."""

    id: str
    turns: tuple[MeasuredTurn, ...]
    person_at: int | None


@dataclass(frozen=True, slots=True)
class Figures:
    """How a policy did. `right` are calls handed over when they should be or later, `late` their turns too late.

    A call handed over that should not be, or earlier than it should, is a `false` alarm; `missed` went on to the end.
    """

    right: int
    false: int
    missed: int
    quiet: int
    late: tuple[int, ...]

    @property
    def precision(self) -> float:
        """Share of the calls handed over that were right; 1 when none was."""
        return self.right / (self.right + self.false) if self.right + self.false else 1.0

    @property
    def recall(self) -> float:
        """Share of the calls due that were handed over and not too early; 1 when none was due."""
        due = self.right + self.missed
        return self.right / due if due else 1.0

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def decisions(policy: EscalationPolicy, turns: Iterable[MeasuredTurn]) -> list[Decision]:
    """Return what a policy decides turn by turn, up to the turn in which a person takes over."""
    found = []
    standing = Standing()
    for turn in turns:
        decision, standing = decide(policy, turn.signals, standing, turn.about)
        found.append(decision)
        if decision.rung and decision.rung.is_takeover:
            break
    return found


def takeover_at(policy: EscalationPolicy, turns: Sequence[MeasuredTurn]) -> int | None:
    """Return the turn, from 1, at which a policy has a person take over."""
    found = decisions(policy, turns)
    last = found[-1].rung if found else None
    return len(found) if last and last.is_takeover else None


def judge(calls: Iterable[MeasuredCall], take_over: Callable[[MeasuredCall], int | None]) -> Figures:
    """Compare what `take_over` says of each call with what should have been."""
    right = false = missed = quiet = 0
    late = []
    for call in calls:
        at = take_over(call)
        if at is None:
            missed += call.person_at is not None
            quiet += call.person_at is None
        elif call.person_at is None:
            false += 1
        elif at < call.person_at:
            # The person is there, but nobody had asked for them yet: an alarm that was not due.
            false += 1
            missed += 1
        else:
            right += 1
            late.append(at - call.person_at)
    return Figures(right, false, missed, quiet, tuple(late))
