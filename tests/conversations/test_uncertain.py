"""What the classifier is unsure of is asked about, with its real scores, and not guessed."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.dialog.strategies import shipped_bot
from voicebot.dialog.actions import Say, SetGoal
from voicebot.dialog.conversation import Conversation
from voicebot.dialog.events import CallerPressed, CallerSpoke, CallStarted
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.language.understanding import Understanding

AT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
VAGUE = (
    "i need something sent",
    "tuesday",
    "my money",
    "can you check something on my account",
    "something about the shop",
    "it's for my mother",
    "what about my things",
    "i have to see somebody on monday",
)


def test_a_request_between_none_and_sure_is_asked_about_and_a_yes_begins_it() -> None:
    bot = shipped_bot()
    understanding = Understanding(bot.intents)
    asked_about = []
    for text in VAGUE:
        readings = understanding.interpret([(text, 1.0)], Expectation("first", (AnswerKind.OPEN,)), AT)
        scores = readings[0].intents
        if not scores or not bot.understanding.clarify <= scores[0].confidence < bot.understanding.accept:
            continue
        conversation = Conversation(bot)
        conversation.step(CallStarted(AT, "twilio", "", "", "UTC", 1, call_id="c1"))
        actions = conversation.step(CallerSpoke(AT, readings))
        said = " ".join(action.text for action in actions if isinstance(action, Say))
        assert "Is this about" in said, text
        assert not any(isinstance(action, SetGoal) for action in actions)
        chosen = conversation.step(CallerPressed(AT, "1"))
        assert any(isinstance(action, SetGoal) and action.goal == scores[0].intent for action in chosen)
        asked_about.append(text)
    assert asked_about, "no phrase is uncertain any more: find others"
