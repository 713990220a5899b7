"""What signalling needs of a call's audio; `voicebot.telephony.rtp.media.RtpMedia` in production."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from voicebot.telephony.leg import LegEvent


class Media(Protocol):
    """One call's audio. `answer` and `accept` raise `NotAcceptable` and then leave everything as it was."""

    @property
    def queued_samples(self) -> int:
        """How long a frame sent now would wait until it leaves."""
        ...

    def offer(self) -> bytes: ...
    def answer(self, offer: bytes) -> bytes: ...
    def accept(self, answer: bytes) -> None: ...
    def hold(self, held: bool) -> bytes: ...  # noqa: FBT001  # a switch
    def withdraw(self) -> None:
        """The peer refused our last offer: what was agreed before goes on."""
        ...

    def events(self) -> AsyncIterator[LegEvent]: ...
    def send(self, frame: bytes) -> None: ...
    def clear(self) -> int: ...
    def send_keys(self, keys: str) -> None: ...
    def expect_media(self) -> None:
        """From now on a silent peer is a dead one."""
        ...

    async def close(self) -> None: ...


#: Opens the audio of one call: from a local address of ours, towards the address of the call's signalling. Raises
#: `PortsExhausted`.
OpenMedia = Callable[[str, str], Awaitable[Media]]
