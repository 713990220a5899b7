"""Transfers: Refer-To, Replaces, Referred-By and the progress of a transfer. Pure. RFC 3515, 3891, 3892, 3420."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from sipmessage import URI, Request

from voicebot.telephony.sip.dialog import DialogId
from voicebot.telephony.sip.message import BadMessage, parse_uri, respond, split_list

_SIPFRAG = re.compile(rb"SIP/2\.0 ([1-6]\d\d)(?: |\r?\n|$)")


@dataclass(frozen=True, slots=True)
class Referral:
    """What a REFER asks for: call `target`, in place of the dialog `replaces` if given, on behalf of `referred_by`."""

    target: URI
    replaces: DialogId | None
    referred_by: str


def parse_replaces(value: str) -> DialogId | None:
    """Return the dialog a Replaces value names, seen from the one who receives it (section 3 of RFC 3891)."""
    call_id, *parameters = (part.strip() for part in value.split(";"))
    named: dict[str, str] = {}
    for parameter in parameters:
        name, _, given = parameter.partition("=")
        named[name.strip().lower()] = given.strip()
    if not call_id or not named.get("to-tag") or not named.get("from-tag"):
        return None
    return DialogId(call_id, named["to-tag"], named["from-tag"])


def replaces_value(dialog: DialogId) -> str:
    """Return the Replaces value by which whoever receives it finds its end of our `dialog`."""
    return f"{dialog.call_id};to-tag={dialog.remote_tag};from-tag={dialog.local_tag}"


def parse_referral(request: Request) -> Referral:
    """Return what a REFER asks for; raises `BadMessage` (400) without exactly one usable Refer-To."""
    try:
        (value,) = request.headers.getlist("Refer-To")
        (address,) = split_list(value)
        text = address[address.index("<") + 1 : address.rindex(">")] if "<" in address else address.partition(";")[0]
        uri, _, embedded = text.strip().partition("?")
        target = parse_uri(uri)
    except ValueError as error:
        answer = respond(request, 400, phrase="Bad Refer-To")
        raise BadMessage("bad_refer_to", "There is not exactly one usable Refer-To.", answer=answer) from error
    replaces = None
    for part in embedded.split("&"):
        name, _, given = part.partition("=")
        if unquote(name).lower() == "replaces":
            replaces = parse_replaces(unquote(given))
    return Referral(target, replaces, request.headers.get("Referred-By") or "")


def refer_to(target: URI, replaces: DialogId | None, headers: tuple[tuple[str, str], ...] = ()) -> str:
    """Return a Refer-To value; with `replaces`, one that leaves the media path (RFC 3891 section 4).

    `headers` are for the request that the peer will send there (RFC 3261 section 19.1.1).
    """
    wanted = (*([("Replaces", replaces_value(replaces))] if replaces else []), *headers)
    embedded = "&".join(f"{name}={quote(value, safe='')}" for name, value in wanted)
    return f"<{target}?{embedded}>" if embedded else f"<{target}>"


def sipfrag(code: int, phrase: str) -> bytes:
    """Return the body that tells how far a transfer has come."""
    return f"SIP/2.0 {code} {phrase}\r\n".encode()


def parse_sipfrag(body: bytes) -> int | None:
    """Return the status code of a sipfrag body."""
    found = _SIPFRAG.match(body)
    return int(found[1]) if found else None
