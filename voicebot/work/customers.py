"""Who a call was with: hashed so that the next call finds it, sealed so that only the work after it reads it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping

from voicebot.dialog.events import SlotValue
from voicebot.records.deeds import Deeds
from voicebot.records.vault.keys import RecordingKey, RecordingKeys
from voicebot.records.vault.sealed import seal, unseal
from voicebot.work.plan import Plan


class Customers:
    """Keeps what calls leave behind. An older key still finds what was kept under it."""

    def __init__(self, deeds: Deeds, keys: RecordingKeys) -> None:
        self._deeds = deeds
        self._keys = keys

    async def keep(self, call_id: str, plan: Plan, slots: Mapping[str, SlotValue]) -> None:
        """Keep what flows remembered of a call that has ended; whose it was only if they proved it."""
        proven = slots.get(plan.proven_by) is True
        customer = str(slots[plan.customer]) if proven and plan.customer in slots else ""
        facts = {name: str(value) for name, value in slots.items()} | {"customer": customer}
        sealed = seal(json.dumps(facts).encode(), _name(call_id), self._keys.current)
        await self._deeds.keep_facts(call_id, _hash(customer, self._keys.current) if customer else None, sealed)

    async def facts(self, call_id: str) -> dict[str, str]:
        """Return what was kept of a call; nothing but an empty customer where its server died in mid-call."""
        sealed = await self._deeds.facts(call_id)
        if sealed is None:
            return {"customer": ""}
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
