"""Keys in INFO requests, as some peers send them instead of RFC 4733 events. Pure."""

from __future__ import annotations

import re

_RELAY = re.compile(r"^\s*Signal\s*=\s*([0-9A-Da-d*#]|1[01])\s*$", re.MULTILINE | re.IGNORECASE)
_DURATION = re.compile(r"^\s*Duration\s*=\s*([0-9]{1,5})\s*$", re.MULTILINE | re.IGNORECASE)
_PLAIN = re.compile(r"\s*([0-9A-Da-d*#])\s*")
#: Some senders write the events' numbers instead of the keys.
_NUMBERED = {"10": "*", "11": "#"}


def parse_key(content_type: str, body: bytes) -> tuple[str, int | None] | None:
    """Return the key and its duration in ms, or None when the body is no key."""
    text = body.decode("ascii", errors="replace")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/dtmf":
        found = _PLAIN.fullmatch(text)
        return (found[1].upper(), None) if found else None
    if kind != "application/dtmf-relay":
        return None
    found = _RELAY.search(text)
    if found is None:
        return None
    duration = _DURATION.search(text)
    return _NUMBERED.get(found[1], found[1].upper()), int(duration[1]) if duration else None
