"""An utterance heard twice: by whoever answers, and by an engine of which nobody knows whether it is still slow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from voicebot.speech.asr import Final, Partial, Utterance


class UtteranceOnTrial:
    """See `voicebot.speech.asr.Utterance`. Everything comes from `answering`; `tried` hears the same, for the clock.

    `conclude` is called when the caller has finished, to finish `tried` too while nobody waits for it; `over` when it
    was cancelled.
    """

    def __init__(
        self, answering: Utterance, tried: Utterance, *, conclude: Callable[[], None], over: Callable[[], None]
    ) -> None:
        self._answering = answering
        self._tried = tried
        self._conclude = conclude
        self._over = over

    def feed(self, pcm: bytes) -> None:
        self._answering.feed(pcm)
        self._tried.feed(pcm)

    def partials(self) -> AsyncIterator[Partial]:
        return self._answering.partials()

    def look_ahead(self) -> None:
        self._answering.look_ahead()
        self._tried.look_ahead()

    def go_on(self) -> None:
        self._answering.go_on()
        self._tried.go_on()

    async def finish(self) -> Final:
        self._conclude()
        return await self._answering.finish()

    def cancel(self) -> None:
        self._answering.cancel()
        self._tried.cancel()
        self._over()
