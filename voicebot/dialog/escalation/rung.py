"""The ladder of what can be done for a caller who is not getting on."""

from __future__ import annotations

from enum import StrEnum


class EscalationRung(StrEnum):
    """The ladder, least disruptive first. A person is involved from `CALLBACK` on and takes over from the next on."""

    CLARIFY = "clarify"
    OTHER_WAY = "other_way"
    KEYS = "keys"
    CALLBACK = "callback"
    WARM_TRANSFER = "warm_transfer"
    DIRECT_LINE = "direct_line"

    @property
    def height(self) -> int:
        return _ORDER.index(self)

    @property
    def involves_person(self) -> bool:
        return self.height >= EscalationRung.CALLBACK.height

    @property
    def is_takeover(self) -> bool:
        return self.height >= EscalationRung.WARM_TRANSFER.height


_ORDER = tuple(EscalationRung)
