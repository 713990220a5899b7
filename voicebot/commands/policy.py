"""`voicebot policy tune`: weights fitted to labelled calls, proposed as a diff with figures on calls held back."""

from __future__ import annotations

import argparse
import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from functools import partial
from hashlib import sha256
from pathlib import Path

from voicebot.commands.escalation import measured
from voicebot.dialog.escalation.judging import MeasuredCall, MeasuredTurn, judge, takeover_at
from voicebot.dialog.escalation.policy import EscalationPolicy, Weight
from voicebot.dialog.loader import POLICY, load_bot
from voicebot.errors import ConfigurationError, Problem
from voicebot.records.database import Database, locate
from voicebot.records.labels import read_labels
from voicebot.records.search import CallSearch
from voicebot.records.store import CallReader
from voicebot.settings import Settings, load_settings
from voicebot.simulation.labelled_calls import read_labelled_calls

#: Fewer calls than this teach nothing that holds.
_CALLS_LEAST = 40


def add_policy(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="task", required=True)
    tuning = commands.add_parser("tune", help="propose weights that fit labelled calls better")
    tuning.add_argument("--flows", type=Path, help="folder with the bot's flows and its policy.yaml")
    tuning.add_argument("--data", type=Path, help="the server's data folder, with the calls that were labelled")
    tuning.add_argument("--written", type=Path, metavar="DIR", help="labelled calls written down as text, as well")
    tuning.set_defaults(run=_tune)


def _tune(given: argparse.Namespace) -> int:
    # Imported here: these need libraries that take a second, which no other subcommand should pay.
    from voicebot.app.understanding import learn_requests  # noqa: PLC0415
    from voicebot.commands.tuning import fit_weights  # noqa: PLC0415
    from voicebot.simulation.measured_calls import measure  # noqa: PLC0415

    settings = load_settings(flows=given.flows, data=given.data)
    bot = load_bot(settings.flows)
    path = settings.flows / POLICY
    if bot.policy is None:
        raise ConfigurationError([Problem(str(path), None, "There is no policy to tune.", "Write one first.")])
    calls = asyncio.run(_stored(settings))
    if given.written:
        understanding = learn_requests(bot.intents, settings.models, settings.data)
        for call in read_labelled_calls(given.written):
            turns = tuple(MeasuredTurn(call.about, one) for one in measure(call, bot, understanding))
            calls.append(MeasuredCall(call.id, turns, call.person_at))
    taught, held_back = ([call for call in calls if is_held_back(call.id) is held] for held in (False, True))
    if len(taught) < _CALLS_LEAST:
        print(f"{len(taught)} labelled calls are too few to learn from: label {_CALLS_LEAST}, and as many to check.")
        return 1
    proposed = fit_weights(bot.policy, taught)
    text = path.read_text(encoding="utf-8")
    changed = with_weights(text, proposed.usual.weights)
    before, after = text.splitlines(keepends=True), changed.splitlines(keepends=True)
    print("".join(unified_diff(before, after, "policy.yaml", "proposed")), end="")
    print("\n".join(_compared(bot.policy, proposed, held_back)))
    return 0


def is_held_back(call_id: str) -> bool:
    """Whether no weight may be made on this call: half of them, by a hash of the name."""
    return sha256(call_id.encode()).digest()[0] % 2 == 0


async def _stored(settings: Settings) -> list[MeasuredCall]:
    labels = await asyncio.to_thread(read_labels, settings.data)
    if not labels:
        return []
    found = []
    async with Database.connected(locate(settings.data, settings.database)) as database:
        async for document in CallReader(database).every(CallSearch()):
            label = labels.get(document["id"])
            call = measured(document, label)
            if label and call.turns:
                found.append(call)
    return found


def with_weights(text: str, weights: Mapping[str, Weight]) -> str:
    """Return a policy's text with the usual type's weights exchanged; everything else stays as it was written."""
    lines = text.splitlines(keepends=True)
    start = next((place for place, line in enumerate(lines) if re.match(r"\s+usual:", line)), len(lines))
    end = next((place for place in range(start + 1, len(lines)) if re.match(r"\s+rungs:", lines[place])), len(lines))
    for place in range(start, end):
        found = re.match(r"(\s+(\w+): (?:\{weight: )?)[0-9.]+(.*\n?)", lines[place])
        if found and found[2] in weights:
            lines[place] = f"{found[1]}{weights[found[2]].weight:g}{found[3]}"
    return "".join(lines)


def _compared(before: EscalationPolicy, proposed: EscalationPolicy, held_back: Sequence[MeasuredCall]) -> Iterator[str]:
    yield f"On {len(held_back)} calls held back:"
    for name, policy in (("present", before), ("proposed", proposed)):
        figures = judge(held_back, partial(_takes_over, policy))
        yield (
            f"  {name:8}  precision {figures.precision:.1%}  recall {figures.recall:.1%}  F1 {figures.f1:.3f}  "
            f"{sum(figures.late)} turns too late"
        )


def _takes_over(policy: EscalationPolicy, call: MeasuredCall) -> int | None:
    return takeover_at(policy, call.turns)
