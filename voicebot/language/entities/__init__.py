"""Typed values in what was said: one pure file per kind."""
