"""The shipped policy, for tests that change one thing of it."""

from __future__ import annotations

from tests.dialog.strategies import shipped_bot
from voicebot.dialog.escalation.policy import EscalationPolicy


def shipped_policy() -> EscalationPolicy:
    policy = shipped_bot().policy
    assert policy is not None
    return policy
