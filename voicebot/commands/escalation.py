"""`voicebot explain`, `label` and `replay`: why calls went to a person, whether they should, and what would change."""

from __future__ import annotations

import argparse
import asyncio
import getpass
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from voicebot.dialog.escalation.judging import Figures, MeasuredCall, MeasuredTurn, judge, takeover_at
from voicebot.dialog.escalation.policy import EscalationPolicy
from voicebot.dialog.escalation.rung import EscalationRung
from voicebot.dialog.escalation.signals import Signals
from voicebot.dialog.loader import load_bot, load_policy
from voicebot.errors import VoicebotError
from voicebot.records.database import Database, locate
from voicebot.records.labels import Label, add_label, read_labels
from voicebot.records.search import CallSearch
from voicebot.records.store import CallReader
from voicebot.settings import Settings, load_settings

_NEVER = "never"


class NoSuchCall(VoicebotError):
    """There is no such call, or no such decision on it."""


def add_explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("call", help="the call's id")
    parser.add_argument("--data", type=Path, help="the server's data folder")
    parser.set_defaults(run=lambda given: asyncio.run(_explain(given)))


def add_label_command(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("call", help="the call's id")
    parser.add_argument("person_at", help=f"the decision, as 'explain' counts them, or '{_NEVER}'")
    parser.add_argument("--why", required=True, help="the reason, by the written policy")
    parser.add_argument("--by", default=getpass.getuser(), help="who says so (default: %(default)s)")
    parser.add_argument("--data", type=Path, help="the server's data folder")
    parser.set_defaults(run=lambda given: asyncio.run(_label(given)))


def add_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--policy", type=Path, required=True, help="the policy to try, a YAML file")
    parser.add_argument("--since", type=_day, help="calls from this day or time on, in ISO 8601")
    parser.add_argument("--flows", type=Path, help="folder with the bot's flows, whose names the policy uses")
    parser.add_argument("--data", type=Path, help="the server's data folder")
    parser.set_defaults(run=lambda given: asyncio.run(_replay(given)))


def _day(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no day; write 2026-03-01") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@asynccontextmanager
async def _reader(settings: Settings) -> AsyncIterator[CallReader]:
    async with Database.connected(locate(settings.data, settings.database)) as database:
        yield CallReader(database)


async def _get(settings: Settings, call_id: str) -> dict[str, Any]:
    async with _reader(settings) as reader:
        document = await reader.get(call_id)
    if document is None:
        raise NoSuchCall(f"There is no call '{call_id}' in {settings.data}.")
    return document


async def _explain(given: argparse.Namespace) -> int:
    document = await _get(load_settings(data=given.data), given.call)
    print("\n".join(explained(document)))
    return 0


def explained(document: Mapping[str, Any]) -> Iterator[str]:
    """Tell of a call's record, turn by turn, what spoke for a person and what was made of it."""
    yield f"{document['id']}  {document['started_at']}  {document['channel']}  {document['outcome'] or 'goes on'}"
    number = 0
    for turn in document["turns"]:
        words = "(secret)" if turn["secret"] else turn["text"]
        unheard = " (never heard)" if turn["heard_text"] == "" else ""
        yield f"{_at(turn['at_ms'])} {turn['speaker']}{unheard}: {words}"
        decision = turn["signals"].get("decision")
        if decision is None:
            continue
        number += 1
        yield f"        {number:2}  {verdict(decision)}"
        for signal, value, weight, part in decision["parts"]:
            yield f"            {part:+.2f}  {signal} {value:g}, weight {weight:g}"
        others = [
            f"{name} {_shown(value)}"
            for name, value in turn["signals"].items()
            if name != "decision" and name not in {part[0] for part in decision["parts"]}
        ]
        if others:
            yield f"            also measured: {', '.join(others)}"


def _shown(value: object) -> str:
    return f"{value:.2g}" if isinstance(value, float) else "yes" if value is True else str(value)


def verdict(decision: Mapping[str, Any]) -> str:
    """Tell a decision, as it is stored with a turn, in a line."""
    threshold = "" if decision["threshold"] is None else f" of {decision['threshold']:g}"
    score = f"score {decision['score']:.2f}{threshold}, type {decision['type']}, policy {decision['policy']}"
    if decision["rung"] is None:
        return f"not yet: {decision['held']}; {score}"
    return f"{decision['rung']} by rule '{decision['rule']}'; {score}"


def _at(milliseconds: int) -> str:
    seconds = milliseconds // 1000
    return f"{seconds // 60:3}:{seconds % 60:02}"


async def _label(given: argparse.Namespace) -> int:
    settings = load_settings(data=given.data)
    call = measured(await _get(settings, given.call), None)
    person_at = None
    if given.person_at != _NEVER:
        if not given.person_at.isdecimal() or not 1 <= int(given.person_at) <= len(call.turns):
            raise NoSuchCall(f"'{given.call}' has decisions 1 to {len(call.turns)}; write one of them, or '{_NEVER}'.")
        person_at = int(given.person_at)
    label = Label(given.call, person_at, given.by, datetime.now(UTC), given.why)
    await asyncio.to_thread(add_label, settings.data, label)
    return 0


def measured(document: Mapping[str, Any], label: Label | None) -> MeasuredCall:
    """Read back what was measured on a stored call, decision by decision."""
    found = [turn["signals"] for turn in document["turns"] if "decision" in turn["signals"]]
    turns = [MeasuredTurn(one["decision"]["about"], Signals.from_document(one)) for one in found]
    return MeasuredCall(document["id"], tuple(turns), label.person_at if label else None)


def took_over_at(document: Mapping[str, Any]) -> int | None:
    """Return at which decision a person was called in on a stored call."""
    found = [turn["signals"]["decision"] for turn in document["turns"] if "decision" in turn["signals"]]
    rungs = [EscalationRung(one["rung"]) if one["rung"] else None for one in found]
    return next((number for number, rung in enumerate(rungs, start=1) if rung and rung.is_takeover), None)


async def _replay(given: argparse.Namespace) -> int:
    settings = load_settings(data=given.data, flows=given.flows)
    bot = await asyncio.to_thread(load_bot, settings.flows)
    policy = await asyncio.to_thread(load_policy, given.policy, bot)
    labels = await asyncio.to_thread(read_labels, settings.data)
    before: dict[str, int | None] = {}
    calls = []
    async with _reader(settings) as reader:
        async for document in reader.every(CallSearch(since=given.since)):
            call = measured(document, labels.get(document["id"]))
            if call.turns:
                calls.append(call)
                before[call.id] = took_over_at(document)
    print("\n".join(replayed(policy, calls, before, labels)))
    return 0


def replayed(
    policy: EscalationPolicy,
    calls: list[MeasuredCall],
    before: Mapping[str, int | None],
    labels: Mapping[str, Label],
) -> Iterator[str]:
    """Tell which calls a policy would change, and how it and the one of the time compare where there are labels."""
    changed = 0
    for call in calls:
        then, now = before[call.id], takeover_at(policy, call.turns)
        if then != now:
            changed += 1
            label = labels.get(call.id)
            due = "" if label is None else f"; should be {_told(label.person_at)} ({label.why})"
            yield f"{call.id}: {_told(then)} then, {_told(now)} now{due}"
    yield f"{changed} of {len(calls)} calls change with policy {policy.version}"
    labelled = [call for call in calls if call.id in labels]
    if not labelled:
        yield "None of them has a label; 'voicebot label' says when a person was due."
        return
    yield _figures("then", judge(labelled, lambda call: before[call.id]))
    yield _figures("now", judge(labelled, lambda call: takeover_at(policy, call.turns)))


def _told(turn: int | None) -> str:
    return "never" if turn is None else f"at {turn}"


def _figures(name: str, figures: Figures) -> str:
    total = figures.right + figures.false + figures.missed + figures.quiet
    return (
        f"{name:5} precision {figures.precision:.0%}, recall {figures.recall:.0%}, "
        f"{sum(figures.late)} turns too late ({total} labelled)"
    )
