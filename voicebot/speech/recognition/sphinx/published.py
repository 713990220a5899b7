"""Acoustic models that others publish, fetched on request and checked by hash: ``voicebot models pull``."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import tempfile
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from voicebot.errors import EngineUnavailable

_TIMEOUT_S = 30.0
_LARGEST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """A model's files, each under `address` with its SHA-256 in hexadecimal."""

    name: str
    address: str
    licence: str
    files: Mapping[str, str]


@cache
def published_models() -> Mapping[str, PublishedModel]:
    """Return the models that can be pulled, by name, as ``published_models.json`` lists them."""
    text = resources.files(__package__).joinpath("published_models.json").read_text(encoding="utf-8")
    return {entry["name"]: PublishedModel(**entry) for entry in json.loads(text)}


def pull(model: PublishedModel, folder: Path) -> Path:
    """Fetch `model` into a folder of its name under `folder` and return that; a complete one is left as it is.

    `EngineUnavailable` names the file that could not be fetched, or is not the one that was published. Nothing is
    left behind then.
    """
    target = folder / model.name
    if all(_is(target / name, digest) for name, digest in model.files.items()):
        return target
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{model.name}-", dir=folder))
    try:
        for name, digest in model.files.items():
            (unfinished / name).write_bytes(_fetch(model.address + name, digest))
        if target.exists():
            shutil.rmtree(target)
        unfinished.chmod(0o755)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def _is(file: Path, digest: str) -> bool:
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == digest


def _fetch(address: str, digest: str) -> bytes:
    try:
        # The addresses are the product's own list; each answer is checked against its hash.
        with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            content: bytes = answer.read(_LARGEST_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise EngineUnavailable(f"{address} cannot be fetched: {error}") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise EngineUnavailable(f"{address} is not the file that was published: its SHA-256 differs.")
    return content
