"""From what a bot expects to files a decoder loads: a grammar and a language model for each question."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from voicebot.dialog.expectation import AnswerKind, Domain, Expectation
from voicebot.errors import EngineUnavailable
from voicebot.speech.recognition.sphinx import phrases as common
from voicebot.speech.recognition.sphinx import spoken
from voicebot.speech.recognition.sphinx.answers import add_answer
from voicebot.speech.recognition.sphinx.automaton import Automaton
from voicebot.speech.recognition.sphinx.ngram import Sentence, arpa

_COMPILER = "7"
"""Part of every name: files of an older compiler are not used."""
_SAMPLES_PER_ANSWER = 400
_DOMAIN_FILE = "domain.json"
_KEPT_QUESTIONS = 64


@dataclass(frozen=True, slots=True)
class Shape:
    """What makes two questions sound alike to a recogniser, whatever their names."""

    kinds: tuple[AnswerKind, ...]
    phrases: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()

    @classmethod
    def of(cls, expectation: Expectation) -> Shape:
        return cls(expectation.kinds, expectation.phrases, expectation.lengths)

    @property
    def closed_kinds(self) -> tuple[AnswerKind, ...]:
        return tuple(kind for kind in self.kinds if kind is not AnswerKind.OPEN)

    @property
    def key(self) -> str:
        """Return a name for files, the same for the same content."""
        content = json.dumps([_COMPILER, [str(kind) for kind in self.kinds], self.phrases, self.lengths])
        return hashlib.sha256(content.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Compiled:
    """One question, ready for decoders: FSG text (None for an open one), ARPA text, and the words of both."""

    grammar: str | None
    language_model: str
    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class Material:
    """What all questions of a domain share."""

    requests: tuple[str, ...]
    names: tuple[str, ...]
    #: The open questions of the domain; a call begins with one.
    open_shapes: tuple[Shape, ...] = ()

    def compile(self, shape: Shape) -> Compiled:
        """Build the files of one question."""
        sentences = list(self._sentences(shape))
        automaton = _grammar(shape)
        return Compiled(
            grammar=None if automaton is None else automaton.to_fsg(shape.key),
            language_model=arpa(sentences),
            words=_words(sentences, automaton),
        )

    def words(self, shape: Shape) -> frozenset[str]:
        """Return the words of one question, without building its files."""
        return _words(self._sentences(shape), _grammar(shape))

    def _sentences(self, shape: Shape) -> Iterable[Sentence]:
        open_share = 1.0 if AnswerKind.OPEN in shape.kinds else 0.2
        if not shape.closed_kinds:
            yield from self._requests(1.0)
            phrases = tokens_of(shape.phrases)
            yield from (Sentence(words, 2.0) for words in phrases)
            return
        closed = list(_answers(shape))
        requests = list(self._requests(1.0))
        closed_weight = sum(sentence.weight for sentence in closed)
        open_weight = sum(sentence.weight for sentence in requests) or 1.0
        yield from closed
        scale = open_share * closed_weight / open_weight
        yield from (Sentence(sentence.words, sentence.weight * scale) for sentence in requests)

    def _requests(self, weight: float) -> Iterable[Sentence]:
        """Give every request bare, and with the openings and courtesies that real callers put around it."""
        requests = tokens_of(self.requests)
        names = tokens_of(self.names)
        yield from (Sentence(words, weight) for words in requests)
        openings = list(_openings(names))
        chance = random.Random(_COMPILER)  # noqa: S311 - the same files each time, nothing secret
        for words in requests:
            for opening in chance.sample(openings, min(4, len(openings))):
                yield Sentence((*opening, *words), weight * 0.15)
            yield Sentence((*words, chance.choice(common.COURTESIES).split()[0]), weight * 0.1)
        yield from (Sentence(opening, weight * 0.1) for opening in openings)
        yield from (Sentence(words, weight * 0.1) for words in names)
        yield from (
            Sentence(tuple(text.split()), weight * 0.3) for text in (*common.YES, *common.NO, *common.BACKCHANNELS)
        )


def _words(sentences: Iterable[Sentence], automaton: Automaton | None) -> frozenset[str]:
    words = {word for sentence in sentences for word in sentence.words}
    return frozenset(words if automaton is None else words | automaton.words())


def _openings(names: Sequence[tuple[str, ...]]) -> Iterable[tuple[str, ...]]:
    for greeting in common.GREETINGS:
        yield tuple(greeting.split())
        for hesitation in common.HESITATIONS:
            yield (*greeting.split(), *hesitation.split())
    for hesitation in common.HESITATIONS:
        yield tuple(hesitation.split())
    for index, name in enumerate(names):
        greeting = common.GREETINGS[index % len(common.GREETINGS)]
        who = common.WHO[index % len(common.WHO)]
        yield (*greeting.split(), *who.split(), *name)
        yield (*who.split(), *name)


def _grammar(shape: Shape) -> Automaton | None:
    if not shape.closed_kinds:
        return None
    grammar = Automaton()
    before, after = grammar.state(), grammar.state()
    grammar.skip(grammar.start, before, weight=0.8)
    grammar.one_of(grammar.start, before, common.BEFORE_ANSWER, weight=0.2)
    phrases = [" ".join(words) for words in tokens_of(shape.phrases)]
    for kind in shape.closed_kinds:
        if kind is not AnswerKind.CHOICE or phrases:
            add_answer(grammar, before, after, kind, phrases=phrases, lengths=shape.lengths)
    if phrases and not {AnswerKind.CHOICE, AnswerKind.NAME} & set(shape.closed_kinds):
        _add_phrases(grammar, before, after, phrases)
    grammar.skip(after, grammar.end, weight=0.9)
    grammar.one_of(after, grammar.end, common.AFTER_ANSWER, weight=0.1)
    return grammar


def _add_phrases(grammar: Automaton, source: int, target: int, phrases: Sequence[str]) -> None:
    """Add phrases, one or two of them: "this is ridiculous I want a person", often behind a "no"."""
    first, said = grammar.state(), grammar.state()
    grammar.skip(source, first, weight=0.9)
    grammar.word(source, first, "no", weight=0.1)
    grammar.one_of(first, said, phrases)
    grammar.skip(said, target, weight=0.9)
    grammar.skip(said, first, weight=0.1)


def _answers(shape: Shape) -> Iterable[Sentence]:
    """Give sample answers as sentences, some of them as corrections."""
    grammar = _grammar(shape)
    assert grammar is not None
    chance = random.Random(shape.key)  # noqa: S311 - the same files each time, nothing secret
    for _ in range(_SAMPLES_PER_ANSWER):
        words = grammar.sample(chance)
        yield Sentence(words)
        if chance.random() < 0.15:
            yield Sentence((*chance.choice(common.CORRECTIONS).split(), *words))


def tokens_of(texts: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Return each text's words as the lexicon spells them, digits as words; texts without words are left out."""
    return tuple(words for words in (tuple(_tokens(text)) for text in texts) if words)


