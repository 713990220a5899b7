"""The turn detector on scripted activity: no audio, no clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.speech.listening.scripted import (
    DIGITS,
    ECHO,
    OPEN,
    SILENT,
    SOFT,
    VOICED,
    YES_NO,
    detector,
    feed,
    kinds,
    until_ended,
)
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.errors import LocalProtocolError
from voicebot.speech.listening.events import (
    BargeInConfirmed,
    BargeInRetracted,
    BargeInSuspected,
    EndReason,
    HintFaded,
    SpeechDropped,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    TalkedTooLong,
    TurnEnded,
    TurnEvent,
)
from voicebot.speech.listening.patience import PATIENCE
from voicebot.speech.listening.turn import Cause, TurnDetector
from voicebot.speech.listening.vad import FRAME_MS


class TestSpeech:
    def test_starts_after_a_tenth_of_a_second_with_audio_from_before(self) -> None:
        turns = detector()
        feed(turns, SILENT, 1000)
        assert feed(turns, VOICED, 80) == []
        (started,) = feed(turns, VOICED, 20)
        assert started == SpeechStarted(start_sample=5600, speech_sample=8000, over_prompt=False)

    def test_of_a_click_does_not_start(self) -> None:
        turns = detector()
        for _ in range(10):
            assert feed(turns, VOICED, 60) == []
            assert feed(turns, SILENT, 200) == []

    def test_with_short_stops_in_it_goes_on(self) -> None:
        turns = detector()
        feed(turns, VOICED, 200)
        for _ in range(10):
            assert feed(turns, SILENT, 120) == []
            assert feed(turns, VOICED, 100) == []

    def test_that_pauses_and_goes_on_is_one_turn(self) -> None:
        turns = detector()
        feed(turns, VOICED, 400)
        (paused,) = feed(turns, SILENT, 300)
        assert paused == SpeechPaused(pause=1, start_sample=0, last_speech_sample=3200, silence_ms=160)
        assert feed(turns, VOICED, 200) == [SpeechResumed(pause=1)]
        ended = next(event for event in feed(turns, SILENT, 2000) if isinstance(event, TurnEnded))
        assert (ended.start_sample, ended.last_speech_sample) == (0, 7200)
        assert ended.voiced_ms == 600
        assert ended.why is EndReason.SILENCE

    def test_a_click_in_a_pause_does_not_prolong_it(self) -> None:
        turns = detector()
        feed(turns, VOICED, 400)
        feed(turns, SILENT, 400)
        assert feed(turns, VOICED, 20) == []
        rest = PATIENCE[AnswerKind.OPEN].unknown_ms - 420
        assert until_ended(turns) == rest

    def test_that_never_ends_is_too_long_and_heard_again_after_a_breath(self) -> None:
        turns = detector(Expectation("start", (AnswerKind.OPEN,), too_long_s=5.0))
        events = feed(turns, VOICED, 6000)
        assert kinds(events) == [SpeechStarted, TalkedTooLong]
        feed(turns, SILENT, 200)
        assert kinds(feed(turns, VOICED, 200)) == [SpeechStarted]

    def test_the_next_turn_does_not_begin_inside_the_last_one(self) -> None:
        turns = detector(YES_NO)
        feed(turns, VOICED, 400)
        until_ended(turns)
        started = feed(turns, VOICED, 100)[0]
        assert isinstance(started, SpeechStarted)
        assert started.start_sample >= 3200


class TestEndOfTurn:
    @pytest.mark.parametrize("kind", AnswerKind)
    def test_without_the_models_word_takes_what_the_expectation_says(self, kind: AnswerKind) -> None:
        turns = detector(Expectation("any", (kind,)))
        feed(turns, VOICED, 400)
        assert until_ended(turns) == pytest.approx(PATIENCE[kind].unknown_ms, abs=FRAME_MS)

    def test_comes_sooner_when_it_sounds_finished_and_later_when_not(self) -> None:
        def waited_ms(probability: float) -> int:
            turns = detector()
            feed(turns, VOICED, 400)
            feed(turns, SILENT, 180)
            turns.turn_probability(probability, pause=1)
            return 180 + until_ended(turns)

        waits = [waited_ms(probability) for probability in (0.999, 0.97, 0.95, 0.9, 0.5, 0.1)]
        assert waits == sorted(waits)
        assert waits[0] == pytest.approx(PATIENCE[AnswerKind.OPEN].finished_ms, abs=FRAME_MS)
        assert waits[-1] == pytest.approx(PATIENCE[AnswerKind.OPEN].unfinished_ms, abs=FRAME_MS)

    def test_follows_the_surest_of_several_judges(self) -> None:
        turns = detector()
        feed(turns, VOICED, 400)
        feed(turns, SILENT, 180)
        turns.turn_probability(0.99, pause=1)
        turns.turn_probability(0.2, pause=1)
        assert 180 + until_ended(turns) == pytest.approx(PATIENCE[AnswerKind.OPEN].finished_ms, abs=FRAME_MS)

    def test_names_the_model_as_its_reason(self) -> None:
        turns = detector()
        feed(turns, VOICED, 400)
        feed(turns, SILENT, 180)
        turns.turn_probability(0.99, pause=1)
        (ended,) = feed(turns, SILENT, 100)
        assert isinstance(ended, TurnEnded)
        assert ended.why is EndReason.MODEL

    def test_ignores_the_models_word_on_an_earlier_pause(self) -> None:
        turns = detector()
        feed(turns, VOICED, 400)
        feed(turns, SILENT, 200)
        feed(turns, VOICED, 400)
        feed(turns, SILENT, 200)
        turns.turn_probability(0.999, pause=1)
        assert 200 + until_ended(turns) == pytest.approx(PATIENCE[AnswerKind.OPEN].unknown_ms, abs=FRAME_MS)

    def test_does_not_fall_between_groups_of_digits(self) -> None:
        turns = detector(DIGITS)
        for _ in range(3):
            feed(turns, VOICED, 600)
            assert TurnEnded not in kinds(feed(turns, SILENT, 1000))

    def test_comes_soon_once_all_digits_were_recognised(self) -> None:
        turns = detector(DIGITS)
        feed(turns, VOICED, 1500)
        feed(turns, SILENT, 200)
        turns.recognised_enough()
        (ended,) = feed(turns, SILENT, 100)
        assert isinstance(ended, TurnEnded)
        assert ended.why is EndReason.ENOUGH

    @pytest.mark.parametrize("enough_ms", [440, 800])
    def test_comes_sooner_where_words_that_may_be_all_and_the_voice_agree(self, enough_ms: int) -> None:
        def waited_ms(probability: float, expectation: Expectation = OPEN) -> int:
            turns = detector(expectation)
            feed(turns, VOICED, 1000)
            feed(turns, SILENT, 200)
            turns.turn_probability(probability, pause=1)
            turns.recognised_enough(after_ms=enough_ms)
            return 200 + until_ended(turns)

        assert waited_ms(0.94) == 320
        assert waited_ms(0.92) == waited_ms(0.5) == enough_ms
        assert waited_ms(0.999) == PATIENCE[AnswerKind.OPEN].finished_ms
        assert waited_ms(0.94, DIGITS) == enough_ms, "a voice sounds finished after every group"

    def test_waits_again_when_more_follows_what_was_enough(self) -> None:
        turns = detector(DIGITS)
        feed(turns, VOICED, 1500)
        feed(turns, SILENT, 200)
        turns.recognised_enough()
        feed(turns, VOICED, 300)
        assert until_ended(turns) == pytest.approx(PATIENCE[AnswerKind.DIGITS].unknown_ms, abs=FRAME_MS)

    def test_waits_again_when_later_words_show_that_it_was_not_all(self) -> None:
        turns = detector()
        feed(turns, VOICED, 600)
        feed(turns, SILENT, 200)
        turns.recognised_enough(after_ms=440)
        turns.recognised_part(broken_off=True)
        assert 200 + until_ended(turns) == PATIENCE[AnswerKind.OPEN].unfinished_ms

    def test_waits_as_for_a_voice_cut_short_where_the_words_break_off(self) -> None:
        turns = detector(OPEN)
        feed(turns, VOICED, 1000)
        (paused,) = (event for event in feed(turns, SILENT, 180) if isinstance(event, SpeechPaused))
        turns.turn_probability(1.0, pause=paused.pause)
        turns.recognised_part(broken_off=True)
        assert 180 + until_ended(turns) == pytest.approx(PATIENCE[AnswerKind.OPEN].unfinished_ms, abs=FRAME_MS)

    def test_waits_no_longer_once_the_missing_word_was_recognised(self) -> None:
        turns = detector(OPEN)
        feed(turns, VOICED, 1000)
        (paused,) = (event for event in feed(turns, SILENT, 180) if isinstance(event, SpeechPaused))
        turns.recognised_part(broken_off=True)
        turns.turn_probability(1.0, pause=paused.pause)
        turns.recognised_part(broken_off=False)
        assert 180 + until_ended(turns) == pytest.approx(PATIENCE[AnswerKind.OPEN].finished_ms, abs=FRAME_MS)

    def test_of_speech_begun_before_the_question_follows_the_new_expectation(self) -> None:
        turns = detector(DIGITS)
        feed(turns, VOICED, 300)
        turns.begin(YES_NO, prompt_playing=False)
        feed(turns, VOICED, 100)
        assert until_ended(turns) == pytest.approx(PATIENCE[AnswerKind.YES_NO].unknown_ms, abs=FRAME_MS)


class TestKeys:
    def test_let_go_of_a_prompt_that_was_lowered(self) -> None:
        turns = detector(prompt_playing=True)
        feed(turns, SOFT, 60)
        turns.prompt_finished()
        assert kinds(turns.key_pressed()) == [HintFaded]

    def test_stop_the_prompt_whatever_it_allows(self) -> None:
        turns = detector()
        turns.prompt_started(interruptible=False)
        assert kinds(turns.key_pressed()) == [BargeInConfirmed]

    def test_drop_what_was_being_said(self) -> None:
        turns = detector()
        feed(turns, VOICED, 300)
        assert kinds(turns.key_pressed()) == [SpeechDropped]
        assert feed(turns, SILENT, 2000) == []

    def test_are_not_heard_as_speech_themselves(self) -> None:
        turns = detector()
        turns.key_pressed()
        assert feed(turns, VOICED, 200) == []

    def test_leave_room_for_speech_after_them(self) -> None:
        turns = detector()
        turns.key_pressed()
        feed(turns, SILENT, 300)
        assert kinds(feed(turns, VOICED, 100)) == [SpeechStarted]


def test_a_transition_that_the_table_lacks_is_our_own_fault() -> None:
    with pytest.raises(LocalProtocolError, match="no transition from quiet by meant"):
        detector()._set_state(Cause.MEANT)


_STEPS: dict[str, Callable[[TurnDetector], list[TurnEvent] | None]] = {
    "voiced": lambda turns: turns.feed(VOICED),
    "silent": lambda turns: turns.feed(SILENT),
    "echo": lambda turns: turns.feed(ECHO),
    "prompt": lambda turns: turns.prompt_started(),
    "statement": lambda turns: turns.prompt_started(interruptible=False),
    "prompt over": lambda turns: turns.prompt_finished(),
    "finished": lambda turns: turns.turn_probability(0.99, pause=1),
    "enough": lambda turns: turns.recognised_enough(),
    "words": lambda turns: turns.words_heard(meant=True),
    "uh-huh": lambda turns: turns.words_heard(meant=False),
    "key": lambda turns: turns.key_pressed(),
    "digits": lambda turns: turns.begin(DIGITS, prompt_playing=True),
    "open": lambda turns: turns.begin(OPEN, prompt_playing=False),
}


@given(st.lists(st.tuples(st.sampled_from(sorted(_STEPS)), st.integers(1, 60)), max_size=40))
def test_whatever_happens_each_utterance_starts_once_and_ends_once(steps: list[tuple[str, int]]) -> None:
    turns = detector(Expectation("any", (AnswerKind.OPEN,), too_long_s=1.0))
    open_utterance = False
    for name, times in steps:
        for _ in range(times):
            for event in _STEPS[name](turns) or []:
                match event:
                    case SpeechStarted(start_sample=start, speech_sample=speech):
                        assert not open_utterance
                        assert 0 <= start <= speech <= turns.position_samples
                        open_utterance = True
                    case SpeechPaused() | SpeechResumed():
                        assert open_utterance
                    case TurnEnded() | TalkedTooLong() | SpeechDropped() | BargeInRetracted():
                        assert open_utterance
                        open_utterance = False
                    case BargeInSuspected() | BargeInConfirmed():
                        pass
