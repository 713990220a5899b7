"""Who the audit trail names for what is done from a command line."""

from __future__ import annotations

import getpass


def actor() -> str:
    """Return the account of this machine, such as ``cli:root``."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user need not have a name
        return "cli:unknown"
