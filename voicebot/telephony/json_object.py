"""Text messages that must be JSON objects, as both WebSocket protocols have them."""

from __future__ import annotations

import json
from typing import Any

from voicebot.errors import RemoteProtocolError


def parse_object(text: str, *, max_chars: int) -> dict[str, Any]:
    """Return the object a message holds; raises `RemoteProtocolError` of kind `message_too_large` or `bad_json`."""
    if len(text) > max_chars:
        raise RemoteProtocolError("message_too_large", f"A message has more than {max_chars} characters.")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError("bad_json", "A message is not JSON.") from error
    if not isinstance(body, dict):
        raise RemoteProtocolError("bad_json", "A message is not a JSON object.")
    return body
