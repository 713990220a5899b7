"""Whisper's decoder on onnxruntime beside CTranslate2's own, on tiny models that the test writes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest
from structlog.testing import capture_logs

from tests.fakes.whisper_model import write_whisper_model
from tests.speech.recognition.whisper.tiny import TEXT
from voicebot.speech.recognition.whisper import decoder as decoders
from voicebot.speech.recognition.whisper.decoder import Decoder, Floats, Marks, Usual, Writing
from voicebot.speech.recognition.whisper.model import Cue, Model

_FRAMES = 500
_PROMPT_LETTERS = list(range(40, 48))


class Both:
    """One model, read by both."""

    def __init__(self, directory: Path, compute_type: str = "int8") -> None:
        self.whisper = ctranslate2.models.Whisper(str(directory), device="cpu", compute_type=compute_type)
        self.decoder = Decoder(directory / "model.bin", threads=1)
        names = json.loads((directory / "vocabulary.json").read_text())
        token = {name: place for place, name in enumerate(names)}
        self.prompt = [token["<|startofprev|>"], *_PROMPT_LETTERS, token["<|startoftranscript|>"]]
        self.prompt.append(token["<|notimestamps|>"])
        self.marks = Marks(
            start=token["<|startoftranscript|>"],
            end=token["<|endoftext|>"],
            no_speech=token["<|nospeech|>"],
            never=[5, 6, 7, token["<|startofprev|>"]],
            not_first=[token["<|endoftext|>"]],
        )

    def encoded(self, seed: int) -> Floats:
        features = np.random.default_rng(seed).normal(0, 1, (1, 80, _FRAMES)).astype(np.float32)
        return np.array(self.whisper.encode(ctranslate2.StorageView.from_array(features)))

    def theirs(self, encoded: Floats, most: int) -> tuple[list[int], float]:
        (result,) = self.whisper.generate(
            ctranslate2.StorageView.from_array(encoded),
            [self.prompt],
            beam_size=1,
            max_length=2 * most,
            suppress_blank=True,
            suppress_tokens=list(self.marks.never),
            return_scores=True,
        )
        return result.sequences_ids[0], result.scores[0]

    def ours(self, encoded: Floats) -> Writing:
        return Writing(self.decoder, encoded, self.prompt, self.marks)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whisper_model(tmp_path_factory.mktemp("models") / "random", says=None)


@pytest.fixture(scope="module")
def random(directory: Path) -> Both:
    return Both(directory)


@pytest.mark.parametrize("seed", range(6))
def test_the_next_token_is_as_likely_as_the_library_has_it(random: Both, seed: int) -> None:
    encoded = random.encoded(seed)
    (result,) = random.whisper.generate(
        ctranslate2.StorageView.from_array(encoded),
        [random.prompt],
        beam_size=1,
        max_length=2 * len(random.prompt),
        suppress_blank=False,
        suppress_tokens=[],
        return_logits_vocab=True,
        return_no_speech_prob=True,
    )
    theirs = np.array(result.logits[0][0], dtype=np.float32).reshape(-1)
    given = random.decoder.cross(encoded)
    last = len(random.prompt) - 1
    (ours,), _ = random.decoder.step(given, random.decoder.nothing_before, 0, random.prompt, [last])
    assert np.abs(ours - theirs).mean() < 0.05 * theirs.std()
    assert random.ours(encoded).up_to(1).no_speech == pytest.approx(result.no_speech_prob, rel=0.3, abs=1e-6)


def test_tokens_one_by_one_and_all_at_once_are_followed_by_the_same(random: Both) -> None:
    decoder, given = random.decoder, random.decoder.cross(random.encoded(0))
    tokens = [*random.prompt, 50, 51, 52]
    (at_once,), _ = decoder.step(given, decoder.nothing_before, 0, tokens, [len(tokens) - 1])
    past = decoder.nothing_before
    for place, token in enumerate(tokens):
        (one_by_one,), past = decoder.step(given, past, place, [token], [0])
    assert np.abs(one_by_one - at_once).mean() < 0.05 * at_once.std()


def test_a_text_goes_on_from_where_it_was_stopped(random: Both) -> None:
    encoded = random.encoded(1)
    writing = random.ours(encoded)
    parts = [list(writing.up_to(most).texts[0]) for most in (1, 5, 12)]
    assert [len(part) for part in parts] == [1, 5, 12]
    assert parts[-1] == list(random.ours(encoded).up_to(12).texts[0])


class Counting(Decoder):
    """Notes which tokens it is given."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.given: list[list[int]] = []

    @property
    def asked(self) -> int:
        return len(self.given)

    def step(self, heard: Any, past: Any, before: int, tokens: Any, wanted: Any) -> Any:
        self.given.append(list(tokens))
        return super().step(heard, past, before, tokens, wanted)


@pytest.mark.parametrize(("right", "asked"), [(1, 8), (3, 6), (8, 2)])
def test_what_usually_follows_changes_the_time_and_not_the_text(
    random: Both, directory: Path, right: int, asked: int
) -> None:
    encoded = random.encoded(0)
    plain = random.ours(encoded).up_to(8)
    usual = Usual([[*plain.texts[0][:right], *range(100, 108 - right)]])
    assert len(usual.after(plain.texts[0][:1])) == 6
    decoder = Counting(directory / "model.bin", threads=1)
    guessed = Writing(decoder, encoded, random.prompt, random.marks, usual).up_to(8)
    assert list(guessed.texts[0]) == list(plain.texts[0])
    assert guessed.log_probabilities[0] == pytest.approx(plain.log_probabilities[0], abs=0.05)
    assert decoder.asked == asked


