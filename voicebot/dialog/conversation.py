"""One call's dialog: the machine with its state, for callers who want to hand in events and get actions."""

from __future__ import annotations

from collections.abc import Mapping

from voicebot.dialog.actions import Action
from voicebot.dialog.events import Event, SlotValue
from voicebot.dialog.flow import Bot
from voicebot.dialog.machine import new_state, step
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

    def step(self, event: Event) -> tuple[Action, ...]:
        self._state, actions = step(self._bot, self._state, event)
        return actions

    def fork(self) -> Conversation:
        """Return a copy to try an event on before it is certain; the original is not touched."""
        return Conversation(self._bot, self._state)
