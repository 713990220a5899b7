"""What would be said next if the caller had finished: found on a copy of the dialog, so that nothing comes of it."""

from __future__ import annotations

from voicebot.calls.seams import Dialog
from voicebot.dialog.actions import CallBackend, Say
from voicebot.dialog.events import Event
from voicebot.speech.synthesis.marks import at_pace, carry_marks

Pieces = tuple[tuple[str, bool], ...]


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
