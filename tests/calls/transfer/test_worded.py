"""A model may word a packet's summary; whatever it adds or breaks, the agent reads the record's own."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.calls.transfer.test_delivery import PACKET
from tests.fakes.model import model_serving
from voicebot.calls.transfer.delivery import Deliveries
from voicebot.calls.transfer.worded import WordedSummaries
from voicebot.records.contexts import Contexts

WORDED = (
    "Customer Ada Byron is authenticated. She wants a refund for order 4512, which is over the limit."
    " She asked for a person and sounds frustrated."
)


async def test_a_summary_that_keeps_to_the_record_is_on_the_desk(contexts: Contexts) -> None:
    async with model_serving() as (model, held):
        model.says = WORDED
        deliveries = Deliveries(contexts, receivers=[], clock=time.monotonic, summaries=WordedSummaries(held))
        async with deliveries.running():
            assert await deliveries.deliver(PACKET) == ()
    stored = await contexts.get(PACKET.call_id)
    assert stored is not None
    assert stored["summary"] == WORDED.replace(". ", ".|").split("|")
    asked = json.loads(model.asked[0]["messages"][1]["content"])
    assert asked["summary"] == " ".join(PACKET.summary)
    for turn in PACKET.conversation:
        assert turn.text not in str(asked), "what a caller said is sent to no model"


@pytest.mark.parametrize(
    ("says", "status", "delay_s"),
    [
        ("Ada Byron owes 999 dollars.", 200, 0.0),
        ("Charles Babbage asked for a person.", 200, 0.0),
        ("She asked. For a person. She is authenticated. She waits.", 200, 0.0),
        ("word " * 90, 200, 0.0),
        (None, 200, 0.0),
        (WORDED, 500, 0.0),
        (WORDED, 200, 3.0),
    ],
    ids=["a wrong number", "a stranger", "too many sentences", "too much", "no text", "broken", "slow"],
)
async def test_whatever_else_it_does_the_summary_stays_the_records_own(says: Any, status: int, delay_s: float) -> None:
    async with model_serving(timeout_s=5) as (model, held):
        model.says, model.status, model.delay_s = says, status, delay_s
        began_s = time.monotonic()
        assert await WordedSummaries(held).worded(PACKET) == PACKET
        assert time.monotonic() - began_s < 2, "the packet is to be everywhere within about a second"
        assert len(model.asked) == 1
