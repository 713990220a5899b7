"""A key that tests seal with."""

from __future__ import annotations

from voicebot.records.vault.keys import RecordingKey, RecordingKeys

KEYS = RecordingKeys(RecordingKey.of(b"k" * 32))
