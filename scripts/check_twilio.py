"""Compares what voicebot asks of Twilio with the OpenAPI documents that Twilio publishes.

Twice: the table that tests check requests against (`voicebot.simulation.twilio_operations`) is held against the
documents, field by field; and voicebot's own client makes every request that it can, on loopback, which is checked
against the documents alone.
`--data` names the folder that has them in `twilio/`: `twilio_api_v2010.json` and `twilio_taskrouter_v1.json` of
https://github.com/twilio/twilio-oai.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp

from voicebot.errors import VoicebotError
from voicebot.simulation.carrier import Account, Numbers
from voicebot.simulation.twilio_account import TwilioAccount
from voicebot.simulation.twilio_exchange import Phone, PlayedCall
from voicebot.simulation.twilio_operations import USED, Operation, differences, published
from voicebot.telephony.twilio.rest import NewCall, RestAccess, TwilioRest
from voicebot.telephony.twilio.twiml import conference_twiml, dial_twiml, enqueue_twiml, hangup_twiml
from voicebot.telephony.twilio.webhook import stream_twiml

DOCUMENTS = ("twilio_api_v2010.json", "twilio_taskrouter_v1.json")
AGENT, OURS = "+15550123", "+15550100100"
#: Nobody answers there: what is checked are the requests.
URL = "http://127.0.0.1:9/twilio/away?id=0123456789abcdef"


def read(folder: Path) -> dict[str, Operation]:
    """Return the operations that are used as they are published."""
    found: dict[str, Operation] = {}
    for name in DOCUMENTS:
        document = json.loads((folder / name).read_text(encoding="utf-8"))
        found |= published(document, [operation.id for operation in USED])
    return found


def compare(theirs: Mapping[str, Operation]) -> int:
    """Print one line for each operation, and return how many differ."""
    wrong = 0
    for ours in USED:
        if ours.id not in theirs:
            print(f"{ours.id:18} is not published")
            wrong += 1
            continue
        there = theirs[ours.id]
        found = differences(ours, there)
        wrong += bool(found)
        used, known = len(ours.form) + len(ours.query), len(there.form) + len(there.query)
        verdict = "; ".join(found) if found else "as published"
        print(f"{ours.id:18} {ours.method:4} {used:2} of {known:2} parameters  {verdict}")
    return wrong


async def ask_everything(operations: Sequence[Operation]) -> tuple[int, list[str]]:
    """Make every request that we know; return how many were made, and what the documents say is wrong with them."""
    twiml = (
        stream_twiml(url="ws://127.0.0.1:9/twilio/media", status_url=URL, parameters={"dialled": "x" * 300}),
        dial_twiml(to=AGENT, caller_id=OURS, ring_s=20, screen_url=URL, action_url=URL),
        dial_twiml(to="sip:desk@pbx.example", caller_id=OURS, ring_s=20, screen_url=URL, action_url=URL),
        conference_twiml(room="voicebot-1", action_url=URL),
        enqueue_twiml(workflow="WW" + "2" * 32, action_url=URL, attributes={"fact": "x" * 4000, "call": "c1"}),
        hangup_twiml(),
    )
    async with aiohttp.ClientSession() as http:
        played = TwilioAccount(http, Account(auth_token="secret"), operations=operations)  # noqa: S106  # of loopback
        played.exchange.phones[AGENT] = Phone("rings")
        async with played.serve() as account:
            sid = account.account.account_sid
            rest = TwilioRest(RestAccess(sid, sid, "secret", base_url=account.url), http)
            await rest.place_call(NewCall(AGENT, OURS, twiml[0], URL, URL, 20))
            for text in twiml:
                await rest.direct(_live_call(account).sid, text)
            await rest.end_call(_live_call(account).sid)
            await rest.status_of(_live_call(account).sid)
            agent = _live_call(account).sid
            account.exchange.rooms["voicebot-1"].members.append(agent)
            await rest.add_coach("voicebot-1", to=AGENT, caller=OURS, agent_call_sid=agent, ring_s=20)
            await rest.task_status("WS" + "1" * 32, agent)
            await rest.send_message(to=AGENT, sender=OURS, text="Your order 4512 is on its way.")
            await rest.messages(to=AGENT, sender=OURS, most=20)
            return len(account.requests), account.exchange.faults


def _live_call(account: TwilioAccount) -> PlayedCall:
    call = PlayedCall(account.exchange, Numbers(), "inbound", Phone())
    call.status = "in-progress"
    account.exchange.calls[call.sid] = call
    return call


def main() -> int:
    """Return 0 when all is as published."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of real material")
    folder = parser.parse_args().data / "twilio"
    missing = [name for name in DOCUMENTS if not (folder / name).is_file()]
    if missing:
        print(f"{folder} lacks {', '.join(missing)}", file=sys.stderr)
        return 2
    theirs = read(folder)
    wrong = compare(theirs)
    faults: list[str] = []
    try:
        requests, faults = asyncio.run(ask_everything(tuple(theirs.values())))
        print(f"{requests} requests of our client, {len(faults)} faults by the documents")
    except VoicebotError as error:
        faults.append(str(error))
    for fault in faults:
        print(f"  {fault}")
    return 1 if wrong or faults else 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
