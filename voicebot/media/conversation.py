"""The place in the pipeline where the call's session listens and speaks."""

from __future__ import annotations

from collections.abc import Callable

from pipecat.frames.frames import Frame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from voicebot.media.events import LineEvent
from voicebot.media.frames import LineEventFrame


class ConversationProcessor(FrameProcessor):
    """Hands every line event, from either side, to the session, and passes the rest on.

    `on_event` must not block: the session queues what it is told and acts in tasks of its own, which an interruption
    of the pipeline cannot cancel.
    """

    def __init__(self, on_event: Callable[[LineEvent], None]) -> None:
        super().__init__(enable_direct_mode=True)
        self._on_event = on_event

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, LineEventFrame):
            if frame.event is not None:
                self._on_event(frame.event)
            return
        await self.push_frame(frame, direction)
