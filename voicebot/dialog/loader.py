"""Loads a directory of YAML into a `Bot`, or says everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

from voicebot.dialog.conduct import (
    clarify_expectation,
    command_phrases,
    intents_of,
    known_flow,
    read_commands,
    read_ladders,
    read_limits,
    read_patterns,
    read_understanding,
)
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
from voicebot.dialog.document import Fields, Source, read_yaml
from voicebot.dialog.escalation.policy import EscalationPolicy
from voicebot.dialog.escalation.reading import Known, listened_for, read_policy
from voicebot.dialog.flow import (
    Bot,
    Commands,
    Flow,
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
#: What a queue names flows by that the bot runs for the person a caller talks to.
FLOWS_FOR_PEOPLE = ("survey", "step")
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


def load_bot(directory: Path) -> Bot:
    """Load every ``*.yaml`` under `directory`; `ConfigurationError` carries all problems with file, line and fix."""
    problems: list[Problem] = []
    documents: list[Source] = []
    wordings: dict[str, Source] = {}
    policy: tuple[Source, str] | None = None
    for_people: frozenset[str] = frozenset()
    digest = sha256()
    paths = bot_files(directory)
    if not any(path.suffix == ".yaml" for path in paths):
        what = "There are no .yaml files in this folder." if directory.is_dir() else "There is no such folder."
        raise ConfigurationError([Problem(str(directory), None, what, "Name a bot's folder with --flows.")])
    for path in paths:
        name = path.relative_to(directory).as_posix()
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
        if path.suffix != ".yaml" or path.name in {SYSTEMS, LEXICON, AFTER_CALL}:
            continue
        document = read_yaml(path, name, problems)
        if document and path.name == QUEUES:
            for_people = _flows_for_people(document)
        elif document and path.name == POLICY:
            policy = document, sha256(path.read_bytes()).hexdigest()[:12]
        elif document and PROMPTS in path.relative_to(directory).parts[:-1]:
            wordings[path.stem] = document
        elif document:
            documents.append(document)
    loader = _Loader(problems, policy)
    for document in documents:
        loader.declare(document)
    bot = loader.build(digest.hexdigest()[:12], directory, for_people)
    if bot and bot.language in wordings:
        bot = reword(bot, wordings[bot.language])
    if problems or bot is None:
        # The policy's phrases are read twice: for its questions, and for itself.
        raise ConfigurationError(sorted(dict.fromkeys(problems), key=lambda problem: (problem.file, problem.line or 0)))
    return bot


def _flows_for_people(queues: Source) -> frozenset[str]:
    """Return the flows that queues name; `routing` reads them in full, and says what is wrong with them."""
    found = queues.fields().get("queues") if queues.is_fields else None
    entries = [entry.fields() for _, entry in found.fields() if entry.is_fields] if found and found.is_fields else []
    named = [entry.get(key) for entry in entries for key in FLOWS_FOR_PEOPLE]
    return frozenset(source.text() for source in named if source and source.is_text)


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

    def build(self, version: str, folder: Path, for_people: frozenset[str]) -> Bot | None:
        declared = self._declared
        declared.remembered = read_slots(self._sections.get("remember"), "", declared)
        for resolve in self._later:
            resolve()
        for check_later in declared.later:
            check_later()
        commands = read_commands(self._require("commands"), declared)
        declared.command_phrases = command_phrases(
            commands, declared, listened_for(self._policy_source[0]) if self._policy_source else ()
        )
        flows = {head.name: FlowLinker(head, declared).link() for head in declared.flows.values()}
        ladders = read_ladders(self._require("ladders"), declared)
        patterns = read_patterns(self._require("patterns"), declared)
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
            clarify_expectation=clarify_expectation(flows, declared),
            understanding=read_understanding(self._sections.get("understanding")),
            limits=read_limits(self._sections.get("limits")),
            names=self._sections["names"].texts() if "names" in self._sections else (),
            places=declared.places,
            hours=declared.hours,
            policy=self._policy(flows),
            recording=read_recording(self._sections.get("recording"), flows),
            for_people=for_people,
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
        return known_flow(source, self._declared) if source else ""

    def _check_intents(self, flows: dict[str, Flow], commands: Commands) -> None:
        """Every intent must lead somewhere, and a flow that can be asked for needs a title to be named by."""
        used = {commands.person, *intents_of(commands), *self._replies}
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
