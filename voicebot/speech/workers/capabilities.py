"""Our extensions to the Wyoming protocol, as a worker advertises them in its `info`.

They stand under the key ``voicebot`` of the `info` event, which other clients ignore. A server without that key is a
plain one: it is used with what the protocol itself offers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from wyoming.event import Event
from wyoming.info import Info

from voicebot.errors import RemoteProtocolError

EXTENSION_KEY = "voicebot"


#: Three frames at once: a third of a frame's cost each, and next to no delay for an engine that hears along.
_PACKET_MS = 60
_LONGEST_PACKET_MS = 1000


class Feature(StrEnum):
    """What a worker may offer beyond the plain protocol."""

    PING = "ping"
    CONFIDENCE = "confidence"
    ALTERNATIVES = "alternatives"
    EXPECTATION = "expectation"
    PARTIALS = "partials"
    CANCEL = "cancel"
    SPECULATIVE = "speculative"
    SPEED = "speed"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One server's engine, its extensions, and how many requests it takes at once (None: it does not say).

    `packet_ms` is how much audio a recogniser wants at once while it is not asked for anything: each packet costs both
    sides as much, whatever its length.
    """

    engine: str
    model: str = ""
    features: frozenset[Feature] = frozenset()
    max_sessions: int | None = None
    packet_ms: int = _PACKET_MS

    @property
    def missing(self) -> frozenset[Feature]:
        """Return the extensions that this server does without."""
        return frozenset(Feature) - self.features


def info_event(info: Info, capabilities: Capabilities) -> Event:
    """Return `info` as an event that carries our extension beside the standard fields."""
    event = info.event()
    event.data[EXTENSION_KEY] = {
        "engine": capabilities.engine,
        "model": capabilities.model,
        "features": sorted(capabilities.features),
        "max_sessions": capabilities.max_sessions,
        "packet_ms": capabilities.packet_ms,
    }
    return event


def parse_capabilities(event: Event) -> Capabilities:
    """Read the capabilities out of an `info` event; `RemoteProtocolError` if it is not one."""
    if not Info.is_type(event.type):
        raise RemoteProtocolError("not_info", f"A speech server answered describe with {event.type!r}.")
    extension = event.data.get(EXTENSION_KEY)
    if isinstance(extension, dict):
        return _parse_extension(extension)
    try:
        info = Info.from_event(event)
    except (KeyError, TypeError, AttributeError) as error:
        raise RemoteProtocolError("bad_info", "A speech server's info lacks required fields.") from error
    for program in (*info.asr, *info.tts):
        streams = getattr(program, "supports_transcript_streaming", False)
        return Capabilities(
            engine=program.name, features=frozenset({Feature.PARTIALS}) if streams else frozenset(), max_sessions=None
        )
    raise RemoteProtocolError("no_program", "A speech server offers neither recognition nor synthesis.")


def _parse_extension(extension: dict[str, Any]) -> Capabilities:
    features = extension.get("features", [])
    max_sessions = extension.get("max_sessions")
    packet_ms = extension.get("packet_ms", _PACKET_MS)
    well_formed = isinstance(features, list) and isinstance(max_sessions, int | None) and type(packet_ms) is int
    if not well_formed or not 0 < packet_ms <= _LONGEST_PACKET_MS:
        raise RemoteProtocolError("bad_info", "A speech worker's capabilities have the wrong shape.")
    known = {str(feature) for feature in Feature}
    return Capabilities(
        engine=str(extension.get("engine", "unnamed")),
        model=str(extension.get("model", "")),
        # An unknown feature is a newer worker's: nothing here could use it.
        features=frozenset(Feature(name) for name in features if name in known),
        max_sessions=max_sessions,
        packet_ms=packet_ms,
    )