def test_a_sentence_is_followed_by_itself_in_one_go(random: Both, directory: Path) -> None:
    encoded = random.encoded(0)
    tokens = list(random.ours(encoded).up_to(8).texts[0])
    decoder = Counting(directory / "model.bin", threads=1)
    marks = replace(random.marks, full_stops=[tokens[3]])
    assert list(Writing(decoder, encoded, random.prompt, marks).up_to(8).texts[0]) == tokens
    assert decoder.given[4] == [tokens[3], *tokens[:4]]


def test_a_text_has_no_more_tokens_than_positions(random: Both) -> None:
    encoded, longest = random.encoded(0), random.decoder.longest
    marks = replace(random.marks, never=[random.marks.end])
    long = [*range(40, 60)] * 23
    prompt = [*long[: longest - 6], *random.prompt[-2:]]
    writing = Writing(random.decoder, encoded, prompt, marks, Usual([[40] * 20]))
    assert len(writing.up_to(30).texts[0]) == longest - len(prompt) == 4


def test_scores_are_of_the_tokens_asked_for_and_of_the_end_if_it_was_reached(random: Both) -> None:
    encoded = random.encoded(3)
    writing = random.ours(encoded)
    whole = writing.up_to(6)
    assert writing.up_to(2).log_probabilities != whole.log_probabilities
    assert writing.up_to(2).log_probabilities == random.ours(encoded).up_to(2).log_probabilities
    marks = replace(random.marks, end=whole.texts[0][4], not_first=[])
    ended = Writing(random.decoder, encoded, random.prompt, marks).up_to(6)
    assert list(ended.texts[0]) == list(whole.texts[0][:4])
    # As CTranslate2 has it: the sum with the end's, by the number of tokens without it.
    assert 4 * ended.log_probabilities[0] == pytest.approx(5 * writing.up_to(5).log_probabilities[0], rel=1e-3)


def test_a_text_that_ends_within_what_usually_follows_is_over(tmp_path: Path) -> None:
    both = Both(write_whisper_model(tmp_path, says=TEXT))
    both.prompt = both.prompt[-2:]
    encoded = both.encoded(0)
    plain = both.ours(encoded).up_to(40)
    usual = Usual([[*plain.texts[0], 40, 41]])
    guessed = Writing(both.decoder, encoded, both.prompt, both.marks, usual)
    assert guessed.up_to(4).texts[0] == plain.texts[0][:4]
    assert list(guessed.up_to(40).texts[0]) == list(plain.texts[0])
    assert guessed.up_to(40).log_probabilities[0] == pytest.approx(plain.log_probabilities[0], abs=0.02)


def test_what_follows_is_guessed_only_where_it_is_likely_enough() -> None:
    usual = Usual([[1, 2, 3, 4], [1, 2, 3, 5], *([1, 2, 6, number] for number in range(20, 28))])
    assert usual.after([]) == [1, 2, 6]
    assert usual.after([9, 2, 3]) == [4]
    assert usual.after([1, 2, 6]) == []
    assert usual.after([7]) == []


def test_what_is_forbidden_is_not_written(random: Both) -> None:
    encoded = random.encoded(2)
    first = random.ours(encoded).up_to(1).texts[0][0]
    marks = replace(random.marks, not_first=[first])
    assert Writing(random.decoder, encoded, random.prompt, marks).up_to(1).texts[0][0] != first


def test_a_text_ends_where_its_end_is_the_likeliest(tmp_path: Path) -> None:
    both = Both(write_whisper_model(tmp_path, says=TEXT))
    both.prompt = both.prompt[-2:]
    encoded = both.encoded(0)
    tokens, log_probability = both.theirs(encoded, 40)
    written = both.ours(encoded).up_to(40)
    assert list(written.texts[0]) == tokens
    assert len(tokens) < 40
    assert written.log_probabilities[0] == pytest.approx(log_probability, abs=0.02)


def test_where_products_are_cut_off_the_library_writes_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = write_whisper_model(tmp_path, says=TEXT)
    monkeypatch.setattr(decoders, "_exact_products", lambda: False)
    with capture_logs() as logs:
        model = Model(str(directory), threads=1, compute_type="int8", context_s=5.0, local_only=True)
    assert [(line["log_level"], line["event"]) for line in logs] == [
        ("info", "Whisper writes with CTranslate2, at twice the cost")
    ]
    decoded = model.decode(np.zeros(16000, dtype=np.float32), Cue(enough=lambda *_: True), lambda: False)
    assert decoded is not None
    assert decoded.texts[0].text == TEXT


def test_a_models_converter_may_leave_out_what_no_text_begins_with(tmp_path: Path) -> None:
    config = write_whisper_model(tmp_path, says=TEXT) / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "suppress_ids_begin": None}))
    model = Model(str(tmp_path), threads=1, compute_type="int8", context_s=5.0, local_only=True)
    decoded = model.decode(np.zeros(16000, dtype=np.float32), Cue(enough=lambda *_: True), lambda: False)
    assert decoded is not None
    assert decoded.texts[0].text == TEXT
