"""What the Whisper engine makes of numbers and single digits, on a tiny model that the test writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.whisper_model import write_whisper_model
from tests.speech.recognition.whisper.tiny import CountingModel, HintsUnread, hear, load, nothing
from tests.speech.spoken import spoken
from voicebot.dialog.expectation import AnswerKind
from voicebot.speech.recognition.whisper.engine import WhisperEngine
from voicebot.speech.recognition.whisper.model import Cue, Decoded, Samples, Text
from voicebot.speech.recognition.wire import Request


def test_where_a_number_is_asked_for_digit_strings_of_its_lengths_are_weighed(tmp_path: Path) -> None:
    model = load(write_whisper_model(tmp_path / "reads", says="4 5 1 2"))
    quiet = np.zeros(16000, dtype=np.float32)
    decoded = model.decode(quiet, Cue(lengths=(4,)), lambda: False)
    assert decoded is not None
    assert decoded.numbers[0][0] == "4 5 1 2"
    assert all(len(digits.split()) == 4 for digits, _ in decoded.numbers)
    shares = [share for _, share in decoded.numbers]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) <= 1.0 + 1e-3
    unasked = model.decode(quiet, Cue(), lambda: False)
    assert unasked is not None
    assert unasked.numbers == ()


async def test_a_number_read_out_comes_before_the_text_and_after_words_that_are_none(tmp_path: Path) -> None:
    digits = Request("number", (AnswerKind.DIGITS,), (), (4,), secret=False, domain=None)
    for says, first in (("4 5 1 2", "4 5 1 2"), ("i have lost it", "i have lost it")):
        engine = WhisperEngine(HintsUnread.like(write_whisper_model(tmp_path / says, says=says)), max_sessions=1)
        stream = await engine.open(digits, nothing)
        await hear(stream, spoken("Four five one two."))
        heard = await stream.finish()
        assert heard[0].text == first
        assert [each.confidence for each in heard] == sorted((each.confidence for each in heard), reverse=True)
        await stream.close()
        await engine.close()


class Finds(CountingModel):
    """Finds what it is told to in whatever is said."""

    found: Decoded

    def decode(
        self, samples: Samples, cue: Cue, cancelled: Callable[[], bool], *, draft: bool = False
    ) -> Decoded | None:
        return self.found


async def heard_at_a_number(directory: Path, found: Decoded, digits: int) -> list[str]:
    model = Finds(str(directory), threads=1, compute_type="int8", context_s=5.0, local_only=True)
    model.found = found
    engine = WhisperEngine(model, max_sessions=1)
    stream = await engine.open(
        Request("number", (AnswerKind.DIGITS,), (), (digits,), secret=False, domain=None), nothing
    )
    await hear(stream, spoken("Three."))
    heard = await stream.finish()
    await stream.close()
    await engine.close()
    return [each.text for each in heard]


@pytest.mark.parametrize(
    ("text", "log_probability", "spelled", "heard"),
    [
        ("3 " * 40, -0.2, 0.5, ["3", "2"]),
        ("T", -4.0, 0.5, ["3", "2"]),
        ("Please.", -0.4, 0.5, ["3", "2"]),
        ("2 2 7 1.", -2.0, 0.1, []),
        ("3", -0.2, 0.1, ["3"]),
        ("Stop.", -0.2, 0.1, ["Stop."]),
        ("What", -1.5, 0.1, ["What"]),
    ],
)
async def test_one_digit_is_told_by_its_own_probability(
    directory: Path, text: str, log_probability: float, spelled: float, heard: list[str]
) -> None:
    numbers = (("3", 0.6), ("2", 0.3))
    found = Decoded((Text(text, log_probability),), 0.1, numbers=numbers, spelled=spelled, alone=True)
    assert await heard_at_a_number(directory, found, 1) == heard


async def test_one_digit_among_words_that_go_with_it_is_searched_like_a_number(directory: Path) -> None:
    found = Decoded((Text("It's three.", -0.2),), 0.1, numbers=(("3", 0.6), ("2", 0.3)), spelled=0.3)
    assert await heard_at_a_number(directory, found, 1) == ["3", "2", "It's three."]


def test_of_one_digit_all_ten_are_weighed(tmp_path: Path) -> None:
    model = load(write_whisper_model(tmp_path / "random", says=None))
    noise = np.random.default_rng(3).normal(0, 0.05, 8000).astype(np.float32)
    decoded = model.decode(noise, Cue(lengths=(1,)), lambda: False)
    assert decoded is not None
    shares = dict(decoded.numbers)
    assert sorted(shares) == list("0123456789")
    assert sum(shares.values()) == pytest.approx(1.0)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert decoded.alone
    assert 0.0 < decoded.spelled <= 1.0
    longer = model.decode(np.tile(noise, 4), Cue(lengths=(1,)), lambda: False)
    assert longer is not None
    assert not longer.alone, "a phrase may hold a digit, but it does not come next"


@pytest.mark.parametrize(("says", "no_digit"), [("mm hmm", True), ("maybe", False)])
def test_a_dark_sound_that_is_written_as_a_hum_is_no_digit(tmp_path: Path, says: str, no_digit: bool) -> None:
    model = HintsUnread.like(write_whisper_model(tmp_path / "says", says=says))
    murmur = (0.1 * np.sin(2 * np.pi * 240 * np.arange(8000) / 16000)).astype(np.float32)
    soft_s = np.random.default_rng(1).normal(0, 0.016, 8000).astype(np.float32)
    decoded = model.decode(murmur + soft_s, Cue(lengths=(1,)), lambda: False)
    assert decoded is not None
    assert decoded.texts[0].text == says
    assert decoded.alone
    assert (decoded.spelled == 0.0) is no_digit


@pytest.mark.parametrize(
    ("text", "first"), [("I'm 1 9 0 4.", "5 1 9 0 4"), ("I want 904", "5 1 9 0 4"), ("I moved on 4", "I moved on 4")]
)
async def test_a_number_of_which_a_digit_sounds_like_words_is_searched_among_digits(
    directory: Path, text: str, first: str
) -> None:
    found = Decoded((Text(text, -0.5),), 0.1, numbers=(("5 1 9 0 4", 0.04), ("9 1 9 0 4", 0.03)), spelled=0.5)
    assert (await heard_at_a_number(directory, found, 5))[0] == first
