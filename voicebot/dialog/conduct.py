"""Reads how a bot conducts itself at every question: commands, ladders, patterns, thresholds and limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voicebot.dialog.asking import request_expectation
from voicebot.dialog.declarations import Declared, check_names, read_prompt
from voicebot.dialog.document import Source, suggestion
from voicebot.dialog.expectation import AnswerKind, Expectation, KeyEntry
from voicebot.dialog.flow import (
    Commands,
    Flow,
    Ladder,
    Ladders,
    Limits,
    Patterns,
    Rung,
    Understanding,
    spoken_words,
)
from voicebot.dialog.prompt import Prompt

COMMANDS = ("repeat", "help", "start_over", "wait", "slower", "cancel", "person")
LADDERS = ("silence", "no_match", "hearing")
#: The bot-wide prompts, each with the names it may use.
PATTERN_PROMPTS: dict[str, tuple[str, ...]] = {
    "returning": ("title",),
    "next_request": ("title",),
    "continuing": ("title",),
    "clarify_one": ("first",),
    "clarify_two": ("first", "second"),
    "clarify_again": (),
    "wait": (),
    "start_over": (),
    "help": (),
    "talked_too_long": (),
    "cannot_change_now": (),
    "cancelled": (),
    "needs_person": (),
    "keys_yes_no": (),
    "call_too_long": (),
    "shutting_down": (),
    "broken": (),
    "one_moment": (),
    "voice_trouble": (),
}


def read_commands(source: Source | None, declared: Declared) -> Commands | None:
    """Read which intents work at every question; None when one is missing."""
    if source is None:
        return None
    fields = source.fields(COMMANDS)
    named: dict[str, str] = {}
    for command in COMMANDS:
        entry = fields.require(command)
        if entry is None:
            continue
        named[command] = entry.text()
        if named[command] not in declared.intents:
            entry.problem(f"There is no intent '{named[command]}'.", suggestion(named[command], declared.intents))
    return Commands(**named) if len(named) == len(COMMANDS) else None


def intents_of(commands: Commands) -> tuple[str, ...]:
    """Return the intents of the commands that start no flow."""
    return (
        commands.repeat,
        commands.help,
        commands.start_over,
        commands.wait,
        commands.slower,
        commands.cancel,
    )


def command_phrases(commands: Commands | None, declared: Declared, outbursts: Sequence[str]) -> tuple[str, ...]:
    """Return the sentences that commands are said in, and `outbursts`.

    Anger and need must be heard at every question: that is how a caller gets out of one.
    """
    if commands is None:
        return ()
    names = (commands.person, *intents_of(commands))
    found = [declared.intents[name] for name in names if name in declared.intents]
    examples = [example for intent in found for example in intent.examples]
    return tuple(dict.fromkeys(spoken_words(text) for text in (*examples, *outbursts)))


def read_ladders(source: Source | None, declared: Declared) -> Ladders | None:
    """Read what follows when a question gets no answer; None when a ladder is missing."""
    if source is None:
        return None
    fields = source.fields(LADDERS)
    read = {name: _read_ladder(name, entry, declared) for name in LADDERS if (entry := fields.require(name))}
    return Ladders(**read) if len(read) == len(LADDERS) else None


def _read_ladder(name: str, source: Source, declared: Declared) -> Ladder:
    rungs: list[Rung] = []
    gives_up = ""
    for number, item in enumerate(source.items(), start=1):
        fields = item.fields(("say", "offer_keys", "gives_up"))
        last = fields.get("gives_up")
        if last:
            gives_up = known_flow(last, declared)
            continue
        say = read_prompt(fields.get("say"), f"ladders.{name}_{number}")
        rungs.append(Rung(say, fields.flag("offer_keys")))
    if not gives_up:
        source.problem(f"The ladder '{name}' has no end.", "Close it with '- gives_up: <flow>'.")
    return Ladder(tuple(rungs), gives_up)


def read_patterns(source: Source | None, declared: Declared) -> Patterns | None:
    """Read what is said where no flow applies; None when something of it is missing."""
    if source is None:
        return None
    fields = source.fields((*PATTERN_PROMPTS, "backend_down"))
    prompts: dict[str, Prompt] = {}
    for name, allowed in PATTERN_PROMPTS.items():
        entry = fields.require(name)
        prompt = read_prompt(entry, f"patterns.{name}")
        if entry and prompt:
            check_names(sorted(prompt.names), allowed, entry)
            prompts[name] = prompt
    down = fields.require("backend_down")
    backend_down = known_flow(down, declared) if down else ""
    return Patterns(**prompts, backend_down=backend_down) if len(prompts) == len(PATTERN_PROMPTS) else None


def read_understanding(source: Source | None) -> Understanding:
    """Read how sure of an intent the bot must be; the defaults where nothing is said."""
    if source is None:
        return Understanding()
    fields = source.fields(("accept", "clarify", "margin", "digress"))
    return Understanding(**{name: entry.fraction() for name, entry in fields})


def read_limits(source: Source | None) -> Limits:
    """Read where a call ends that leads nowhere; the defaults where nothing is said."""
    if source is None:
        return Limits()
    fields = source.fields(("misses", "turns", "stack"))
    return Limits(**{name: entry.number(least=1) for name, entry in fields})


def clarify_expectation(flows: Mapping[str, Flow], declared: Declared) -> Expectation:
    """Return what is listened for when the bot asks which of two requests was meant."""
    titles = tuple(dict.fromkeys(spoken_words(flow.title) for flow in flows.values() if flow.title))
    base = request_expectation("patterns.clarify", (), yes_no=True, barge_in=True)
    return Expectation(
        name=base.name,
        kinds=(AnswerKind.YES_NO, AnswerKind.CHOICE, AnswerKind.OPEN),
        phrases=(*titles, *declared.command_phrases),
        keys=KeyEntry(1, 1),
    )


def known_flow(source: Source, declared: Declared) -> str:
    """Return the flow that `source` names; a problem where there is none."""
    name = source.text()
    if name and name not in declared.flows:
        source.problem(f"There is no flow '{name}'.", suggestion(name, declared.flows))
    return name