def _tokens(text: str) -> Iterable[str]:
    for word in re.findall(
        r"[a-z]+(?:'[a-z]+)*'?\.?|[0-9]", text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    ):
        if word.isdigit():
            yield spoken.DIGITS[int(word)]
        elif len(word) == 2 and word.endswith("."):
            yield word
        else:
            yield word.rstrip(".")


def compile_domain(domain: Domain, directory: Path) -> Path:
    """Compile `domain` under `directory` and return the folder with the result, named by its content.

    A folder that is already there is kept: the same content gives the same files. Takes a second or so of pure
    computing; call it in a process that carries no calls, or in a thread at start.
    """
    content = json.dumps(
        {
            "compiler": _COMPILER,
            "requests": domain.requests,
            "names": domain.names,
            "shapes": sorted({Shape.of(expectation).key for expectation in domain.expectations}),
        }
    )
    folder = directory / hashlib.sha256(content.encode()).hexdigest()[:16]
    if (folder / _DOMAIN_FILE).exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    material = Material(domain.requests, domain.names)
    shapes = {shape.key: shape for shape in (Shape.of(expectation) for expectation in domain.expectations)}
    for key, shape in shapes.items():
        write_compiled(material.compile(shape), folder, key)
    # Written last: the folder counts as complete once this file is there.
    described = {
        "version": domain.version,
        "requests": domain.requests,
        "names": domain.names,
        "open_shapes": [asdict(shape) for shape in shapes.values() if shape.kinds[:1] == (AnswerKind.OPEN,)],
    }
    unfinished = folder / f"{_DOMAIN_FILE}.new"
    unfinished.write_text(json.dumps(described), encoding="utf-8")
    unfinished.replace(folder / _DOMAIN_FILE)
    return folder


def write_compiled(compiled: Compiled, folder: Path, key: str) -> None:
    """Write one question's files under the names that `read_compiled` looks for."""
    if compiled.grammar is not None:
        (folder / f"{key}.fsg").write_text(compiled.grammar, encoding="utf-8")
    (folder / f"{key}.words").write_text("\n".join(sorted(compiled.words)), encoding="utf-8")
    (folder / f"{key}.lm").write_text(compiled.language_model, encoding="utf-8")


def read_material(folder: Path) -> Material:
    """Read back what a compiled domain was made from; `EngineUnavailable` if it is not a compiled domain."""
    try:
        described = json.loads((folder / _DOMAIN_FILE).read_text(encoding="utf-8"))
        shapes = tuple(
            Shape(tuple(AnswerKind(kind) for kind in shape["kinds"]), tuple(shape["phrases"]), tuple(shape["lengths"]))
            for shape in described["open_shapes"]
        )
        return Material(tuple(described["requests"]), tuple(described["names"]), shapes)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineUnavailable("A compiled domain is missing or damaged; publish the flows again.") from error


@lru_cache(maxsize=_KEPT_QUESTIONS)
def expected_words(folder: Path, shape: Shape) -> frozenset[str]:
    """Return the words of one question of a compiled domain, computed once; `EngineUnavailable` if it is none."""
    return read_material(folder).words(shape)


def read_compiled(folder: Path, key: str) -> Compiled | None:
    """Read one question's files back; None when this domain was compiled without it."""
    try:
        grammar = folder / f"{key}.fsg"
        return Compiled(
            grammar=grammar.read_text(encoding="utf-8") if grammar.exists() else None,
            language_model=(folder / f"{key}.lm").read_text(encoding="utf-8"),
            words=frozenset((folder / f"{key}.words").read_text(encoding="utf-8").split("\n")),
        )
    except FileNotFoundError:
        return None
