"""Why a call ends, as a BYE says it (the Reason header, RFC 3326)."""

from __future__ import annotations

from sipmessage import Request

Q850_NORMAL = "Q.850;cause=16"
Q850_TIMER = 'Q.850;cause=102;text="recovery on timer expiry"'


def cause_of(request: Request) -> str:
    """Return protocol and cause of a BYE's Reason, without its text, which a peer may fill with anything."""
    reason = request.headers.get("Reason") or ""
    protocol, *parameters = (part.strip() for part in reason.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "cause" and value.strip().isdigit() and protocol.isascii() and protocol.isalnum():
            return f"{protocol[:8]} {value.strip()[:4]}"
        if protocol.upper() == "Q.850" and name.strip().lower() == "cause":
            return f"Q.850 {value.strip()[:4]}"
    return ""
