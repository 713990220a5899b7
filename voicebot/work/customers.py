"""Who a call was with: hashed so that the next call finds it, sealed so that only the work after it reads it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping

from voicebot.dialog.events import SlotValue
from voicebot.records.facts import SealedFacts
from voicebot.records.vault.keys import RecordingKey, RecordingKeys, UnknownKeyError
from voicebot.records.vault.sealed import SealBrokenError, key_id_of, seal, unseal
from voicebot.work.plan import Plan


class Customers:
    """Keeps what calls leave behind. An older key still finds what was kept under it."""

    def __init__(self, sealed: SealedFacts, keys: RecordingKeys) -> None:
        self._kept = sealed
        self._keys = keys

    async def keep(self, call_id: str, plan: Plan, slots: Mapping[str, SlotValue]) -> None:
        """Keep what flows remembered of a call that has ended; whose it was only if they proved it."""
        proven = slots.get(plan.proven_by) is True
        customer = str(slots[plan.customer]) if proven and plan.customer in slots else ""
        facts = {name: str(value) for name, value in slots.items()} | {"customer": customer}
        await self._kept.keep(call_id, *self._sealed(call_id, facts))

    async def facts(self, call_id: str) -> dict[str, str]:
        """Return what was kept of a call; nothing but an empty customer where its server died in mid-call."""
        sealed = await self._kept.of(call_id)
        if sealed is None:
            return {"customer": ""}
        return self._unsealed(call_id, sealed)

    async def rotate(self) -> AsyncIterator[tuple[str, str | None]]:
        """Seal anew, and name customers anew, with the current key; yield each call, and what failed.

        May be broken off and begun again; the old keys are needed until it has come to its end.
        """
        after = ""
        while page := await self._kept.after(after):
            for call_id, sealed in page:
                after = call_id
                try:
                    if key_id_of(sealed) == self._keys.current.id:
                        continue
                    facts = self._unsealed(call_id, sealed)
                except (SealBrokenError, UnknownKeyError) as error:
                    yield call_id, f"what it left for the work after it is {error}"
                else:
                    await self._kept.exchange(call_id, sealed, *self._sealed(call_id, facts))
                    yield call_id, None

    def _sealed(self, call_id: str, facts: Mapping[str, str]) -> tuple[str | None, bytes]:
        """Return the customer's name under the current key, None for nobody, and the facts sealed with it."""
        customer, key = facts["customer"], self._keys.current
        return _hash(customer, key) if customer else None, seal(json.dumps(facts).encode(), _name(call_id), key)

    def _unsealed(self, call_id: str, sealed: bytes) -> dict[str, str]:
        facts: dict[str, str] = json.loads(unseal(sealed, _name(call_id), self._keys))
        return facts

    def hashes(self, customer: str) -> frozenset[str]:
        """Return the names a customer may be kept under."""
        return hashes(customer, self._keys)


def hashes(customer: str, keys: RecordingKeys) -> frozenset[str]:
    """Return the names a customer may be kept under, one for each key."""
    return frozenset(_hash(customer, key) for key in keys.every)


def _name(call_id: str) -> str:
    return f"facts/{call_id}"


def _hash(customer: str, key: RecordingKey) -> str:
    return hmac.new(key.material, b"voicebot customer\0" + customer.encode(), hashlib.sha256).hexdigest()
