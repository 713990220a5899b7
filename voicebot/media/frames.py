"""Our own pipecat frames. Those that steer are system frames: an interruption must never drop them."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipecat.frames.frames import ControlFrame, SystemFrame

from voicebot.dialog.expectation import Expectation
from voicebot.media.events import LineEvent
from voicebot.media.playback import Piece


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something to say. Pieces are (text, static); a static piece comes from the phrase cache.

    `audio` is mu-law at 8 kHz that is played after them, such as hold music.
    """

    utterance_id: str
    pieces: tuple[tuple[str, bool], ...]
    interruptible: bool = True
    audio: bytes = b""


@dataclass
class SpeakFrame(SystemFrame):
    """Session to speaking processor: render this after all that was asked before."""

    utterance: Utterance | None = None


@dataclass
class PrepareFrame(SystemFrame):
    """Session to speaking processor: these pieces, as in `Utterance`, may be said next; none takes the wish back."""

    pieces: tuple[tuple[str, bool], ...] = ()


@dataclass
class ListenFrame(SystemFrame):
    """Session to hearing processor: this is what the dialog expects from now on; None stops listening."""

    expectation: Expectation | None = None


@dataclass
class KeyFrame(SystemFrame):
    """Leg to hearing processor: one key. Personal."""

    key: str = ""
    at_s: float = 0.0


@dataclass
class LineEventFrame(SystemFrame):
    """Any processor to the session, upstream or downstream."""

    event: LineEvent | None = None


@dataclass
class LowerSpeechFrame(SystemFrame):
    """Hearing to output: something may become a voice; go on, but softly."""


@dataclass
class PauseSpeechFrame(SystemFrame):
    """Hearing to output: the caller may be interrupting; hold the prompt where it is."""


@dataclass
class ResumeSpeechFrame(SystemFrame):
    """Hearing or session to output: it was nothing; go on as loud as before, where the prompt stopped."""


@dataclass
class PromptPlayingFrame(SystemFrame):
    """Output to hearing: our voice is (no longer) in the caller's ear, and may be interrupted; `wordless` is music."""

    playing: bool = False
    interruptible: bool = True
    wordless: bool = False


@dataclass
class UtteranceBeganFrame(ControlFrame):
    """Travels in order with the audio it announces."""

    utterance: Utterance | None = None
    queued_s: float = 0.0


@dataclass
class PieceFrame(ControlFrame):
    piece: Piece | None = None


@dataclass
class UtteranceEndedFrame(ControlFrame):
    utterance_id: str = ""
    #: Set when synthesis failed on the way, so that nobody waits for it.
    failed: bool = field(default=False)
