"""What the bot has said on a call and the caller has not yet heard to its end."""

from __future__ import annotations

import itertools

from voicebot.calls.ahead import pieces_of
from voicebot.calls.seams import SpokenLine
from voicebot.calls.turns import TurnLog
from voicebot.dialog.actions import Say
from voicebot.media.events import SpeakingBegan, SpeakingEnded
from voicebot.media.frames import Utterance
from voicebot.speech.synthesis.marks import plain_text
from voicebot.telephony.leg import CallLeg

#: Nobody speaks more slowly, a recorded prompt with pauses in it included.
_SLOWEST_CHARACTERS_PER_S = 6.0


class Unheard:
    """The utterances on their way to the caller, in the order in which they were said; empty once all were heard."""

    def __init__(self, line: SpokenLine, leg: CallLeg, turns: TurnLog) -> None:
        self._line = line
        self._leg = leg
        self._turns = turns
        self._says: dict[str, Say] = {}
        self._retried: set[str] = set()
        self._ids = itertools.count(1)

    def __len__(self) -> int:
        return len(self._says)

    @property
    def longest_s(self) -> float:
        """How long it takes at most to say all of it."""
        return sum(len(plain_text(say.text)) for say in self._says.values()) / _SLOWEST_CHARACTERS_PER_S

    @property
    def personal(self) -> bool:
        """Whether something of the caller's own is being said."""
        return any(say.personal for say in self._says.values())

    async def say(self, say: Say) -> str:
        """Say it after what was said before, and return the name by which the line tells of it."""
        utterance_id = f"u{next(self._ids)}"
        self._says[utterance_id] = say
        text = plain_text(say.text)
        self._turns.bot_says(utterance_id, say, text)
        self._leg.show_caption("bot", text, final=True)
        await self._line.say(Utterance(utterance_id, pieces_of(say), say.interruptible))
        return utterance_id

    def began(self, began: SpeakingBegan) -> None:
        """The caller begins to hear an utterance."""
        self._turns.speaking_began(began)

    def ended(self, ended: SpeakingEnded) -> None:
        """An utterance was heard to its end, or was cut off."""
        self.drop(ended.utterance_id)
        self._turns.speaking_ended(ended)

    def failed(self, utterance_id: str) -> Say | None:
        """The voice said nothing of an utterance; return what it was, None if it is no longer waited for."""
        say = self._says.pop(utterance_id, None)
        if say is not None:
            self._turns.never_spoken(utterance_id)
        return say

    def may_retry(self, say: Say) -> bool:
        """Tell whether `say` failed for the first time on this call; the next time it may not be said again."""
        if say.prompt in self._retried:
            return False
        self._retried.add(say.prompt)
        return True

    def drop(self, utterance_id: str) -> None:
        self._says.pop(utterance_id, None)

    def forget(self) -> None:
        """Wait for nothing any more; what was not heard is recorded so at the end of the call."""
        self._says.clear()
