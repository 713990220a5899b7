"""What would be said next if the caller had finished: found on a copy of the dialog, so that nothing comes of it."""

from __future__ import annotations

from datetime import datetime

from voicebot.calls.seams import Dialog, SpokenLine, Understanding
from voicebot.dialog.actions import CallBackend, Say
from voicebot.dialog.events import CallerSpoke, Event
from voicebot.dialog.expectation import Expectation
from voicebot.speech.synthesis.marks import at_pace, carry_marks

Pieces = tuple[tuple[str, bool], ...]


class ReplyAhead:
    """The reply that is rendered while the caller pauses; one at a time, and none is ever said by this."""

    def __init__(self, dialog: Dialog, understanding: Understanding, line: SpokenLine) -> None:
        self._dialog = dialog
        self._understanding = understanding
        self._line = line
        #: The words of a pause that a reply was prepared for.
        self._text = ""

    async def prepare(self, text: str, expectation: Expectation, now: datetime) -> None:
        """Render what would be said if the caller, who has paused after `text`, had finished; nothing is committed."""
        if text == self._text:
            return
        self._text = text
        reading = self._understanding.interpret([(text, 1.0)], expectation, now)
        pieces = reply_ahead(self._dialog, CallerSpoke(now, reading)) if reading else ()
        await self._line.prepare(pieces)

    async def forget(self) -> None:
        """Drop what was rendered: the caller went on, or it has been said."""
        if self._text:
            self._text = ""
            await self._line.prepare(())


def pieces_of(say: Say) -> Pieces:
    """Return what the voice gets for `say`: each text with its marks, and whether it is static."""
    texts = carry_marks(at_pace(part.text, say.pace) for part in say.parts)
    return tuple((text, part.static) for text, part in zip(texts, say.parts, strict=True))


def reply_ahead(dialog: Dialog, event: Event) -> Pieces:
    """Return what `dialog` would say to `event` before it asked a backend; `dialog` itself is not touched."""
    pieces: list[tuple[str, bool]] = []
    for action in dialog.fork().step(event):
        if isinstance(action, CallBackend):
            break
        if isinstance(action, Say):
            pieces += pieces_of(action)
    return tuple(pieces)
