"""What the shipped bot does with turns as callers say them."""

from __future__ import annotations

import sys
from pathlib import Path

from _corpora import clinc
from _understanding import ROOT, Bench

from voicebot.dialog.loader import load_bot
from voicebot.language.understanding import Understanding


def measure_callers(bench: Bench) -> None:
    """The turns of tests/language/callers.tsv; every second was held back when the bot's examples were improved."""
    sys.path.insert(0, str(ROOT))
    from tests.language.test_callers import NONE, Became, caller_turns, outcomes  # noqa: PLC0415  # tests are no installed package

    intents = load_bot(Path(ROOT / "flows")).intents
    turns = caller_turns()
    outside = clinc(bench.data)[1] if (bench.data / "intents").is_dir() else {}
    strangers = [((NONE,), said) for part in ("train", "val") if outside for said in outside[part]]
    for engine, encoder in bench.engines():
        understanding = Understanding(intents, encoder)
        for half, part in (("that examples were made on", turns[0::2]), ("held back", turns[1::2])):
            for scope in (True, False):
                those = [turn for turn in part if (turn[0] != (NONE,)) == scope]
                counts = outcomes(understanding, those)
                section = f"callers of the shipped bot, turns {half}, {'requests' if scope else 'others'}, {engine}"
                for each in Became:
                    if scope or each not in {Became.RIGHT, Became.ASKED_RIGHT}:
                        bench.report.rate(section, each.value, counts[each], len(those))
        section = f"callers of the shipped bot, CLINC150's sentences out of scope (not its test part), {engine}"
        counts = outcomes(understanding, strangers)
        for each in (Became.WRONG, Became.ASKED_WRONG, Became.TURNED_AWAY) if strangers else ():
            bench.report.rate(section, each.value, counts[each], len(strangers))
