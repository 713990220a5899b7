"""No call stands still: whatever happens at whichever moment, the bot speaks, or notices the silence."""

from __future__ import annotations

import asyncio

import pytest

from tests.calls.whole_call import WholeCall
from tests.fakes.virtual_time import run
from voicebot.dialog.events import CallerPressed
from voicebot.records.record import Outcome

#: Three silences with what is said between them, and an engine's longest answer.
_LONGEST_S = 60.0


def carried(seed: int) -> tuple[float, Outcome | None]:
    async def carry() -> tuple[float, Outcome | None]:
        call = WholeCall(seed)
        return await call.run(), call.journal.outcome

    return run(carry())


# The first six stood still once: prompts that were lowered or paused in their last 20 ms, that ended while paused, or
# whose voice told its end only after all of it had been heard.
@pytest.mark.parametrize("seed", [2, 12, 61, 102, 3058, 3450])
def test_after_whatever_a_caller_did_a_silent_one_is_noticed_and_the_call_ends(seed: int) -> None:
    silent_s, outcome = carried(seed)
    assert outcome is not None
    assert silent_s < _LONGEST_S, f"{outcome} after {silent_s:.1f} s of silence"


def test_an_entry_of_keys_ends_although_timers_run_a_little_before_their_time() -> None:
    async def press(call: WholeCall) -> None:
        while not call.takes_keys:
            await asyncio.sleep(0.1)
        call.carrier.press("4")
        call.silent_from_s = asyncio.get_running_loop().time()

    async def carry() -> list[str]:
        call = WholeCall(seed=7)
        await call.run(press)
        return [event.keys for event in call.dialog.events if isinstance(event, CallerPressed)]

    assert run(carry()) == ["4"]
