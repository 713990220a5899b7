"""A Whisper model: audio in, ranked transcripts out, each on one thread."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import numpy.typing as npt
import structlog
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens
from faster_whisper.utils import download_model

from voicebot.errors import EngineUnavailable
from voicebot.speech.asr import Word
from voicebot.speech.memory import give_back_memory
from voicebot.speech.recognition.whisper.decoder import Decoder, Marks, Usual, Writing, Written
from voicebot.speech.recognition.whisper.figures import one_word
from voicebot.speech.recognition.whisper.guards import before_loop, before_restart, said_once
from voicebot.speech.recognition.whisper.hums import hum_for_digit, hummed
from voicebot.speech.recognition.whisper.single_digits import SingleDigits

RATE_HZ = 16000
LONGEST_S = 30.0
#: Of the 30 s that the model was trained with; longer speech gets more. On answers of a few seconds no loss was seen
#: (docs/benchmarks.md).
CONTEXT_S = 4.0
#: The model was trained with silence after the last word.
_QUIET_S = 0.5
_FRAMES_PER_S = 100
_MOST_TOKENS = 224
#: How many tokens a text may have, for any speech and for a second of it. The first is enough for nearly all, and the
#: second is more than any mouth can say. What reaches the first is mostly a loop, each right up to its end, and without
#: a limit one takes two seconds.
_LIMITS = ((6, 5), (10, 8))
#: Nine texts of ten have no more; up to there a text that begins again is looked at.
_COMMON = (1, 4.5)
#: It is over if its last word begins so close to the end of the sound, of which 0.2 s are quiet. In 19 of 20 orders
#: the last word does (n = 155), in one of 20 the word at two thirds.
_LAST_WORD_S = 1.0
#: Alternatives of free speech: the third or fourth is often the one that holds only words of the domain.
_BEAM = 4
#: Of a number many alternatives are worth having: its check digit and the numbers in use rule most of them out.
_DIGIT_BEAM = 20
_LONGEST_NUMBER = 16
_FIGURES = tuple("0123456789")
_NO_CHANCE = 1e-9
#: So long with 0.4 s around it lasts a digit that is said by itself: 99 of 100 take less than 1.05 s.
_ALONE_S = 1.5

_log = structlog.get_logger()

Samples = npt.NDArray[np.float32]
#: How much likelier another text than the decoded one is for the same sound, in natural logarithms.
Likelier = Callable[[str], float]
_Align = Callable[[tuple[int, ...]], Any]
#: The first text's tokens, all texts, and the probability that nobody spoke.
_Transcribed = tuple[list[int], "tuple[Text, ...]", float]
#: Whether the sound ends where these tokens do.
_Ends = Callable[[Sequence[int]], bool]


@dataclass(frozen=True, slots=True)
class Cue:
    """What is known of the answer: the text that came before it, and for numbers how many digits they may have.

    `usual` is what answers often hold (`Model.usual`), by which they are written in less time.
    `lengths` is None where no number is asked for, and empty where any length will do. `enough` tells a text that
    needs no alternatives: most of the time goes into those. None where they are always wanted. It may ask how much
    likelier another text is, which takes as long as hearing two or three words.
    """

    prompt: str = ""
    lengths: tuple[int, ...] | None = None
    enough: Callable[[str, Likelier], bool] | None = None
    usual: Usual | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """One transcript. `log_probability` is the mean over its tokens."""

    text: str
    log_probability: float


@dataclass(frozen=True, slots=True)
class Decoded:
    """One pass over up to 30 s: what was said, likeliest first, and the `words` of the first.

    `numbers` are digit strings ("4 0 2 7") that would fit the audio if it held nothing but digits, each with its
    share of the probability of all digit strings; only where a number was asked for. `spelled` is then the probability
    that such a string was said, if it was that or no digit at all. Where a digit was asked for and what was said is
    short enough for it to be `alone`, that the likeliest one was said, if it was anything.
    """

    texts: tuple[Text, ...]
    no_speech: float
    words: tuple[Word, ...] = ()
    numbers: tuple[tuple[str, float], ...] = ()
    spelled: float = 0.0
    alone: bool = False


class Model:
    """Loads a model and decodes with it; `decode` blocks, and releases the GIL while it computes.

    The library's own `transcribe` always pads to 30 s; a shorter context is three to five times faster and hears
    telephone answers as well, so this calls encoder and decoder directly with `context_s`, or more where the audio is
    longer.
    """

    def __init__(
        self,
        name_or_path: str,
        *,
        threads: int,
        compute_type: str,
        context_s: float,
        local_only: bool,
        at_once: int = 1,
    ) -> None:
        try:
            folder = Path(name_or_path)
            if not folder.is_dir():
                folder = Path(download_model(name_or_path, local_files_only=local_only))
            self._whisper = WhisperModel(
                str(folder),
                device="cpu",
                compute_type=compute_type,
                cpu_threads=threads,
                num_workers=at_once,
            )
            self._decoder = _decoder(folder, threads) if compute_type == "int8" else None
        except (OSError, ValueError, RuntimeError) as error:
            raise EngineUnavailable(f"The Whisper model {name_or_path} cannot be loaded: {error}") from error
        self._context_s = context_s
        self.at_once = at_once
        self._tokenizer = Tokenizer(
            self._whisper.hf_tokenizer, self._whisper.model.is_multilingual, task="transcribe", language="en"
        )
        self._suppressed = list(get_suppressed_tokens(self._tokenizer, [-1]))
        self._marks = Marks(
            start=self._tokenizer.sot,
            end=self._tokenizer.eot,
            no_speech=self._tokenizer.no_speech,
            never=self._suppressed,
            not_first=_not_first(folder),
            full_stops=[self._tokenizer.encode(mark)[-1] for mark in ".?!"],
        )
        self._digits = self._digit_tokens()
        self._all_but_digits = self._all_but(self._digits)
        self._single_digits = SingleDigits(self._next_words, self._tokenizer.encode)
        self.name = Path(name_or_path).name
        give_back_memory()

    def decode(
        self, samples: Samples, cue: Cue, cancelled: Callable[[], bool], *, draft: bool = False
    ) -> Decoded | None:
        """Transcribe 16 kHz samples in ±1; None when `cancelled` says so between encoding and generating.

        A `draft` is one text alone, without the times of its words.
        """
        encoded = self._whisper.model.encode(self._features(samples))
        if cancelled():
            return None
        tokens = self._prompt(cue.prompt)
        beam = _BEAM if cue.enough is None and not draft else 1
        # A text whose end was looked for, or against which another was weighed, is aligned for its words as well.
        align = cache(partial(self._align, encoded, len(samples)))
        # A part of an utterance ends in mid-speech, of which the end tells nothing.
        ends = partial(self._ends, align, len(samples)) if beam == 1 and not draft else None
        said, texts, no_speech = self._transcribe(
            encoded, tokens, beam, len(samples) / RATE_HZ, usual=cue.usual, ends=ends
        )
        if draft or cancelled():
            return Decoded(texts, no_speech)
        if cue.enough is not None and not cue.enough(texts[0].text, partial(self._likelier, align, said)):
            said, texts, no_speech = self._transcribe(encoded, tokens, _BEAM, len(samples) / RATE_HZ)
        if cancelled():
            return None
        words = self._words(align, said, len(samples)) if texts[0].text else ()
        if cue.lengths is None or not self._digits:
            return Decoded(texts, no_speech, words)
        if cue.lengths == (1,) and len(samples) <= _ALONE_S * RATE_HZ and self._single_digits.known:
            written = texts[0].text
            if one_word(written) or hummed(written):
                return Decoded(texts, no_speech, words, *self._single_digit(samples, written), alone=True)
        return Decoded(texts, no_speech, words, *self._numbers(encoded, tokens, cue.lengths))

    def usual(self, texts: Iterable[str]) -> Usual:
        """Return what such texts have in common, for a `Cue`."""
        return Usual(self._tokenizer.encode(f" {text}") for text in texts)

    def _transcribe(
        self,
        encoded: ctranslate2.StorageView,
        tokens: list[int],
        beam: int,
        seconds: float,
        *,
        usual: Usual | None = None,
        ends: _Ends | None = None,
    ) -> _Transcribed:
        """Write what was said; one text that begins again is over where `ends` says so."""
        most = _most(_COMMON, seconds)
        if beam == 1 and self._decoder is not None:
            write = Writing(self._decoder, np.asarray(encoded), tokens, self._marks, usual).up_to
            looks = range(1, most + 1)
        else:
            write = _Anew(partial(self._search, encoded, tokens, beam)).up_to
            looks = range(most, most + 1)
        if ends and (over := self._over(write, looks, ends)):
            return over
        for limit in _LIMITS:
            most = _most(limit, seconds)
            found = write(most)
            said = [self._words_of(ids) for ids in found.texts]
            full = [self._tokenizer.decode(ids).strip() for ids in said]
            texts = [
                before_loop(text, seconds) if len(ids) >= most else said_once(text)
                for text, ids in zip(full, said, strict=True)
            ]
            if len(said[0]) < most or texts[0] != full[0]:
                break
        scored = tuple(Text(text, score) for text, score in zip(texts, found.log_probabilities, strict=True))
        return self._up_to(texts[0], said[0]), scored, found.no_speech

    def _over(self, write: Callable[[int], Written], looks: range, ends: _Ends) -> _Transcribed | None:
        """Return what was written before it began again, if it has at one of these looks and the sound is over."""
        for count in looks:
            found = write(count)
            said = self._words_of(found.texts[0])
            if len(said) < count:
                return None
            full = self._tokenizer.decode(said).strip()
            # Some words again may be the beginning of others ("I like it. I like that."): only the last look has to do.
            text = before_restart(full, in_full=count < looks[-1])
            if text != full and ends(before := self._up_to(text, said)):
                return before, (Text(text, found.log_probabilities[0]),), found.no_speech
        return None

    def _search(self, encoded: ctranslate2.StorageView, tokens: list[int], beam: int, most: int) -> Written:
        result = self._generate(
            encoded, tokens, most=most, beam=beam, suppress_blank=True, suppress_tokens=self._suppressed
        )
        return Written(result.sequences_ids, result.scores, result.no_speech_prob)

    def _words_of(self, tokens: Sequence[int]) -> list[int]:
        return [token for token in tokens if token < self._tokenizer.eot]

    def _up_to(self, text: str, said: list[int]) -> list[int]:
        """Return the first of the tokens `said`, whose text is `text`."""
        while len(self._tokenizer.decode(said).strip()) > len(text):
            said = said[:-1]
        return said

    def _ends(self, align: _Align, samples: int, said: Sequence[int]) -> bool:
        words = self._words(align, said, samples)
        return bool(words) and samples / RATE_HZ - words[-1].start_s <= _LAST_WORD_S

    def _generate(
        self, encoded: ctranslate2.StorageView, tokens: list[int], *, most: int, beam: int, **options: object
    ) -> Any:
        (result,) = self._whisper.model.generate(
            encoded,
            [tokens],
            beam_size=beam,
            num_hypotheses=beam,
            sampling_temperature=0.0,
            # CTranslate2 takes half of this, or this less the prompt, whichever is less.
            max_length=min(most + max(most, len(tokens)), self._whisper.max_length),
            return_scores=True,
            return_no_speech_prob=True,
            **options,
        )
        return result

    def _features(self, samples: Samples) -> ctranslate2.StorageView:
        seconds = min(LONGEST_S, max(self._context_s, math.ceil(len(samples) / RATE_HZ + _QUIET_S)))
        padded = np.zeros(int(seconds * RATE_HZ), dtype=np.float32)
        padded[: len(samples)] = samples[: len(padded)]
        mel = self._whisper.feature_extractor(padded, padding=0)
        return ctranslate2.StorageView.from_array(np.ascontiguousarray(mel[np.newaxis], dtype=np.float32))

    def _prompt(self, prompt: str) -> list[int]:
        before = [self._tokenizer.sot_prev, *self._tokenizer.encode(f" {prompt}")[-_MOST_TOKENS:]] if prompt else []
        return [*before, *self._tokenizer.sot_sequence, self._tokenizer.no_timestamps]

    def _digit_tokens(self) -> dict[int, str]:
        """Return the ten figures by their tokens, each with a space before; nothing if the model has no such tokens."""
        tokens = [self._tokenizer.encode(f" {figure}") for figure in _FIGURES]
        if any(len(each) != 1 for each in tokens):
            return {}
        return {each[0]: figure for each, figure in zip(tokens, _FIGURES, strict=True)}

    def _all_but(self, tokens: Collection[int]) -> list[int]:
        kept = {*tokens, self._tokenizer.eot}
        return [token for token in range(self._whisper.hf_tokenizer.get_vocab_size()) if token not in kept]

    def _numbers(
        self, encoded: ctranslate2.StorageView, tokens: list[int], lengths: tuple[int, ...]
    ) -> tuple[tuple[tuple[str, float], ...], float]:
        """Return digit strings of these lengths with their shares, and how likely one of them was said, not none."""
        # One more than the longest: a number too long must not look like one that fits.
        most = max(lengths, default=_LONGEST_NUMBER) + 1
        found = self._search_digits(encoded, tokens, self._digits, self._all_but_digits, most)
        nothing = found.pop("", 0.0)
        found = {digits: chance for digits, chance in found.items() if not lengths or len(digits.split()) in lengths}
        fitting = sum(found.values())
        spelled = fitting / (fitting + nothing) if found else 0.0
        return tuple(found.items()), spelled

    def _single_digit(self, samples: Samples, written: str) -> tuple[tuple[tuple[str, float], ...], float]:
        """Return the ten digits with their shares, and how likely one was said, not a word or a hum."""
        digits, likely = self._single_digits.weigh(samples)
        return digits, 0.0 if hum_for_digit(samples, written, *digits[0]) else likely

    def _next_words(self, samples: Samples, prompts: Sequence[str]) -> list[npt.NDArray[np.float64]]:
        """Return how readily each token would come first, in logarithms, after each of the prompts."""
        encoded = self._whisper.model.encode(self._features(samples))
        after = []
        for prompt in prompts:
            result = self._generate(
                encoded,
                self._prompt(prompt),
                most=1,
                beam=1,
                suppress_blank=False,
                suppress_tokens=[],
                return_logits_vocab=True,
            )
            after.append(np.asarray(result.logits[0][0], dtype=np.float64).reshape(-1))
        return after

    def _search_digits(
        self,
        encoded: ctranslate2.StorageView,
        tokens: list[int],
        digits: Mapping[int, str],
        others: list[int],
        most: int,
    ) -> dict[str, float]:
        """Search digit strings alone: all `others` are forbidden, so that no digit is lost to a word.

        The chance of each, "" for none; no more than `most` tokens long.
        """
        result = self._generate(
            encoded,
            tokens,
            most=most,
            beam=_DIGIT_BEAM,
            suppress_blank=False,
            suppress_tokens=others,
            length_penalty=0,
        )
        found: dict[str, float] = {}
        for ids, score in zip(result.sequences_ids, result.scores, strict=True):
            found.setdefault(" ".join(digits[token] for token in ids if token in digits), math.exp(score))
        return found

    def _likelier(self, align: _Align, said: Sequence[int], other: str) -> float:
        """Return by how much the tokens of `other` are likelier than those `said`, as if each were all there is."""
        texts = (self._tokenizer.encode(f" {other}"), said)
        chances = (align(tuple(tokens)).text_token_probs for tokens in texts)
        theirs, ours = (float(np.log(np.maximum(each, _NO_CHANCE)).sum()) for each in chances)
        return theirs - ours

    def _align(self, encoded: ctranslate2.StorageView, samples: int, tokens: tuple[int, ...]) -> Any:
        """Place these tokens in time; each one's probability after those before it comes with it."""
        frames = min(int(LONGEST_S * _FRAMES_PER_S), samples * _FRAMES_PER_S // RATE_HZ)
        return self._whisper.model.align(encoded, self._tokenizer.sot_sequence, [list(tokens)], frames)[0]

    def _words(self, align: _Align, said: Sequence[int], samples: int) -> tuple[Word, ...]:
        """Place the words in time and say how sure each is, from the decoder's attention over the audio."""
        aligned = align(tuple(said))
        starts: dict[int, float] = {}
        for token, frame in aligned.alignments:
            # Two mel frames are one frame of the encoder.
            starts.setdefault(token, 2 * frame / _FRAMES_PER_S)
        texts, groups = self._tokenizer.split_to_word_tokens([*said, self._tokenizer.eot])
        words: list[Word] = []
        first = 0
        for text, group in zip(texts, groups, strict=True):
            last = first + len(group)
            if text.strip() and group[0] != self._tokenizer.eot and words and not re.search(r"\w", text):
                # A mark belongs to its word, and the silence that it is given to nobody.
                words[-1] = replace(words[-1], text=words[-1].text + text.strip())
            elif text.strip() and group[0] != self._tokenizer.eot:
                start_s = starts.get(first, words[-1].end_s if words else 0.0)
                end_s = max(start_s, starts.get(last, samples / RATE_HZ))
                sure = float(np.mean(aligned.text_token_probs[first:last]))
                words.append(Word(text.strip(), start_s, end_s, sure))
            first = last
        return tuple(words)


class _Anew:
    """Texts of a search that cannot go on: written anew for more tokens, unless the likeliest had ended."""

    def __init__(self, search: Callable[[int], Written]) -> None:
        self._search = search
        self._found: Written | None = None
        self._most = 0

    def up_to(self, most: int) -> Written:
        if self._found is None or len(self._found.texts[0]) >= self._most:
            self._found, self._most = self._search(most), most
        return self._found


def _most(limit: tuple[int, float], seconds: float) -> int:
    least, per_s = limit
    return min(_MOST_TOKENS, least + math.ceil(per_s * seconds))


def _not_first(folder: Path) -> list[int]:
    """Return the tokens that no text begins with; converters leave them out, or null, for some models."""
    config = folder / "config.json"
    return list((json.loads(config.read_text()) if config.is_file() else {}).get("suppress_ids_begin") or ())


def _decoder(folder: Path, threads: int) -> Decoder | None:
    """Return the model's decoder with int8 weights; None, which is logged, where CTranslate2's own has to do."""
    try:
        return Decoder(folder / "model.bin", threads=threads)
    except Exception as problem:  # noqa: BLE001  # onnxruntime's errors have no base; what CTranslate2 reads must load
        _log.info("Whisper writes with CTranslate2, at twice the cost", model=folder.name, why=str(problem))
        return None
