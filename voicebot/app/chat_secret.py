"""The secret that chat sessions are signed with: made once, so that they are good after a restart too."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from voicebot.errors import ConfigurationError, Problem
from voicebot.web.tickets import MIN_SECRET_BYTES

CHAT_SECRET_FILE = "chat-secret"  # noqa: S105  # a file's name


def chat_secret(data: Path) -> bytes:
    """Return the secret in folder `data`, made there once; ConfigurationError when the file is too short."""
    file = data / CHAT_SECRET_FILE
    if file.exists():
        secret = file.read_bytes()
        if len(secret) < MIN_SECRET_BYTES:
            raise ConfigurationError([Problem(str(file), None, "It is too short.", "Delete it; another is made.")])
        return secret
    secret = secrets.token_bytes(MIN_SECRET_BYTES)
    # One server at a time uses the folder, and nobody else may read it.
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(secret)
    return secret
