"""What a caller and an agent say to each other goes into the record: both sides, in time, and nothing unasked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from tests.fakes.buzz import buzz
from tests.fakes.journal import MemoryJournal
from tests.fakes.transcriber import ScriptedTranscriber
from voicebot.calls.transfer.seams import TalkLine
from voicebot.calls.transfer.talk import WrittenTalk
from voicebot.dialog.expectation import Expectation
from voicebot.media.bridge import Observe, Side
from voicebot.records.record import Speaker
from voicebot.records.redacting import TurnRedactor
from voicebot.speech.asr import Final, Hypothesis, Utterance, Word
from voicebot.speech.dictation import Dictation
from voicebot.speech.scribe import Scribe
from voicebot.telephony.leg import SILENT_FRAME, FrameReceived

STARTED_S = 50.0
FRAME_S = 0.02


@dataclass
class Heard:
    """A talk with a scripted engine; frames go in as fast as they can."""

    dictation: Dictation
    recorded: bool = True
    most_waiting_s: float = 60.0
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    shown: list[TalkLine] = field(default_factory=list)
    unwritten: list[str] = field(default_factory=list)
    now_s: float = STARTED_S

    def __post_init__(self) -> None:
        self.scribe = Scribe(self.unwritten.append, most_waiting_s=self.most_waiting_s)
        self.talk = WrittenTalk(
            "call-1",
            started_s=STARTED_S,
            dictation=self.dictation,
            scribe=self.scribe,
            journal=self.journal,
            is_recorded=lambda: self.recorded,
            make_judge=lambda: None,
        )

    def say(self, observe: Observe, side: Side, frames: Iterable[bytes]) -> None:
        for frame in frames:
            self.now_s += FRAME_S
            observe(side, FrameReceived(frame, self.now_s))

    def speak(self, observe: Observe, side: Side, seconds: float = 1.0) -> None:
        self.say(observe, side, [*buzz(seconds), *[SILENT_FRAME] * 75])

    @property
    def said(self) -> list[tuple[Speaker, str]]:
        return [(turn.speaker, turn.text) for turn in self.journal.turns]


def scripted(*words: str | None, delay_s: float = 0.0) -> Dictation:
    return Dictation(ScriptedTranscriber(list(words), delay_s=delay_s), engine="scripted", model="1")


async def test_both_sides_are_turns_of_the_record_with_their_times() -> None:
    heard = Heard(scripted("what can I do for you", "my parcel is late"))
    async with heard.scribe.running():
        with heard.talk.listening(heard.shown.append) as observe:
            heard.say(observe, Side.AGENT, [SILENT_FRAME] * 50)
            heard.speak(observe, Side.AGENT)
            heard.speak(observe, Side.CALLER)
        await heard.talk.close()
    agent, caller = heard.journal.turns
    assert heard.said == [(Speaker.AGENT, "what can I do for you"), (Speaker.CALLER, "my parcel is late")]
    assert (agent.engine, agent.confidence, agent.intent, agent.prompt) == ("scripted", 0.9, None, None)
    assert agent.at_ms == pytest.approx(700, abs=150)
    assert caller.at_ms == pytest.approx(3500, abs=150)
    assert caller.heard_ms == pytest.approx(1000, abs=250)
    assert heard.shown == [TalkLine(turn.speaker.value, turn.at_ms, turn.text) for turn in (agent, caller)]
    assert heard.journal.dictation == "Written down by scripted 1."


async def test_a_third_partys_words_are_an_agents() -> None:
    heard = Heard(scripted("hello from the second floor"))
    async with heard.scribe.running():
        with heard.talk.listening(heard.shown.append) as observe:
            heard.speak(observe, Side.THIRD)
        await heard.talk.close()
    assert heard.said == [(Speaker.AGENT, "hello from the second floor")]


async def test_nothing_is_heard_while_the_recording_is_stopped() -> None:
    heard = Heard(scripted("before", "after"))
    async with heard.scribe.running():
        with heard.talk.listening(heard.shown.append) as observe:
            heard.say(observe, Side.CALLER, buzz(1.0))
            heard.recorded = False
            heard.speak(observe, Side.CALLER, 3.0)
            heard.recorded = True
            # What is on the line a moment longer belongs to what was not to be heard.
            heard.say(observe, Side.CALLER, buzz(0.4))
            heard.say(observe, Side.CALLER, [SILENT_FRAME] * 50)
            heard.speak(observe, Side.CALLER)
        await heard.talk.close()
    before, after = heard.journal.turns
    assert (before.text, after.text) == ("before", "after")
    assert before.heard_ms < 1400, "it ends where the recording was stopped"
    assert after.at_ms > 6000


async def test_a_call_that_is_not_recorded_is_not_written_down_and_says_so() -> None:
    heard = Heard(scripted("never"), recorded=False)
    async with heard.scribe.running():
        with heard.talk.listening(heard.shown.append) as observe:
            heard.speak(observe, Side.AGENT)
        await heard.talk.close()
    assert heard.journal.turns == []
    assert heard.journal.dictation == "Not written down: the call is not recorded."


async def test_without_recognition_the_record_says_why_there_are_no_words() -> None:
    heard = Heard(Dictation(None, why_not="recognition is switched off"))
    with heard.talk.listening(heard.shown.append) as observe:
        heard.speak(observe, Side.AGENT)
    await heard.talk.close()
    assert heard.journal.turns == []
    assert heard.journal.dictation == "Not written down: recognition is switched off."


class Sphinx:
    """A recogniser that knows only what flows expect, and hears it in whatever is said."""

    async def start(self, expectation: Expectation) -> Utterance:
        scripted = await ScriptedTranscriber(["x"]).start(expectation)

        async def finish() -> Final:
            sure = (("refund", 0.97), ("no", 0.99), ("balance", 0.3), ("express", 0.95), ("delivery", 0.96))
            words = tuple(Word(text, number, number + 1, share) for number, (text, share) in enumerate(sure))
            return Final((Hypothesis("refund no balance express delivery", 0.9, words),), "pocketsphinx", 1.0)

        scripted.finish = finish  # type: ignore[method-assign]  # one method of the fake is another's
        return scripted


async def test_without_a_dictation_engine_only_spotted_phrases_are_kept_and_the_record_says_so() -> None:
    dictation = Dictation(Sphinx(), ("refund", "balance", "express delivery"), engine="pocketsphinx")
    heard = Heard(dictation)
    async with heard.scribe.running():
        with heard.talk.listening(heard.shown.append) as observe:
            heard.speak(observe, Side.CALLER)
        await heard.talk.close()
    (turn,) = heard.journal.turns
    assert turn.text == "… refund … express delivery …"
    assert turn.words == ()
    assert turn.decision == "only spotted phrases: no dictation engine is installed"
    assert "no dictation engine is installed" in heard.journal.dictation


async def test_what_there_was_no_time_for_is_in_the_record_without_words() -> None:
    heard = Heard(scripted("the first"), most_waiting_s=2.5)
    with heard.talk.listening(heard.shown.append) as observe:
        heard.speak(observe, Side.AGENT)
        heard.speak(observe, Side.CALLER)
    async with heard.scribe.running():
        await heard.talk.close()
    written, missing = heard.journal.turns
    assert (written.text, missing.text) == ("the first", "")
    assert missing.speaker is Speaker.CALLER
    assert missing.heard_ms > 0
    assert missing.decision == "not written down: too much was waiting"
    assert "1 passage is missing" in heard.journal.dictation
    assert heard.unwritten == ["busy"]


async def test_the_end_of_the_call_does_not_wait_for_a_slow_engine() -> None:
    heard = Heard(scripted("too late", delay_s=60.0))
    async with heard.scribe.running():
        with heard.talk.listening(heard.shown.append) as observe:
            heard.speak(observe, Side.AGENT)
            heard.speak(observe, Side.CALLER)
        await asyncio.sleep(0.05)
        await heard.talk.close(0.05)
    assert [turn.decision for turn in heard.journal.turns] == ["not written down: the call was over before"] * 2
    assert "2 passages are missing" in heard.journal.dictation


async def test_a_card_number_told_to_an_agent_is_not_shown_at_the_desk() -> None:
    heard = Heard(scripted("what is your card number", "4111 1111 1111 1111"))
    async with heard.scribe.running():
        with heard.talk.listening(heard.shown.append) as observe:
            heard.speak(observe, Side.AGENT)
            heard.speak(observe, Side.CALLER)
        await heard.talk.close()
    assert [line.text for line in heard.shown] == ["what is your card number", "[card number]"]


async def test_an_answer_nobody_understood_to_a_question_for_a_card_is_silence_in_the_recording() -> None:
    # The engine made a plural of the card, and nothing of sixteen times the same digit.
    heard = Heard(scripted("and the number of your cards please", ""))
    async with heard.scribe.running():
        with heard.talk.listening(heard.shown.append) as observe:
            heard.speak(observe, Side.AGENT)
            heard.speak(observe, Side.CALLER)
        await heard.talk.close()
    redactor = TurnRedactor()
    *_, kept = [each.turn for turn in heard.journal.turns for each in redactor.add(turn)]
    assert [redaction.kind for redaction in kept.redactions] == ["card"]
