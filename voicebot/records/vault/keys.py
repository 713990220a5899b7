"""The keys that recordings are sealed with: one for new ones, older ones to read what was sealed before."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from voicebot.errors import ConfigurationError, Problem, VoicebotError

KEY_BYTES = 32
ID_BYTES = 8
#: In the data folder, when no key is given.
KEPT_KEY = "recording.key"


class UnknownKeyError(VoicebotError):
    """Something was sealed with a key that this server was not given."""


@dataclass(frozen=True, slots=True)
class RecordingKey:
    """A master key. `id` names it in every file that it has sealed, and tells nothing about it."""

    id: str
    material: bytes = field(repr=False)

    @classmethod
    def of(cls, material: bytes) -> Self:
        """Return the key made of 32 bytes; ValueError for any other number."""
        if len(material) != KEY_BYTES:
            raise ValueError(f"a recording key has {KEY_BYTES} bytes, not {len(material)}")
        return cls(hashlib.sha256(b"voicebot recording key\0" + material).hexdigest()[: 2 * ID_BYTES], material)


class RecordingKeys:
    """All keys of a server; `current` seals."""

    def __init__(self, current: RecordingKey, older: Sequence[RecordingKey] = ()) -> None:
        self.current = current
        self._by_id = {key.id: key for key in (*older, current)}

    @property
    def every(self) -> tuple[RecordingKey, ...]:
        return tuple(self._by_id.values())

    def get(self, key_id: str) -> RecordingKey:
        """Return the key of that id; UnknownKeyError when it was not given."""
        try:
            return self._by_id[key_id]
        except KeyError:
            raise UnknownKeyError(
                f"sealed with key {key_id}, which is not here: add it to VOICEBOT_RECORDING_OLD_KEYS"
            ) from None

    @classmethod
    def parse(cls, current: str, older: str = "") -> Self:
        """Read keys from settings: base64 of 32 bytes each, the older ones apart by commas.

        ConfigurationError when one is no such thing; it names the setting and never what stood there.
        """
        keys = [_parse("recording_key", current)]
        keys += [_parse("recording_old_keys", text) for text in older.split(",") if text.strip()]
        return cls(keys[0], keys[1:])

    @classmethod
    def kept_in(cls, data: Path, older: str = "") -> Self:
        """Return the key that lies in the data folder, made there if there is none; it blocks.

        Such a key keeps unredacted audio from being played. It is no protection from whoever reads the folder.
        """
        path = data / KEPT_KEY
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return cls.parse(path.read_text("ascii", errors="replace"), older)
        try:
            text = new_key()
            os.write(file, text.encode())
            os.fsync(file)
        finally:
            os.close(file)
        return cls.parse(text, older)


def new_key() -> str:
    """Return a fresh key as the settings want it."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _parse(setting: str, text: str) -> RecordingKey:
    try:
        return RecordingKey.of(base64.b64decode(text.strip(), validate=True))
    except (binascii.Error, ValueError):
        raise ConfigurationError(
            [
                Problem(
                    "settings",
                    None,
                    f"`{setting}`: is not {KEY_BYTES} bytes in base64.",
                    "Make one with: voicebot recordings new-key",
                )
            ]
        ) from None
