"""`voicebot flows …`: check, try, draw and publish a bot's flows."""

from __future__ import annotations

import argparse
import getpass
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import yaml

from voicebot.backends.openapi import as_yaml, read_openapi
from voicebot.commands.learning import Learning, reader
from voicebot.dialog.check import Beside, Report, check
from voicebot.dialog.coverage import FlowCoverage, coverage
from voicebot.dialog.finding import Finding
from voicebot.dialog.library import Library, RefusedVersion
from voicebot.dialog.loader import load_bot
from voicebot.dialog.picture import mermaid, svg
from voicebot.dialog.rehearsal import rehearse
from voicebot.dialog.story import load_stories
from voicebot.errors import ConfigurationError, Problem
from voicebot.settings import FLOW_LIBRARY, Settings, load_settings


def add_flows(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands to `parser`; each sets `run`, which returns the exit status."""
    commands = parser.add_subparsers(dest="task", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about)
        made.add_argument("--flows", type=Path, help="folder with the bot's flows")
        made.set_defaults(run=run)
        return made

    checking = command("check", _check, "find every mistake; exits 1 while the bot must not go live")
    checking.add_argument("--format", choices=("text", "json"), default="text")
    checking.add_argument(
        "--quick", action="store_true", help="do not measure which intents' examples sound alike (saves seconds)"
    )
    testing = command("test", _test, "play the stories without audio, and tell which steps none of them reaches")
    testing.add_argument("--only", metavar="TEXT", help="only the stories with this in their name")
    testing.add_argument(
        "--spoken",
        nargs="*",
        metavar="STORY",
        help="tell them by telephone instead, at the speed of speech: those with this in their name, else a few",
    )
    drawing = command("graph", _graph, "draw the flows")
    drawing.add_argument("names", nargs="*", metavar="FLOW", help="flows to draw; all unless told")
    drawing.add_argument("--format", choices=("mermaid", "svg"), default="mermaid")
    drawing.add_argument("--out", type=Path, metavar="FOLDER", help="write a file for each flow here")
    command("prompts", _prompts, "print every prompt by its name, to be put into other words in prompts/LANGUAGE.yaml")
    importing = commands.add_parser("import", help="write the operations of an OpenAPI document as YAML, to be edited")
    importing.add_argument("document", type=Path, help="the OpenAPI 3 document, YAML or JSON")
    importing.add_argument("--system", required=True, help="what the system is called in flows, such as crm")
    importing.add_argument("--url", required=True, help="its address, or the environment variable that holds it")
    importing.add_argument("--only", nargs="*", default=[], metavar="OPERATION_ID", help="these operations alone")
    importing.set_defaults(run=_import)
    chatting = command("chat", _chat, "talk to the bot by typing")
    chatting.add_argument("--explain", action="store_true", help="show intents, slots and decisions after each turn")
    chatting.add_argument("--data", type=Path, help="folder with the company's data")

    publishing = command("publish", _publish, "check the flows and have new calls get them")
    publishing.add_argument("--note", default="", help="why, for colleagues")
    publishing.add_argument("--by", default="", help="who; your login name unless told")
    listing = command("versions", _versions, "list what was published")
    listing.add_argument("--format", choices=("text", "json"), default="text")
    comparing = command("diff", _diff, "what publishing would change, or what changed between two versions")
    comparing.add_argument("versions", nargs="*", metavar="VERSION", help="none, one or two; a beginning is enough")
    returning = command("rollback", _rollback, "make an earlier version current again")
    returning.add_argument("version", nargs="?", default="", help="the one before the current one unless told")
    for parser_ in (publishing, listing, comparing, returning):
        parser_.add_argument("--data", type=Path, help="the server's data folder, in which versions are kept")


def _settings(given: argparse.Namespace) -> Settings:
    return load_settings(flows=given.flows, data=getattr(given, "data", None))


def _library(settings: Settings) -> Library:
    return Library(settings.data / FLOW_LIBRARY)


def _check(given: argparse.Namespace) -> int:
    settings = _settings(given)
    learning = Learning(settings)
    report = check(settings.flows, None if given.quick else learning.collide, _beside())
    if given.format == "json":
        print(json.dumps(_document(report) | {"understanding": learning.document(report.bot)}, indent=2))
    else:
        _print_report(report)
        print("\n".join(learning.lines(report.bot)))
    return 0 if report.may_go_live else 1


def _beside() -> Sequence[Beside]:
    """Return what reads the files of a bot that are no flows."""
    # Imported here: the libraries behind it take a quarter of a second, which no other subcommand should pay.
    from voicebot.commands.beside import beside  # noqa: PLC0415

    return beside()


def _document(report: Report) -> dict[str, object]:
    return {
        "may_go_live": report.may_go_live,
        "version": report.bot.version if report.bot else None,
        "findings": [_finding(finding) for finding in report.findings],
    }


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "file": finding.file,
        "line": finding.line,
        "severity": str(finding.severity),
        "rule": finding.rule,
        "what": finding.what,
        "fix": finding.fix,
    }


def _print_report(report: Report) -> None:
    for finding in report.findings:
        print(finding)
    errors, warnings = len(report.errors), len(report.findings) - len(report.errors)
    print(f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}")


def _test(given: argparse.Namespace) -> int:
    if given.spoken is not None:
        # Imported here: a server's libraries take seconds, which stories without audio should not pay.
        from voicebot.commands.spoken import tell_stories  # noqa: PLC0415

        return tell_stories(_settings(given), given.spoken or ([given.only] if given.only else []))
    folder = _settings(given).flows
    bot = load_bot(folder)
    stories = [story for story in load_stories(folder / "stories", bot) if (given.only or "") in story.name]
    understand = reader(bot, stories, _settings(given))
    rehearsed = [rehearse(bot, story, understand) for story in stories]
    failed = [one for one in rehearsed if one.mismatch is not None]
    for one in failed:
        print(f"{one.story.file}: {one.story.name}: {one.mismatch}")
    flows = coverage(bot, [one.shown for one in rehearsed])
    for name, flow in flows.items():
        print(_coverage_line(name, flow))
    unreached = sum(len(flow.unreached) for flow in flows.values())
    untold = sum(len(flow.untold) for flow in flows.values())
    print(
        f"{len(rehearsed) - len(failed)} passed, {len(failed)} failed, "
        f"{unreached} steps unreached, {untold} failures and refusals untold"
    )
    return 1 if failed else 0


def _coverage_line(name: str, flow: FlowCoverage) -> str:
    """How many of a flow's steps, and of its failures and refusals, the stories show, and which they do not."""
    steps, setbacks = len(flow.steps), len(flow.setbacks)
    missing = ", ".join([*flow.unreached, *map(str, flow.untold)])
    return (
        f"{name:24} {steps - len(flow.unreached):3} of {steps:3} steps, "
        f"{setbacks - len(flow.untold):3} of {setbacks:3} failures and refusals  {missing}"
    ).rstrip()


def _graph(given: argparse.Namespace) -> int:
    bot = load_bot(_settings(given).flows)
    unknown = [name for name in given.names or () if name not in bot.flows]
    if unknown:
        what = f"There is no flow {' or '.join(unknown)}."
        raise ConfigurationError(
            [Problem(str(_settings(given).flows), None, what, f"There are: {', '.join(bot.flows)}.")]
        )
    flows = [flow for name, flow in bot.flows.items() if not given.names or name in given.names]
    draw, suffix = (svg, "svg") if given.format == "svg" else (mermaid, "mmd")
    for flow in flows:
        if given.out is None:
            print(draw(flow))
            continue
        given.out.mkdir(parents=True, exist_ok=True)
        path = given.out / f"{flow.name}.{suffix}"
        path.write_text(draw(flow), encoding="utf-8")
        print(path)
    return 0 if flows else 1


def _import(given: argparse.Namespace) -> int:
    print(as_yaml(read_openapi(given.document, given.system, given.only), given.system, given.url), end="")
    return 0


def _prompts(given: argparse.Namespace) -> int:
    listed = {prompt.name: list(prompt.templates) for prompt in load_bot(_settings(given).flows).prompts()}
    plain = {name: texts[0] if len(texts) == 1 else texts for name, texts in listed.items()}
    print(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110), end="")
    return 0


