"""What a check or a publish learns from the bot's examples, and the figures that an admin is shown with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from voicebot.dialog.check import ExampleTaken
from voicebot.dialog.flow import Bot
from voicebot.settings import Settings

if TYPE_CHECKING:
    from voicebot.language.understanding import Understanding


class Learning:
    """Learns a bot's requests once, with the classifier that will understand callers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._learnt: Understanding | None = None

    def collide(self, intents: Mapping[str, Sequence[str]]) -> Sequence[ExampleTaken]:
        """Learn, keep it for the server, and return which examples are taken for another intent."""
        # Imported here: the libraries behind it take a second, which a quick check should not pay.
        from voicebot.app.understanding import learn_requests  # noqa: PLC0415

        examples = {name: tuple(sentences) for name, sentences in intents.items()}
        learnt = learn_requests(examples, self._settings.models, self._settings.data)
        self._learnt = learnt
        return [ExampleTaken(one.example, one.intent, one.taken_for, one.confidence) for one in learnt.collisions]

    def document(self, bot: Bot | None) -> dict[str, object] | None:
        """Return the figures for programs; None when nothing was learnt."""
        if self._learnt is None or bot is None:
            return None
        learnt, act_from = self._learnt, bot.understanding.accept
        level, trials = learnt.threshold.confidence, learnt.trials
        return {
            "encoder": learnt.has_encoder,
            "act_from": act_from,
            "none_below": level,
            "examples": asdict(trials.shares(level, act_from, in_scope=True)),
            "other_talk": asdict(trials.shares(level, act_from, in_scope=False)),
            "calibration_error": trials.calibration_error(),
            "reliability": [asdict(each) for each in trials.reliability()],
        }

    def lines(self, bot: Bot | None) -> tuple[str, ...]:
        """Return the figures for people; nothing when nothing was learnt."""
        if self._learnt is None or bot is None:
            return ()
        learnt, act_from = self._learnt, bot.understanding.accept
        level, trials = learnt.threshold.confidence, learnt.trials
        examples = trials.shares(level, act_from, in_scope=True)
        others = trials.shares(level, act_from, in_scope=False)
        means = "meaning and words" if learnt.has_encoder else "words alone, since no sentence encoder is installed"
        asked = f"{others.asked:.0%} asked about, {others.none:.0%} turned away"
        return (
            f"Requests are understood by {means}: acted on from {act_from:.0%}, asked about from {level:.0%}.",
            (
                f"  {examples.trials} examples, each left out of training: {examples.acted:.0%} acted on"
                f" ({examples.acted_right:.0%} of them right), {examples.asked:.0%} asked about"
                f" ({examples.asked_right:.0%} right), {examples.none:.0%} turned away."
            ),
            f"  {others.trials} sentences that are none of the bot's: {others.acted:.0%} acted on, {asked}.",
            f"  The figures are off by {100 * trials.calibration_error():.0f} points in the mean:",
            *(
                f"    where it was {each.low:.0%} to {each.high:.0%} sure, {each.right:.0%} were right"
                f" ({each.trials} sentences)"
                for each in trials.reliability()
            ),
        )
