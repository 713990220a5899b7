"""TwiML by which a call leaves us and comes back: dialled, in a conference, in a queue of TaskRouter's. No I/O.

Reference: Twilio's "TwiML for Programmable Voice". An `action` is asked what to do next when a verb is over; without
one that we answer, Twilio would hang up on the caller.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from twilio.twiml.voice_response import VoiceResponse

#: Twilio takes no more of it in one request (the `Twiml` parameter: "Max 4000 characters").
MAX_TWIML_CHARS = 4000
#: Of the facts about a caller that go into a task, as JSON; the rest of the TwiML needs under a thousand.
MAX_ATTRIBUTES_CHARS = MAX_TWIML_CHARS - 1500


def dial_twiml(*, to: str, caller_id: str, ring_s: int, screen_url: str, action_url: str) -> str:
    """Return TwiML that calls a number or SIP address and joins whoever accepts there by what `screen_url` asks.

    The caller hears it ring and stays unjoined until then; `caller_id` is a number of the account's.
    """
    response = VoiceResponse()
    dial = response.dial(
        action=action_url, method="POST", timeout=ring_s, caller_id=caller_id or None, answer_on_bridge=True
    )
    if ":" in to:
        dial.sip(to, url=screen_url, method="POST")
    else:
        dial.number(to, url=screen_url, method="POST")
    return str(response)


def screening_twiml(*, introduction: str, question: str, accept_s: int, decided_url: str, language: str) -> str:
    """Return TwiML that tells whoever answered who calls, and asks for a key; without one it hangs up on them."""
    response = VoiceResponse()
    gather = response.gather(
        num_digits=1, timeout=accept_s, action=decided_url, method="POST", input="dtmf", action_on_empty_result=True
    )
    gather.say(introduction, language=language)
    gather.say(question, language=language)
    response.hangup()
    return str(response)


def conference_twiml(*, room: str, action_url: str = "") -> str:
    """Return TwiML that joins a call to the conference `room`, which ends as soon as it leaves.

    With `action_url` the call goes on there afterwards, else it is hung up.
    """
    response = VoiceResponse()
    dial = response.dial(action=action_url or None, method="POST" if action_url else None)
    dial.conference(room, start_conference_on_enter=True, end_conference_on_exit=True, beep="false")
    if not action_url:
        response.hangup()
    return str(response)


def enqueue_twiml(*, workflow: str, action_url: str, attributes: Mapping[str, str | int | bool]) -> str:
    """Return TwiML that gives a call to a workflow of TaskRouter's as a task with these attributes.

    Attributes that would make it too long are left out, the last ones first.
    """
    kept = dict(attributes)
    while kept and len(json.dumps(kept)) > MAX_ATTRIBUTES_CHARS:
        kept.popitem()
    response = VoiceResponse()
    response.enqueue(None, workflow_sid=workflow, action=action_url, method="POST").task(json.dumps(kept))
    return str(response)


def nothing_twiml() -> str:
    """Return TwiML that does nothing: after a screening, that joins the two."""
    return str(VoiceResponse())


def hangup_twiml() -> str:
    """Return TwiML that ends the call."""
    response = VoiceResponse()
    response.hangup()
    return str(response)


def redirect_twiml(url: str) -> str:
    """Return TwiML that has Twilio ask `url` what to do with a call."""
    response = VoiceResponse()
    response.redirect(url, method="POST")
    return str(response)
