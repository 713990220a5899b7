"""Teaches requests to a server or a command: with the sentence encoder where it is installed, announced where not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import structlog

from voicebot.errors import EngineUnavailable
from voicebot.language.encoder import SentenceEncoder, find_encoder
from voicebot.language.training_cache import TrainingCache
from voicebot.language.understanding import Understanding

log = structlog.get_logger(__name__)


#: The folder of trainings done before, inside the data folder.
_TRAININGS = "trained"


def learn_requests(intents: Mapping[str, tuple[str, ...]], models: Path | None, data: Path) -> Understanding:
    """Learn example sentences by intent; seconds of work, a fraction of one where `data` holds the same training.

    `models` is the folder of models, if the operator named one. Without an encoder requests are understood by their
    words alone, which the log says.
    """
    return Understanding(intents, _encoder(models), TrainingCache(data / _TRAININGS))


def _encoder(models: Path | None) -> SentenceEncoder | None:
    folder = find_encoder(models)
    if folder is None:
        log.warning("no sentence encoder: requests are understood by their words alone", fix="run scripts/setup")
        return None
    try:
        return SentenceEncoder(folder)
    except EngineUnavailable as error:
        log.warning("no sentence encoder: requests are understood by their words alone", problem=str(error))
        return None
