"""What people say to each other after a transfer, written down: all of it where an engine can, else spotted phrases.

An engine that knows only what the flows expect puts the words it knows in place of those it does not. What it makes of
two people's talk is not what they said, so none of it is kept but the names and answers that it is sure of.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from voicebot.dialog.expectation import AnswerKind, Domain, Expectation
from voicebot.speech.asr import Final, Transcriber, Utterance, Word

#: By the names that engines give themselves in `Final.engine`.
_CLOSED_ENGINES = frozenset({"pocketsphinx"})
#: From this confidence of each of its words on a phrase counts as spotted.
_SURE = 0.9
#: Shorter ones ("no", "hi", "on") come up in whatever is said.
_LEAST_LETTERS = 5
_TALK = Expectation("talk", (AnswerKind.OPEN,))


@dataclass(frozen=True, slots=True)
class Written:
    """One person's turn. Either its whole `text`, or only `phrases` that occurred in it; never both.

    `dictated` says which: where it is False, `text` is empty and the record should say that the talk was not written
    down.
    """

    dictated: bool
    text: str
    phrases: tuple[str, ...]
    engine: str


class Dictation:
    """Writes down talk that no flow expects. One for all calls of a version; it holds nothing of any of them."""

    def __init__(self, transcriber: Transcriber | None, phrases: Iterable[str] = (), *, engine: str = "") -> None:
        """Take what hears, the phrases worth spotting, and the engine that hears first.

        Without a transcriber nothing is written. `engine` only decides what `available` promises: what is done with a
        turn goes by the engine that has really heard it.
        """
        self._transcriber = transcriber
        self._engine = engine
        spelled = {tuple(phrase.lower().split()): phrase for phrase in phrases}
        self._phrases = {words: phrase for words, phrase in spelled.items() if len("".join(words)) >= _LEAST_LETTERS}

    @property
    def available(self) -> bool:
        """Whether turns are written down whole; False where only phrases are spotted, or nothing at all."""
        return self._transcriber is not None and dictates(self._engine)

    @property
    def note(self) -> str:
        """What the record of a transferred call says about it."""
        if self._transcriber is None:
            return "Not written down: recognition is switched off."
        if self.available:
            return f"Written down by {self._engine}."
        return "Not written down: no dictation engine is installed. Only phrases that the flows know are shown."

    async def start(self) -> Utterance | None:
        """Begin to hear one turn; None where nothing can. `EngineUnavailable` as for a `Transcriber`."""
        return await self._transcriber.start(_TALK) if self._transcriber else None

    def write(self, final: Final) -> Written:
        """Return what of a finished turn may be shown."""
        if final.engine not in _CLOSED_ENGINES:
            text = final.hypotheses[0].text if final.hypotheses else ""
            return Written(dictated=True, text=text, phrases=(), engine=final.engine)
        words = final.hypotheses[0].words if final.hypotheses else ()
        return Written(dictated=False, text="", phrases=self._spotted(words), engine=final.engine)

    def _spotted(self, words: Collection[Word]) -> tuple[str, ...]:
        """Return the phrases whose words follow each other, all of them sure, in the order in which they were said."""
        sure = [word.text.lower() if word.confidence >= _SURE else "" for word in words]
        found = {
            start: phrase
            for phrase_words, phrase in sorted(self._phrases.items(), key=lambda each: len(each[0]))
            for start in range(len(sure) - len(phrase_words) + 1)
            if tuple(sure[start : start + len(phrase_words)]) == phrase_words
        }
        return tuple(dict.fromkeys(found[start] for start in sorted(found)))


def dictates(engine: str) -> bool:
    """Say whether `engine`, by the name it gives itself, writes down what no flow expects."""
    return bool(engine) and engine not in _CLOSED_ENGINES


def phrases_of(domain: Domain) -> tuple[str, ...]:
    """Return what is worth spotting: the names in the customer's data and the answers that questions offer."""
    answers = (phrase for expectation in domain.expectations for phrase in expectation.phrases)
    return tuple(dict.fromkeys((*domain.names, *answers)))
