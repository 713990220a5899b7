"""Speech over a prompt, told to the turn detector as scripted activity."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.speech.listening.scripted import ECHO, SILENT, SOFT, VOICED, YES_NO, detector, feed, kinds, until_ended
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.speech.listening.events import (
    BargeInConfirmed,
    BargeInRetracted,
    BargeInSuspected,
    HintFaded,
    RetractReason,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    TurnEnded,
    VoiceHinted,
)
from voicebot.speech.listening.patience import PATIENCE
from voicebot.speech.listening.turn import TurnState
from voicebot.speech.listening.vad import FRAME_MS, Activity


class TestBargeIn:
    def test_is_suspected_within_a_fifth_of_a_second(self) -> None:
        turns = detector(prompt_playing=True)
        feed(turns, SILENT, 1000)
        events = feed(turns, VOICED, 200)
        assert kinds(events) == [VoiceHinted, BargeInSuspected, SpeechStarted]

    def test_is_hinted_at_by_a_soft_beginning_before_a_voice_is_known(self) -> None:
        turns = detector(prompt_playing=True)
        assert kinds(feed(turns, SOFT, 60)) == [VoiceHinted]
        assert feed(turns, SOFT, 400) == []
        assert kinds(feed(turns, VOICED, 120)) == [BargeInSuspected, SpeechStarted]

    def test_that_was_only_hinted_at_fades(self) -> None:
        turns = detector(prompt_playing=True)
        feed(turns, SOFT, 60)
        assert kinds(feed(turns, SILENT, 160)) == [HintFaded]
        assert turns.state is TurnState.QUIET

    def test_is_not_hinted_at_without_a_prompt_or_over_one_that_may_not_be_interrupted(self) -> None:
        assert feed(detector(), SOFT, 400) == []
        turns = detector(prompt_playing=True)
        turns.prompt_started(interruptible=False)
        assert feed(turns, SOFT, 400) == []

    def test_hint_fades_with_the_end_of_the_prompt(self) -> None:
        turns = detector(prompt_playing=True)
        feed(turns, SOFT, 60)
        turns.prompt_finished()
        assert kinds(feed(turns, SOFT, 20)) == [HintFaded]

    def test_of_one_who_goes_on_speaking_is_confirmed_within_600_ms(self) -> None:
        turns = detector(prompt_playing=True)
        feed(turns, VOICED, 200)
        assert feed(turns, VOICED, 400) == [BargeInConfirmed(speech_sample=0)]

    def test_that_begins_softly_is_confirmed_as_soon(self) -> None:
        turns = detector(prompt_playing=True)
        feed(turns, SILENT, 1000)
        feed(turns, SOFT, 260)
        assert BargeInConfirmed not in kinds(feed(turns, VOICED, 180))
        assert kinds(feed(turns, VOICED, 100)) == [BargeInConfirmed], "within 600 ms of its first sound"

    def test_of_what_else_was_heard_before_the_voice_little_counts(self) -> None:
        turns = detector(prompt_playing=True)
        feed(turns, SOFT, 2000)
        assert BargeInConfirmed not in kinds(feed(turns, VOICED, 160))

    def test_is_retracted_for_a_short_sound(self) -> None:
        turns = detector(prompt_playing=True)
        feed(turns, VOICED, 300)
        events = feed(turns, SILENT, 1000)
        assert kinds(events) == [SpeechPaused, BargeInRetracted]
        assert events[-1] == BargeInRetracted(speech_sample=0, why=RetractReason.TOO_SHORT)
        assert turns.state is TurnState.QUIET

    def test_of_two_short_sounds_is_retracted(self) -> None:
        turns = detector(prompt_playing=True)
        feed(turns, VOICED, 240)
        feed(turns, SILENT, 240)
        assert BargeInConfirmed not in kinds([*feed(turns, VOICED, 240), *feed(turns, SILENT, 1000)])

    def test_is_confirmed_for_a_short_answer_where_one_is_asked_for(self) -> None:
        turns = detector(YES_NO, prompt_playing=True)
        feed(turns, VOICED, 240)
        assert kinds(feed(turns, SILENT, 200)) == [BargeInConfirmed, SpeechPaused]
        assert 200 + until_ended(turns) == pytest.approx(PATIENCE[AnswerKind.YES_NO].unknown_ms, abs=FRAME_MS)

    def test_is_confirmed_by_words_in_a_short_sound(self) -> None:
        turns = detector(prompt_playing=True)
        feed(turns, VOICED, 300)
        feed(turns, SILENT, 200)
        turns.words_heard(meant=True)
        assert kinds(feed(turns, SILENT, 20)) == [BargeInConfirmed]
        assert until_ended(turns)

    def test_is_retracted_at_once_when_the_words_were_no_request(self) -> None:
        turns = detector(prompt_playing=True)
        feed(turns, VOICED, 300)
        feed(turns, SILENT, 200)
        turns.words_heard(meant=False)
        assert feed(turns, SILENT, 20) == [BargeInRetracted(speech_sample=0, why=RetractReason.NO_WORDS)]

    def test_of_what_so_far_is_only_uh_huh_takes_longer_to_confirm(self) -> None:
        turns = detector(prompt_playing=True)
        feed(turns, VOICED, 300)
        turns.words_heard(meant=False)
        assert feed(turns, VOICED, 400) == []
        assert kinds(feed(turns, VOICED, 200)) == [BargeInConfirmed]

    def test_of_a_voice_in_a_steady_beat_is_confirmed_before_the_prompt_has_waited_for_long(self) -> None:
        turns = detector(prompt_playing=True)
        heard = [event for _ in range(6) for event in (*feed(turns, VOICED, 200), *feed(turns, SILENT, 200))]
        assert kinds(heard).count(BargeInConfirmed) == 1

    def test_is_no_longer_believed_over_a_prompt_that_was_stopped_for_nothing_again_and_again(self) -> None:
        turns = detector(prompt_playing=True)
        for _ in range(4):
            assert BargeInRetracted in kinds([*feed(turns, VOICED, 240), *feed(turns, SILENT, 800)])
        assert feed(turns, VOICED, 1000) == []
        turns.prompt_finished()
        assert kinds(feed(turns, VOICED, 100)) == [SpeechStarted], "after it the caller is heard"

    def test_over_music_that_was_stopped_for_nothing_again_and_again_is_believed_after_a_while(self) -> None:
        turns = detector()
        turns.prompt_started(wordless=True)
        for _ in range(3):
            for _ in range(4):
                assert BargeInRetracted in kinds([*feed(turns, VOICED, 240), *feed(turns, SILENT, 800)])
            assert feed(turns, VOICED, 1000) == [], "the music comes on"
            assert feed(turns, SILENT, 2000) == []
        assert BargeInConfirmed in kinds(feed(turns, VOICED, 1000))

    def test_is_believed_where_the_prompt_came_on_between_its_stops(self) -> None:
        turns = detector(prompt_playing=True)
        for _ in range(8):
            assert BargeInRetracted in kinds([*feed(turns, VOICED, 240), *feed(turns, SILENT, 4000)])

    def test_over_a_prompt_that_was_let_go_on_for_its_words_counts_as_a_stop_for_nothing(self) -> None:
        turns = detector(prompt_playing=True)
        for _ in range(4):
            assert TurnEnded in kinds([*feed(turns, VOICED, 600), *feed(turns, SILENT, 1500)])
            turns.prompt_went_on()
        assert feed(turns, VOICED, 1000) == []

    def test_is_not_confirmed_by_the_dying_away_of_a_short_sound(self) -> None:
        turns = detector(prompt_playing=True)
        feed(turns, VOICED, 420)
        feed(turns, replace(VOICED, level_dbfs=-45.0), 60)
        assert BargeInConfirmed not in kinds(feed(turns, SILENT, 800))

    def test_counts_from_where_the_sound_began(self) -> None:
        turns = detector(prompt_playing=True)
        feed(turns, SILENT, 1000)
        feed(turns, replace(VOICED, speech=False), 60)
        events = feed(turns, VOICED, 200)
        assert events[0] == BargeInSuspected(speech_sample=8000)

    def test_is_not_even_suspected_for_an_echo_known_from_its_sixth_frame(self) -> None:
        turns = detector(prompt_playing=True)
        for _ in range(10):
            assert kinds(feed(turns, VOICED, 100)) == [VoiceHinted]
            assert kinds(feed(turns, ECHO, 400)) == [HintFaded]

    def test_is_retracted_when_it_turns_out_to_be_echo(self) -> None:
        turns = detector(prompt_playing=True)
        feed(turns, VOICED, 140)
        events = feed(turns, ECHO, 400)
        assert events[-1] == BargeInRetracted(speech_sample=0, why=RetractReason.ECHO)

    def test_waits_for_the_end_of_a_prompt_that_may_not_be_interrupted(self) -> None:
        turns = detector()
        turns.prompt_started(interruptible=False)
        assert feed(turns, VOICED, 1000) == []
        turns.prompt_finished()
        (started,) = feed(turns, VOICED, 100)
        assert isinstance(started, SpeechStarted)
        assert not started.over_prompt

    def test_is_not_allowed_where_the_expectation_forbids_it(self) -> None:
        turns = detector(Expectation("terms", (AnswerKind.YES_NO,), barge_in=False), prompt_playing=True)
        assert feed(turns, VOICED, 1000) == []

    @pytest.mark.parametrize("then", [VOICED, SILENT])
    def test_over_a_prompt_that_ends_meanwhile_is_confirmed_for_what_waits_behind_it(self, then: Activity) -> None:
        turns = detector(prompt_playing=True)
        feed(turns, VOICED, 200)
        feed(turns, then, 160)
        turns.prompt_finished()
        assert feed(turns, then, 20) == [BargeInConfirmed(speech_sample=0)]

    def test_lets_go_of_a_prompt_that_ends_with_the_frame_that_makes_it_a_voice(self) -> None:
        turns = detector(prompt_playing=True)
        feed(turns, VOICED, 80)
        turns.prompt_finished()
        assert kinds(feed(turns, VOICED, 20)) == [HintFaded, SpeechStarted]

    def test_stops_a_prompt_that_starts_in_the_callers_pause(self) -> None:
        turns = detector()
        feed(turns, VOICED, 300)
        feed(turns, SILENT, 200)
        turns.prompt_started()
        assert kinds(feed(turns, VOICED, 60)) == [SpeechResumed, BargeInConfirmed]

    def test_over_as_a_prompt_starts_is_judged_by_its_words(self) -> None:
        turns = detector(YES_NO)
        feed(turns, VOICED, 300)
        feed(turns, SILENT, 200)
        turns.prompt_started()
        assert kinds(feed(turns, SILENT, 1000)) == [BargeInConfirmed, TurnEnded]

    def test_stops_a_prompt_that_starts_while_the_caller_speaks(self) -> None:
        turns = detector()
        feed(turns, VOICED, 300)
        turns.prompt_started()
        assert feed(turns, VOICED, 40) == [BargeInConfirmed(speech_sample=0)]
