"""Who calls, for whom, and what else a peer tells about a call. Pure. RFC 3261, 3325, 5806, 7044, 7433."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sipmessage import URI, Request

from voicebot.telephony.sip.message import address_in, split_list

#: Custom headers handed to the bot, and how much of each.
_CUSTOM = re.compile(r"X-[A-Za-z0-9-]{1,40}", re.IGNORECASE)
MAX_CUSTOM = 16
MAX_VALUE_CHARS = 512
#: A header that says who a caller is counts only when a peer we trust says it.
_ANONYMOUS = frozenset({"anonymous", "unavailable", "restricted"})


@dataclass(frozen=True, slots=True)
class CallIdentity:
    """`caller` and `called` are numbers or SIP user names, empty when withheld; personal, both of them."""

    caller: str
    called: str
    parameters: dict[str, str]


def identity_of(request: Request) -> CallIdentity:
    """Return what an INVITE of a trusted peer says; what cannot be read is left out."""
    asserted = _first_user(request, "P-Asserted-Identity") or _first_user(request, "Remote-Party-ID")
    stated = _user(request.headers.get("From"))
    private = "id" in (request.headers.get("Privacy") or "").lower() or stated.lower() in _ANONYMOUS
    parameters: dict[str, str] = {}
    if asserted and asserted != stated:
        parameters["asserted_identity"] = asserted
    if private:
        parameters["privacy"] = "id"
    diverted = address_in(request.headers.get("Diversion"))
    if diverted is not None:
        parameters["diverted_from"] = _of_uri(diverted.uri)
        reason = diverted.parameters.get("reason")
        if reason:
            parameters["diversion_reason"] = reason.strip('"')[:MAX_VALUE_CHARS]
    history = [_of_entry(entry) for value in request.headers.getlist("History-Info") for entry in split_list(value)]
    if any(history):
        parameters["history"] = ", ".join(entry for entry in history if entry)[:MAX_VALUE_CHARS]
    for name, key in (("User-to-User", "user_to_user"), ("Referred-By", "referred_by"), ("Subject", "subject")):
        told = request.headers.get(name)
        if told:
            parameters[key] = told[:MAX_VALUE_CHARS]
    custom = [name for name in request.headers.keys() if _CUSTOM.fullmatch(name)][:MAX_CUSTOM]  # noqa: SIM118  # no mapping
    for name in custom:
        parameters[name.lower()] = request.headers[name][:MAX_VALUE_CHARS]
    caller = "" if private and not asserted else asserted or stated
    return CallIdentity(caller, _of_uri(request.uri), parameters)


def _first_user(request: Request, name: str) -> str:
    return _user(request.headers.get(name))


def _user(value: str | None) -> str:
    address = address_in(value)
    return _of_uri(address.uri) if address else ""


def _of_entry(entry: str) -> str:
    address = address_in(entry)
    return _of_uri(address.uri) if address else ""


def _of_uri(uri: URI) -> str:
    """Return a number without visual separators, or the user name."""
    return (uri.global_phone_number or uri.user or "")[:MAX_VALUE_CHARS]
