"""What a check or a publish learns from the bot's examples, and the figures that an admin is shown with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from voicebot.dialog.check import ExampleTaken
from voicebot.dialog.flow import Bot
from voicebot.dialog.rehearsal import Understand
from voicebot.dialog.story import SURE, CallerSays, Story
from voicebot.settings import Settings

if TYPE_CHECKING:
    from voicebot.language.understanding import Understanding


def reader(bot: Bot, stories: Sequence[Story], settings: Settings) -> Understand | None:
    """Return what reads the callers' words of stories that do not say what they mean; None where all of them do."""
    if all(step.readings for story in stories for step in story.steps if isinstance(step, CallerSays)):
        return None
    # Imported here: the libraries behind it take a second, which stories that say it themselves should not pay.
    from voicebot.app.understanding import learn_requests  # noqa: PLC0415

    understanding = learn_requests(bot.intents, settings.models, settings.data)
    return lambda text, expectation, now: understanding.interpret([(text, SURE)], expectation, now)


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
        asks = f"from {level:.0%} it asks whether that is meant, below" if level < act_from else "below"
        wrong = examples.acted * (1 - examples.acted_right)
        return (
            "How well requests are understood, tried with sentences that the bot was not trained on:",
            f"  By {means}. {max(act_from, level):.0%} sure or more, the bot does what it understood;",
            f"  {asks} that it says that it did not understand.",
            (
                f"  {examples.trials} of your examples, each as if it were new: {examples.acted - wrong:.0%} done,"
                f" {wrong:.0%} taken for another, {examples.asked:.0%} asked about, {examples.none:.0%} not understood."
            ),
            "    Not understood too often? Give the intents more examples, in the words of callers.",
            f"  {others.trials} sentences that are none of the bot's, other talk and requests that it was not taught",
            (
                f"  for the trial: {others.acted:.0%} taken for a request, {others.asked:.0%} asked about,"
                f" {others.none:.0%} rightly not understood."
            ),
            "    Taken too often? Reword examples that could mean many things; a request that callers make often",
            "    and that the bot cannot do may have a flow of its own, which says so.",
            "  How far to trust its figures: when it said it was so sure, so many were right:",
            *(
                f"    {each.low:.0%} to {each.high:.0%} sure: {each.right:.0%} right ({each.trials} sentences)"
                for each in trials.reliability()
            ),
            f"    In the mean the two are {100 * trials.calibration_error():.0f} points apart.",
        )
