"""One call's dialog: the machine with its state, for callers who want to hand in events and get actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from voicebot.dialog.actions import Action, ResumeRecording
from voicebot.dialog.events import Event, SlotValue
from voicebot.dialog.flow import Bot
from voicebot.dialog.machine import new_state, step
from voicebot.dialog.recorded import held_by
from voicebot.dialog.recording import Consent, RecordingHold, RecordingPolicy
from voicebot.dialog.state import State


class Conversation:
    """Holds the state between two events. `bot` stays the one it began with, whatever is published meanwhile."""

    def __init__(self, bot: Bot, state: State | None = None) -> None:
        self._bot = bot
        self._state = state or new_state(bot)

    @property
    def bot(self) -> Bot:
        return self._bot

    @property
    def flow_version(self) -> str:
        return self._bot.version

    @property
    def drops_all(self) -> frozenset[str]:
        """The intents that give up whatever is under way; with a person nothing is lost, so that is none of them."""
        commands, known = self._bot.commands, self._bot.intents_by_name
        replacing = {flow.name for flow in self._bot.flows.values() if flow.replaces} - {known[commands.person].flow}
        return frozenset(
            {
                commands.start_over,
                commands.cancel,
                *(name for name, intent in known.items() if intent.flow in replacing),
            }
        )

    @property
    def remembered(self) -> Mapping[str, SlotValue]:
        """What holds for the whole call, by the names under `remember:`."""
        return self._state.slots

    @property
    def state(self) -> State:
        """The state as it stands; frozen, so it may be kept and replayed from."""
        return self._state

    def aside(self, flow: str) -> Conversation:
        """Begin a conversation of `flow` alone, in the middle of this call, with what is known of the caller.

        Nobody weighs an escalation in it, since a person is there, and nothing is said about recording: how the caller
        stands to that is known. KeyError when there is no such flow.
        """
        rules = self._bot.recording
        refused = rules.policy is RecordingPolicy.ASK and self._state.consent is not Consent.AGREED
        bot = replace(
            self._bot,
            start=self._bot.flows[flow].name,
            policy=None,
            recording=replace(rules, policy=RecordingPolicy.OFF),
        )
        state = replace(
            new_state(bot),
            slots=self._state.slots,
            # Requests are counted on, since writes are told apart by it.
            requests=self._state.requests,
            consent=Consent.REFUSED if refused else self._state.consent,
        )
        return Conversation(bot, state)

    def rejoin(self, aside: Conversation) -> tuple[Action, ...]:
        """Take over what `aside` has learnt of the caller, and return what is left to do about the recording."""
        self._state = replace(self._state, slots=aside.state.slots, requests=aside.state.requests)
        held = held_by(aside.bot, aside.state)
        return (ResumeRecording(),) if held in {RecordingHold.POLICY, RecordingHold.FLOW} else ()

    def step(self, event: Event) -> tuple[Action, ...]:
        self._state, actions = step(self._bot, self._state, event)
        return actions

    def fork(self) -> Conversation:
        """Return a copy to try an event on before it is certain; the original is not touched."""
        return Conversation(self._bot, self._state)
