"""One flow run with a caller whom a person has, or had: the bot takes a payment, say, and gives the caller back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from voicebot.calls.conversation import CallParts, Conversation
from voicebot.calls.seams import Dialog
from voicebot.calls.transfer.seams import FlowRun
from voicebot.dialog.actions import Action, NoteConsent, ResumeRecording, SetGoal, StopRecording, TransferTo
from voicebot.records.record import Outcome
from voicebot.telephony.leg import EndCause


class BotStep(Conversation):
    """The talk of one flow. `finish` gives `over` what came of it, once the caller has heard the last words."""

    def __init__(
        self, parts: CallParts, main: Dialog, aside: Dialog, over: asyncio.Future[FlowRun], left: Callable[[], None]
    ) -> None:
        """`left` is called when the caller has been left."""
        super().__init__(replace(parts, dialog=aside))
        self._main = main
        self._aside = aside
        self._over = over
        self._left = left
        self._wants_person = False
        self._reached: list[str] = []

    @property
    def handed_over(self) -> bool:
        return self._wants_person

    async def hand_over(self, wanted: TransferTo) -> None:
        """The caller wants a person, or the flow does: there is one who waits for them."""
        del wanted
        self._wants_person = True
        self.outcome = Outcome.PERSON
        await self._parts.line.stop_speaking()
        await self.finish()

    async def carry_out(self, action: Action) -> None:
        if isinstance(action, SetGoal) and action.reached:
            self._reached.append(action.goal)
        await super().carry_out(action)

    async def finish(self) -> None:
        if not self._over.done():
            await self._line.listen(None)
            done = self.outcome == Outcome.COMPLETED
            self._over.set_result(FlowRun(done, wants_person=self._wants_person, reached=tuple(self._reached)))
            self.leave()

    def caller_left(self, cause: EndCause) -> None:
        """The caller is gone: nothing came of it."""
        self.line_ended(cause)
        if not self._over.done():
            self._over.set_result(FlowRun(done=False))
        self.leave()

    def leave(self) -> None:
        """Have nothing of the step go on: no timer, no silence in the recording, no prompt that is waited for."""
        self._timers.stop_all()
        if self.secret:
            self._parts.recording.secret(False, self._clock())  # noqa: FBT003  # a switch
        self._unheard.forget()
        for action in self._main.rejoin(self._aside):
            if isinstance(action, ResumeRecording | StopRecording | NoteConsent):
                self._parts.steer_recording(self._plan.call_id, action)
        self._left()
