"""Measures hand-overs with played callers and agents: real queues, claims, packets and transfers, on a real database.

- 50 transfers at once with as many agents: from an agent's yes until the caller hears who is joining, and until both
  are joined, the time of that sentence itself not counted; and whether the packet was on the desk before the join.
- 5 transfers at once with real speech: callers say to a real server that they want a person, its own engines understand
  and speak, agents are rung over SIP, hear the introduction and accept by key.
- 2,000 transfers in which agents, lines, callers and a receiver fail at random: how many callers are lost.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from pathlib import Path

import _spoken_handover
import structlog
from _report import Report, parser, percentile

from voicebot.records.database import Database, locate
from voicebot.simulation.contact_centre import Played, play
from voicebot.simulation.played_parties import Chances
from voicebot.simulation.server import end_when_told

ROUGH = Chances(ring_fails=0.25, ask_fails=0.2, caller_leaves=0.15, agent_lost_at_once=0.1, receiver_late=0.1)

PACKET = "packet on the desk before the join"


async def measure(*, transfers: int, at_once: int, agents: int, chances: Chances, seed: int) -> Played:
    with tempfile.TemporaryDirectory() as folder:
        async with Database.served(locate(Path(folder)), instance="bench") as database:
            return await play(database, transfers=transfers, at_once=at_once, agents=agents, chances=chances, seed=seed)


def main() -> None:
    end_when_told()
    options_parser = parser(__doc__ or "")
    options_parser.add_argument("--transfers", type=int, default=2000, metavar="N", help="rough transfers (2000)")
    options_parser.add_argument("--seed", type=int, default=1, metavar="N", help="of what goes wrong (1)")
    options_parser.add_argument("--only", choices=("played", "spoken"), help="one part")
    options_parser.add_argument("--callers", type=int, default=5, metavar="N", help="who speak at once (5)")
    options = options_parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    report = Report("handover")
    if options.only != "spoken":
        played(report, options.transfers, options.seed)
    if options.only != "played":
        spoken(report, options.callers)
    report.finish(options.json)


def spoken(report: Report, callers: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(_spoken_handover.measure(callers, Path(folder)))
    section = f"{callers} transfers at once, real speech ({found.engines})"
    report.rate(section, "requests understood: a person was asked for", found.understood, callers)
    report.rate(section, "callers joined", found.joined, callers)
    report.rate(section, PACKET, found.joined_with_packet, found.joined, yardstick="100 %")
    for what, values, yardstick in (
        ("an agent's yes to the first word of who joins", found.to_word_ms, ""),
        ("yes to the join, without that sentence", found.to_join_ms, "under 300"),
        ("the key at the agent's telephone to the join, without that sentence", found.key_to_join_ms, ""),
    ):
        if not values:
            report.missing(section, f"{what}: nobody was joined")
            continue
        report.figure(section, f"{what}, median", percentile(values, 0.5), "ms", n=len(values))
        report.figure(section, f"{what}, p95", percentile(values, 0.95), "ms", n=len(values), yardstick=yardstick)


def played(report: Report, transfers: int, seed: int) -> None:
    smooth = asyncio.run(measure(transfers=50, at_once=50, agents=50, chances=Chances(), seed=seed))
    section = "50 transfers at once, nothing fails"
    report.rate(section, "callers joined", smooth.joined, 50)
    report.rate(section, PACKET, smooth.joined_with_packet, smooth.joined, yardstick="100 %")
    words, joins = smooth.to_word_ms, smooth.to_join_ms
    report.figure(
        section, "an agent's yes to the first word of who joins, p95", percentile(words, 0.95), "ms", n=len(words)
    )
    report.figure(
        section,
        "yes to the join, without that sentence, p95",
        percentile(joins, 0.95),
        "ms",
        n=len(joins),
        yardstick="under 300",
    )

    began_s = time.monotonic()
    rough = asyncio.run(measure(transfers=transfers, at_once=60, agents=40, chances=ROUGH, seed=seed))
    section = f"{transfers} transfers, things fail at random"
    report.rate(section, "callers lost", rough.lost, transfers, yardstick="0")
    for ending, count in sorted(rough.endings.items()):
        report.rate(section, f"ended: {ending}", count, transfers)
    report.rate(section, PACKET, rough.joined_with_packet, rough.joined, yardstick="100 %")
    report.rate(section, "other receivers late or failed", rough.late, transfers)
    report.figure(section, "agents still claimed at the end", rough.agents_left_claimed, "", yardstick="0")
    report.figure(section, "callers still on the board at the end", rough.callers_left_on_board, "", yardstick="0")
    report.figure(section, "the whole of it", time.monotonic() - began_s, "s")
    for problem in rough.problems[:10]:
        print(problem)


if __name__ == "__main__":
    main()
