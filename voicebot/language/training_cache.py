"""Training kept from one start to the next, so that a bot whose examples did not change is not trained again."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import scipy
import sklearn
import structlog

from voicebot.language.training import Training, from_arrays, to_arrays

log = structlog.get_logger(__name__)

_SUFFIX = ".training"
_DIGEST = hashlib.sha256().digest_size
#: Versions between which an admin goes to and fro; what is older is made again when it is asked for.
_KEPT_MOST = 16


class TrainingCache:
    """Files in one folder, each named by all that its training came from.

    A file is the sha256 of what follows, and arrays in numpy's form, read without pickle: nothing in it can be run. One
    that is damaged counts as missing. Several processes may share the folder; each file comes by one rename.
    """

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which need not exist before something is kept."""
        self._folder = folder

    def load(self, key: str) -> Training | None:
        """Return what was kept under `key`, None when nothing usable was."""
        path = self._folder / f"{key}{_SUFFIX}"
        try:
            with np.load(io.BytesIO(_checked(path.read_bytes())), allow_pickle=False) as arrays:
                return from_arrays(dict(arrays))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as problem:
            log.warning("kept training is damaged and made anew", file=str(path), problem=str(problem))
            return None

    def keep(self, key: str, training: Training) -> None:
        """Keep `training`; where that cannot be written, the next start trains again, which the log says."""
        packed = io.BytesIO()
        np.savez_compressed(packed, allow_pickle=False, **to_arrays(training))
        content = packed.getvalue()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".", delete=False) as unfinished:
                unfinished.write(hashlib.sha256(content).digest() + content)
            Path(unfinished.name).replace(self._folder / f"{key}{_SUFFIX}")
            self._forget_oldest()
        except OSError as problem:
            log.warning("training cannot be kept and is done at each start", problem=str(problem))

    def _forget_oldest(self) -> None:
        kept = sorted(self._folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in kept[_KEPT_MOST:]:
            path.unlink(missing_ok=True)


def _checked(content: bytes) -> bytes:
    if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
        raise ValueError("its digest does not fit")
    return content[_DIGEST:]


def training_key(pairs: Sequence[tuple[str, str]], encoder_fingerprint: str) -> str:
    """Name the content of a training: (example, intent) pairs, the encoder ("" for none), this room's code."""
    described = json.dumps([sorted(pairs), encoder_fingerprint, _code()])
    return hashlib.sha256(described.encode()).hexdigest()


@cache
def _code() -> str:
    """Return a name for the code that trains: its own text, and the libraries that do the sums."""
    digest = hashlib.sha256(f"{np.__version__} {scipy.__version__} {sklearn.__version__}".encode())
    for file in sorted(resources.files("voicebot.language").iterdir(), key=lambda each: each.name):
        if file.name.endswith((".py", ".txt")):
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()