def _chat(given: argparse.Namespace) -> int:
    from voicebot.commands.chat import chat  # noqa: PLC0415  # see `Learning`

    return chat(_settings(given), explain=given.explain)


def _publish(given: argparse.Namespace) -> int:
    settings = _settings(given)
    library = _library(settings)
    before = library.current_name()
    learning = Learning(settings)
    try:
        version = library.publish(
            settings.flows,
            at=datetime.now(UTC),
            by=given.by or getpass.getuser(),
            note=given.note,
            collide=learning.collide,
            beside=_beside(),
        )
    except RefusedVersion as refused:
        _print_report(refused.report)
        print(f"Nothing was published; new calls still get {before or 'the flows the server was started with'}.")
        return 1
    print("\n".join(learning.lines(load_bot(version.folder))))
    print(f"{version.name} is published; new calls get it within a second or two, calls that go on keep theirs.")
    return 0


def _versions(given: argparse.Namespace) -> int:
    versions = _library(_settings(given)).versions()
    if given.format == "json":
        listed = [
            {
                "version": version.name,
                "published_at": version.published_at.isoformat(),
                "by": version.by,
                "note": version.note,
                "current": version.is_current,
            }
            for version in versions
        ]
        print(json.dumps(listed, indent=2))
        return 0
    for version in versions:
        mark = "*" if version.is_current else " "
        print(f"{mark} {version.name}  {version.published_at:%Y-%m-%d %H:%M}  {version.by}  {version.note}".rstrip())
    if not versions:
        print("Nothing is published yet. Run 'voicebot flows publish'.")
    return 0


def _diff(given: argparse.Namespace) -> int:
    settings = _settings(given)
    library = _library(settings)
    match given.versions:
        case [one, other]:
            changes = library.diff(one, other)
        case [one]:
            changes = library.diff_with(one, settings.flows)
        case _:
            changes = library.diff_with(library.current_name(), settings.flows)
    print(changes or "No difference.", end="" if changes else "\n")
    return 0


def _rollback(given: argparse.Namespace) -> int:
    version = _library(_settings(given)).rollback(given.version)
    print(f"{version.name} is current again; new calls get it within a second or two.")
    return 0
