"""Loads a directory of YAML into a `Bot`, or says everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

from voicebot.dialog.asking import request_expectation
from voicebot.dialog.declarations import (
    BUILT_IN,
    Declared,
    FlowHead,
    built_in_types,
    check_names,
    read_intent,
    read_intents,
    read_name,
    read_operations,
    read_prompt,
    read_slots,
    read_types,
)
from voicebot.dialog.document import Fields, Source, read_yaml, suggestion
from voicebot.dialog.escalation.policy import EscalationPolicy
from voicebot.dialog.escalation.reading import Known, listened_for, read_policy
from voicebot.dialog.expectation import AnswerKind, Expectation, KeyEntry
from voicebot.dialog.flow import (
    Bot,
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
from voicebot.dialog.hours import Holiday
from voicebot.dialog.linker import FlowLinker
from voicebot.dialog.prompt import Prompt
from voicebot.dialog.recording_rules import read_recording
from voicebot.dialog.rewording import reword
from voicebot.dialog.schedules import read_holidays, read_hours
from voicebot.errors import ConfigurationError, Problem

#: Folders inside a bot's directory that are about the bot, but no part of what callers get.
OTHER_FOLDERS = frozenset({"stories", "schema"})
#: How the bot's own words are said, and recorded prompts: parts of its version, too, read by `speech`.
LEXICON = "lexicon.yaml"
RECORDINGS = "recordings"
#: How operations are carried out: a part of the bot's version, read by `backends`.
SYSTEMS = "systems.yaml"
#: Who takes callers that want a person: a part of the bot's version, read by `routing`.
QUEUES = "queues.yaml"
AFTER_CALL = "after_call.yaml"
#: When a person takes over: `dialog.escalation`.
POLICY = "policy.yaml"
#: The folder of articles that questions are answered from.
KNOWLEDGE = "knowledge"
#: The folder of prompts by language, ``prompts/de.yaml``; the bot's own language is the one that is said.
PROMPTS = "prompts"

FLOW_KEYS = ("flow", "title", "about", "intents", "slots", "outcomes", "unless", "replaces", "steps")
BOT_KEYS = (
    "bot",
    "language",
    "start",
    "names",
    "intents",
    "types",
    "operations",
    "holidays",
    "hours",
    "remember",
    "commands",
    "replies",
    "ladders",
    "patterns",
    "understanding",
    "limits",
    "recording",
)
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


def load_bot(directory: Path) -> Bot:
    """Load every ``*.yaml`` under `directory`; `ConfigurationError` carries all problems with file, line and fix."""
    problems: list[Problem] = []
    documents: list[Source] = []
    wordings: dict[str, Source] = {}
    policy: tuple[Source, str] | None = None
    digest = sha256()
    paths = bot_files(directory)
    if not any(path.suffix == ".yaml" for path in paths):
        raise ConfigurationError([Problem(str(directory), None, "There are no .yaml files.", "Name a bot's folder.")])
    for path in paths:
        name = path.relative_to(directory).as_posix()
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
        if path.suffix != ".yaml" or path.name in {SYSTEMS, LEXICON, QUEUES, AFTER_CALL}:
            continue
        document = read_yaml(path, name, problems)
        if document and path.name == POLICY:
            policy = document, sha256(path.read_bytes()).hexdigest()[:12]
        elif document and PROMPTS in path.relative_to(directory).parts[:-1]:
            wordings[path.stem] = document
        elif document:
            documents.append(document)
    loader = _Loader(problems, policy)
    for document in documents:
        loader.declare(document)
    bot = loader.build(digest.hexdigest()[:12], directory)
    if bot and bot.language in wordings:
        bot = reword(bot, wordings[bot.language])
    if problems or bot is None:
        # The policy's phrases are read twice: for its questions, and for itself.
        raise ConfigurationError(sorted(dict.fromkeys(problems), key=lambda problem: (problem.file, problem.line or 0)))
    return bot


def load_policy(path: Path, bot: Bot) -> EscalationPolicy:
    """Load an escalation policy from anywhere, for the names of `bot`; `ConfigurationError` carries all problems."""
    problems: list[Problem] = []
    source = read_yaml(path, path.name, problems) if path.is_file() else None
    if source is None and not problems:
        problems.append(Problem(str(path), None, "There is no such file.", "Name a policy's YAML file."))
    policy = read_policy(source, sha256(path.read_bytes()).hexdigest()[:12], _names_of(bot)) if source else None
    if problems or policy is None:
        raise ConfigurationError(problems)
    return policy


def _names_of(bot: Bot) -> Known:
    slots = {*bot.remembered, *(name for flow in bot.flows.values() for name in flow.slots)}
    return Known(bot.flows, bot.intents_by_name, bot.operations, slots)


def bot_files(directory: Path) -> list[Path]:
    """All files that make up the bot in `directory`, in a fixed order: its YAML, its articles and its recordings."""
    found = [*directory.rglob("*.yaml"), *(directory / KNOWLEDGE).rglob("*.md")]
    found += (directory / RECORDINGS).glob("*.wav")
    return sorted(path for path in found if not OTHER_FOLDERS.intersection(path.relative_to(directory).parts[:-1]))


def _intents_of(commands: Commands) -> tuple[str, ...]:
    return (
        commands.repeat,
        commands.help,
        commands.start_over,
        commands.wait,
        commands.slower,
        commands.cancel,
    )


class _Loader:
    def __init__(self, problems: list[Problem], policy: tuple[Source, str] | None) -> None:
        self._problems = problems
        self._policy_source = policy
        self._declared = Declared(types=built_in_types())
        self._replies: dict[str, Prompt] = {}
        self._sections: dict[str, Source] = {}
        self._calendars: dict[str, tuple[Holiday, ...]] = {}
        self._later: list[Callable[[], None]] = []

    def declare(self, document: Source) -> None:
        """Take in one file; flow files keep their steps until everything is declared."""
        raw = document.fields()
        if "flow" in raw:
            self._declare_flow(document.fields(FLOW_KEYS))
            return
        for name, source in document.fields(BOT_KEYS):
            if name == "intents":
                read_intents(source, None, self._declared)
            elif name == "types":
                read_types(source, self._declared)
            elif name == "operations":
                read_operations(source, self._declared)
            elif name == "replies":
                self._read_replies(source)
            elif name == "holidays":
                self._read_calendars(source)
            elif name == "hours":
                # Holidays may be declared in a file that is read after this one.
                self._later.append(partial(read_hours, source, self._calendars, self._declared))
            elif name in self._sections:
                source.problem(f"'{name}' is already written in another file.", "Keep one of the two.")
            else:
                self._sections[name] = source

    def _read_replies(self, source: Source) -> None:
        """Small talk: intents that are answered with one sentence."""
        for name, entry in source.fields():
            fields = entry.fields(("examples", "say"))
            examples = fields.require("examples")
            reply = read_prompt(fields.require("say"), f"replies.{name}")
            if examples:
                read_intent(name, examples, None, self._declared)
            if reply:
                check_names(sorted(reply.names), BUILT_IN, entry)
                self._replies[name] = reply

    def _read_calendars(self, source: Source) -> None:
        for name, holidays in read_holidays(source).items():
            if name in self._calendars:
                source.problem(f"The holidays '{name}' are declared twice.", "Keep one of the two.")
            self._calendars[name] = holidays

    def _declare_flow(self, fields: Fields) -> None:
        name_source = fields.require("flow")
        name = read_name(name_source, "a flow") if name_source else ""
        if not name:
            return
        if name in self._declared.flows:
            fields.source.problem(f"There are two flows named '{name}'.", "Rename one of the two.")
            return
        read_intents(fields.get("intents"), name, self._declared)
        outcomes = fields.texts("outcomes") or ("done",)
        head = FlowHead(name, fields, {}, outcomes)
        self._declared.flows[name] = head
        # Types may be declared in a file that is read after this one.
        self._later.append(lambda: head.slots.update(read_slots(fields.get("slots"), name, self._declared)))

    def build(self, version: str, folder: Path) -> Bot | None:
        declared = self._declared
        declared.remembered = read_slots(self._sections.get("remember"), "", declared)
        for resolve in self._later:
            resolve()
        for check_later in declared.later:
            check_later()
        commands = self._commands()
        declared.command_phrases = self._command_phrases(commands)
        flows = {head.name: FlowLinker(head, declared).link() for head in declared.flows.values()}
        ladders = self._ladders()
        patterns = self._patterns()
        start = self._flow_named("start")
        if not (commands and ladders and patterns and start):
            return None
        self._check_intents(flows, commands)
        return Bot(
            name=self._text("bot"),
            version=version,
            folder=folder,
            language=self._text("language"),
            start=start,
            flows=flows,
            intents_by_name=declared.intents,
            operations=declared.operations,
            remembered=declared.remembered,
            patterns=patterns,
            ladders=ladders,
            commands=commands,
            replies=self._replies,
            clarify_expectation=self._clarify_expectation(flows),
            understanding=self._understanding(),
            limits=self._limits(),
            names=self._sections["names"].texts() if "names" in self._sections else (),
            places=declared.places,
            hours=declared.hours,
            policy=self._policy(flows),
            recording=read_recording(self._sections.get("recording"), flows),
        )

    def _policy(self, flows: dict[str, Flow]) -> EscalationPolicy | None:
        if self._policy_source is None:
            return None
        declared = self._declared
        source, version = self._policy_source
        slots = {*declared.remembered, *(name for flow in flows.values() for name in flow.slots)}
        return read_policy(source, version, Known(flows, declared.intents, declared.operations, slots))

    # --- sections of the bot

    def _require(self, name: str) -> Source | None:
        found = self._sections.get(name)
        if found is None:
            self._problems.append(
                Problem("bot.yaml", None, f"'{name}:' is missing.", f"Write '{name}:' in one file of the bot.")
            )
        return found

    def _text(self, name: str) -> str:
        source = self._require(name)
        return source.text() if source else ""

    def _flow_named(self, section: str) -> str:
        source = self._require(section)
        return self._known_flow(source) if source else ""

    def _known_flow(self, source: Source) -> str:
        name = source.text()
        if name and name not in self._declared.flows:
            source.problem(f"There is no flow '{name}'.", suggestion(name, self._declared.flows))
        return name

    def _commands(self) -> Commands | None:
        source = self._require("commands")
        if source is None:
            return None
        fields = source.fields(COMMANDS)
        named: dict[str, str] = {}
        for command in COMMANDS:
            entry = fields.require(command)
            if entry is None:
                continue
            named[command] = entry.text()
            if named[command] not in self._declared.intents:
                entry.problem(
                    f"There is no intent '{named[command]}'.", suggestion(named[command], self._declared.intents)
                )
        return Commands(**named) if len(named) == len(COMMANDS) else None

    def _command_phrases(self, commands: Commands | None) -> tuple[str, ...]:
        if commands is None:
            return ()
        names = (commands.person, *_intents_of(commands))
        found = [self._declared.intents[name] for name in names if name in self._declared.intents]
        examples = [example for intent in found for example in intent.examples]
        # Anger and need must be heard at every question: that is how a caller gets out of one.
        outbursts = listened_for(self._policy_source[0]) if self._policy_source else ()
        return tuple(dict.fromkeys(spoken_words(text) for text in (*examples, *outbursts)))

    def _ladders(self) -> Ladders | None:
        source = self._require("ladders")
        if source is None:
            return None
        fields = source.fields(LADDERS)
        read = {name: self._ladder(name, entry) for name in LADDERS if (entry := fields.require(name))}
        return Ladders(**read) if len(read) == len(LADDERS) else None

    def _ladder(self, name: str, source: Source) -> Ladder:
        rungs: list[Rung] = []
        gives_up = ""
        for number, item in enumerate(source.items(), start=1):
            fields = item.fields(("say", "offer_keys", "gives_up"))
            last = fields.get("gives_up")
            if last:
                gives_up = self._known_flow(last)
                continue
            say = read_prompt(fields.get("say"), f"ladders.{name}_{number}")
            rungs.append(Rung(say, fields.flag("offer_keys")))
        if not gives_up:
            source.problem(f"The ladder '{name}' has no end.", "Close it with '- gives_up: <flow>'.")
        return Ladder(tuple(rungs), gives_up)

    def _patterns(self) -> Patterns | None:
        source = self._require("patterns")
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
        backend_down = self._known_flow(down) if down else ""
        return Patterns(**prompts, backend_down=backend_down) if len(prompts) == len(PATTERN_PROMPTS) else None

    def _understanding(self) -> Understanding:
        source = self._sections.get("understanding")
        if source is None:
            return Understanding()
        fields = source.fields(("accept", "clarify", "margin", "digress"))
        return Understanding(**{name: entry.fraction() for name, entry in fields})

    def _limits(self) -> Limits:
        source = self._sections.get("limits")
        if source is None:
            return Limits()
        fields = source.fields(("misses", "turns", "stack"))
        return Limits(**{name: entry.number(least=1) for name, entry in fields})

    def _clarify_expectation(self, flows: dict[str, Flow]) -> Expectation:
        titles = tuple(dict.fromkeys(spoken_words(flow.title) for flow in flows.values() if flow.title))
        base = request_expectation("patterns.clarify", (), yes_no=True, barge_in=True)
        return Expectation(
            name=base.name,
            kinds=(AnswerKind.YES_NO, AnswerKind.CHOICE, AnswerKind.OPEN),
            phrases=(*titles, *self._declared.command_phrases),
            keys=KeyEntry(1, 1),
        )

    def _check_intents(self, flows: dict[str, Flow], commands: Commands) -> None:
        """Every intent must lead somewhere, and a flow that can be asked for needs a title to be named by."""
        used = {commands.person, *_intents_of(commands), *self._replies}
        for intent in self._declared.intents.values():
            if intent.flow is None and intent.name not in used:
                what = f"The intent '{intent.name}' starts nothing."
                self._problems.append(Problem("bot.yaml", None, what, "Move it into a flow's 'intents:'."))
            elif intent.flow and not flows[intent.flow].title:
                flow = flows[intent.flow]
                what = f"The flow '{flow.name}' can be asked for and has no title."
                self._problems.append(
                    Problem(flow.file, flow.line, what, "Add 'title: your account balance', as said to a caller.")
                )
        person = self._declared.intents.get(commands.person)
        if person and person.flow is None:
            what = f"The intent '{commands.person}' starts no flow, so a person cannot be reached."
            self._problems.append(Problem("bot.yaml", None, what, "Declare it under 'intents:' of the person flow."))
