from hypothesis import given
from hypothesis import strategies as st

from voicebot.media.playback import Heard, Piece, Playback


def _spoken(playback: Playback, utterance_id: str, start: int, *pieces: tuple[str, int]) -> int:
    playback.began(utterance_id, start)
    for text, samples in pieces:
        playback.piece(Piece(text, samples, complete=True))
        start += samples
    playback.ended(start)
    return start


def test_an_utterance_is_heard_when_its_last_sample_was_played() -> None:
    playback = Playback()
    end = _spoken(playback, "a", 0, ("good morning", 8000))
    assert playback.played(end - 1) == []
    assert playback.played(end) == [Heard("a", 1000, "good morning", cut=False)]
    assert not playback.busy


def test_a_cut_tells_the_words_that_were_heard_across_pieces() -> None:
    playback = Playback()
    _spoken(playback, "a", 0, ("your balance is", 8000), ("ten dollars and fifty cents", 16000))
    assert playback.cut(8000 + 6400) == [Heard("a", 1800, "your balance is ten dollars", cut=True)]


def test_a_cut_ends_every_utterance_that_waits() -> None:
    playback = Playback()
    end = _spoken(playback, "a", 0, ("one two", 3200))
    _spoken(playback, "b", end, ("three four", 3200))
    assert playback.cut(end) == [Heard("a", 400, "one two", cut=False), Heard("b", 0, "", cut=True)]


def test_audio_sent_again_after_a_pause_counts_once() -> None:
    playback = Playback()
    end = _spoken(playback, "a", 0, ("one two three four", 6400))
    # 3,200 samples were heard, the other half was dropped and will be sent again.
    playback.postpone(3200)
    assert playback.played(end) == []
    assert playback.played(end + 3200) == [Heard("a", 800, "one two three four", cut=False)]


def test_a_cut_inside_a_piece_still_being_rendered_guesses_by_its_words() -> None:
    playback = Playback()
    playback.began("a", 0)
    playback.piece(Piece("one two three four", samples=2800))
    assert playback.cut(2800) == [Heard("a", 350, "one", cut=True)]


@given(st.lists(st.integers(1, 9000), min_size=1, max_size=6), st.integers(0, 60_000))
def test_no_utterance_is_lost_or_reported_twice(lengths: list[int], position: int) -> None:
    playback = Playback()
    start = 0
    for index, samples in enumerate(lengths):
        start = _spoken(playback, str(index), start, ("word word", samples))
    reported = [heard.utterance_id for heard in playback.played(position) + playback.cut(position)]
    assert reported == [str(index) for index in range(len(lengths))]
