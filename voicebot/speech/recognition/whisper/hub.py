"""Whisper models of the public hub, fetched by name."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from voicebot.errors import EngineUnavailable
from voicebot.speech.hub import fetching

#: Who converts the published models to the form that is read here.
OWNER = "Systran"
#: Without all of these a folder holds no model.
MODEL_FILES = ("model.bin", "config.json", "tokenizer.json")
_SIZE = re.compile(r"(?:whisper-)?(?P<size>(?:tiny|base|small|medium)(?:\.en)?|large-v[123])")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_WANTED = [*MODEL_FILES, "preprocessor_config.json", "vocabulary.*"]


def repository_of(name: str) -> str | None:
    """Return where the hub has the model `name`: a size ("base.en", "whisper-base.en") or OWNER/NAME; else None."""
    if size := _SIZE.fullmatch(name):
        return f"{OWNER}/faster-whisper-{size['size']}"
    return name if _REPOSITORY.fullmatch(name) else None


def pull_whisper_model(name: str, models_dir: Path) -> Path:
    """Fetch a model into a folder of its name under `models_dir` and return that.

    A size is put where it is found as the default or by `VOICEBOT_WHISPER_MODEL`. `EngineUnavailable` when the hub
    does not answer or has no such model; nothing is left behind then. What is fetched over TLS is what its owner
    published; there is no hash to check it by beforehand.
    """
    repository = repository_of(name)
    if repository is None:
        raise EngineUnavailable(f"{name!r} is no Whisper model's name; one looks like base.en or OWNER/NAME.")
    folder = models_dir / repository.rpartition("/")[2].removeprefix("faster-")
    models_dir.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=models_dir))
    try:
        with fetching(f"the Whisper model {name}") as hub:
            hub.snapshot_download(repository, local_dir=unfinished, allow_patterns=_WANTED)
            if missing := [file for file in MODEL_FILES if not (unfinished / file).is_file()]:
                raise EngineUnavailable(
                    f"{repository} holds no model for faster-whisper: {', '.join(missing)} missing."
                )
            shutil.rmtree(unfinished / ".cache", ignore_errors=True)  # the client's notes
            shutil.rmtree(folder, ignore_errors=True)
            unfinished.chmod(0o755)
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder
