"""Recognition over Wyoming: what a request says about the answer it expects, and what a transcript says beyond text.

Requests carry the extension in `transcribe.context`, answers in `transcript.context`, both under the key
``voicebot``; partial texts, which may change, are events of their own. Plain servers ignore all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wyoming.asr import Transcribe, Transcript
from wyoming.event import Event

from voicebot.dialog.check_digits import CheckDigit
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.errors import RemoteProtocolError
from voicebot.speech.asr import Hypothesis, Word
from voicebot.speech.workers.capabilities import EXTENSION_KEY

PARTIAL = "voicebot-partial"
PREPARE = "voicebot-prepare"
PREPARED = "voicebot-prepared"
#: The caller pauses: the worker answers with a provisional transcript of what it has, under the same number of a pause.
LOOK_AHEAD = "voicebot-look-ahead"
PROVISIONAL = "voicebot-provisional"
#: The caller went on: the provisional transcript is void.
GO_ON = "voicebot-go-on"

SAMPLE_RATE_HZ = 8000
SAMPLE_BYTES = 2


@dataclass(frozen=True, slots=True)
class Request:
    """One utterance's worth of hearing. `domain` is a compiled domain's directory, None for an engine without one.

    `secret` answers are never written anywhere by the worker, which needs no more of an expectation than this.
    """

    name: str
    kinds: tuple[AnswerKind, ...]
    phrases: tuple[str, ...]
    lengths: tuple[int, ...]
    secret: bool
    domain: Path | None
    check_digit: CheckDigit | None = None

    @classmethod
    def of(cls, expectation: Expectation, domain: Path | None) -> Request:
        return cls(
            expectation.name,
            expectation.kinds,
            expectation.phrases,
            expectation.lengths,
            expectation.secret,
            domain,
            expectation.check_digit,
        )


def request_event(request: Request, names: tuple[str, ...]) -> Event:
    """Return the `transcribe` event; `names` and phrases also go where plain servers look for hints."""
    return Transcribe(
        language="en",
        context={
            EXTENSION_KEY: {
                "name": request.name,
                "kinds": [str(kind) for kind in request.kinds],
                "phrases": list(request.phrases),
                "lengths": list(request.lengths),
                "secret": request.secret,
                "domain": None if request.domain is None else str(request.domain),
                "check_digit": request.check_digit,
            }
        },
        transcript_names=list(names) or None,
        transcript_terms=list(request.phrases) or None,
    ).event()


def parse_request(event: Event) -> Request:
    """Read a `transcribe` event, with our extension or without; `RemoteProtocolError` for a malformed one."""
    transcribe = Transcribe.from_event(event)
    extension = (transcribe.context or {}).get(EXTENSION_KEY)
    if extension is None:
        terms = (*(transcribe.transcript_names or ()), *(transcribe.transcript_terms or ()))
        return Request("open", (AnswerKind.OPEN,), terms, (), secret=False, domain=None)
    try:
        domain = extension["domain"]
        return Request(
            name=str(extension["name"]),
            kinds=tuple(AnswerKind(kind) for kind in extension["kinds"]),
            phrases=tuple(str(phrase) for phrase in extension["phrases"]),
            lengths=tuple(int(length) for length in extension["lengths"]),
            secret=bool(extension["secret"]),
            domain=None if domain is None else Path(domain),
            check_digit=None if (rule := extension.get("check_digit")) is None else CheckDigit(rule),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RemoteProtocolError("bad_expectation", "The expectation of a transcribe event is malformed.") from error


def transcript_event(hypotheses: tuple[Hypothesis, ...], engine: str, decode_ms: float) -> Event:
    """Return the `transcript` event: the likeliest text where every client looks, everything else in the context."""
    return Transcript(
        text=hypotheses[0].text if hypotheses else "",
        language="en",
        context={
            EXTENSION_KEY: {
                "engine": engine,
                "decode_ms": decode_ms,
                "hypotheses": [_dump_hypothesis(hypothesis) for hypothesis in hypotheses],
            }
        },
    ).event()


def provisional_event(transcript: Event, pause: int) -> Event:
    """Return a `transcript` event as the provisional one of a pause."""
    return Event(PROVISIONAL, {**transcript.data, "pause": pause})


@dataclass(frozen=True, slots=True)
class Heard:
    """A parsed transcript. `engine` and `decode_ms` are None from a plain server, whose `confidence` was assumed."""

    hypotheses: tuple[Hypothesis, ...]
    engine: str | None
    decode_ms: float | None


def parse_transcript(event: Event, *, assumed_confidence: float) -> Heard:
    """Read a `transcript` event; a plain server's text gets `assumed_confidence`."""
    try:
        transcript = Transcript.from_event(event)
        extension = (transcript.context or {}).get(EXTENSION_KEY)
        if extension is None:
            text = transcript.text.strip()
            return Heard((Hypothesis(text, assumed_confidence),) if text else (), None, None)
        return Heard(
            tuple(_parse_hypothesis(entry) for entry in extension["hypotheses"]),
            str(extension["engine"]),
            float(extension["decode_ms"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RemoteProtocolError("bad_transcript", "A speech server's transcript is malformed.") from error


def _dump_hypothesis(hypothesis: Hypothesis) -> dict[str, Any]:
    return {
        "text": hypothesis.text,
        "confidence": hypothesis.confidence,
        "words": [[word.text, word.start_s, word.end_s, word.confidence] for word in hypothesis.words],
    }


def _parse_hypothesis(entry: dict[str, Any]) -> Hypothesis:
    return Hypothesis(
        str(entry["text"]),
        float(entry["confidence"]),
        tuple(Word(str(text), float(start), float(end), float(sure)) for text, start, end, sure in entry["words"]),
    )
