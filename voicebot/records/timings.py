"""The stages from a caller's last word to our first, on the monotonic clock."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """In the order in which a turn passes them; each is counted from the caller's last frame of speech."""

    #: The turn was decided to be over.
    END_OF_TURN = "end_of_turn"
    #: The transcript was there.
    FINAL = "final"
    #: The dialog had answered.
    DECISION = "decision"
    #: The first audio of the reply was there to be sent.
    FIRST_AUDIO_QUEUED = "first_audio_queued"
    #: The first audio of the reply was handed to the leg.
    FIRST_AUDIO_SENT = "first_audio_sent"
