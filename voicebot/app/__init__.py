"""Puts the rooms together. Nothing but this and `cli` sees all of them, or the settings."""
