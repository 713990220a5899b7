"""How a simulated call went: what was said and understood, how long replies took, and the evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from voicebot.simulation.line import LineReport
from voicebot.simulation.tape import Tape


class Speaker(StrEnum):
    CALLER = "caller"
    BOT = "bot"


class CallEnd(StrEnum):
    """`DONE`: every step of the script was reached and the call ended as the script wants."""

    DONE = "done"
    WRONG_REPLY = "wrong_reply"
    NO_REPLY = "no_reply"
    BOT_HUNG_UP = "bot_hung_up"
    NOT_HUNG_UP = "not_hung_up"
    REFUSED = "refused"
    LINE_LOST = "line_lost"


@dataclass(frozen=True, slots=True)
class Spoken:
    """One line of the transcript; times in seconds since the call was answered.

    The bot's `text` is what the caller understood of its audio, empty when nothing; `sure` as in `ears.Heard`.
    """

    speaker: Speaker
    text: str
    began_s: float
    ended_s: float
    sure: bool = True


class Prompting(StrEnum):
    """What the bot replied to."""

    SPEECH = "speech"
    KEYS = "keys"


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: the caller's last speech sample (or key) on the wire to the first audible reply on the wire."""

    to: Prompting
    asked_s: float
    arrived_s: float

    @property
    def voice_to_voice_ms(self) -> float:
        return (self.arrived_s - self.asked_s) * 1000


@dataclass(frozen=True, slots=True)
class Interruption:
    """The caller spoke over the bot: from the first speech sample on the wire to the last audible one heard."""

    began_s: float
    stopped_s: float

    @property
    def stop_ms(self) -> float:
        return max(0.0, (self.stopped_s - self.began_s) * 1000)


@dataclass(frozen=True, slots=True)
class CallResult:
    """`detail` says in words what was expected and what came, for a person to read. `line` is None when refused."""

    script: str
    end: CallEnd
    detail: str
    call_sid: str = ""
    steps_done: int = 0
    spoken: tuple[Spoken, ...] = ()
    replies: tuple[Reply, ...] = ()
    interruptions: tuple[Interruption, ...] = ()
    line: LineReport | None = None
    tape: Tape = field(default_factory=Tape)

    @property
    def done(self) -> bool:
        return self.end is CallEnd.DONE

    @property
    def heard(self) -> str:
        """Everything the caller understood of the bot, in order."""
        return " ".join(line.text for line in self.spoken if line.speaker is Speaker.BOT and line.text)
