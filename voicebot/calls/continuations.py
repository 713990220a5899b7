"""What customers broke off in, by who they are, for as long as they are likely to come back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from voicebot.dialog.events import Continuation

KEPT_S = 24 * 3600.0
_MOST = 10_000


class Continuations:
    """Kept in memory only: they are personal, and a restart may forget them. `clock` is monotonic, in seconds."""

    def __init__(self, *, clock: Callable[[], float], kept_s: float = KEPT_S) -> None:
        self._clock = clock
        self._kept_s = kept_s
        self._by_customer: OrderedDict[str, tuple[float, Continuation]] = OrderedDict()

    def keep(self, customer: str, continuation: Continuation | None) -> None:
        """Note where a conversation with `customer` ended; without a continuation nothing is left to go on with."""
        if not customer:
            return
        self._by_customer.pop(customer, None)
        if continuation is not None:
            self._by_customer[customer] = (self._clock(), continuation)
            if len(self._by_customer) > _MOST:
                self._by_customer.popitem(last=False)

    def take(self, customer: str) -> Continuation | None:
        """Return it once; None when there is none or it is too old."""
        kept_at_s, continuation = self._by_customer.pop(customer, (0.0, None))
        return continuation if continuation and self._clock() - kept_at_s <= self._kept_s else None
