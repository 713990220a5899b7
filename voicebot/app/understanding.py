"""Teaches requests to a server or a command: with the sentence encoder where it is installed, announced where not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import structlog

from voicebot.backends.articles import Passage
from voicebot.errors import EngineUnavailable
from voicebot.language.encoder import SentenceEncoder, find_encoder
from voicebot.language.knowledge import Article, Retriever
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


def learn_articles(passages: Sequence[Passage], models: Path | None, data: Path) -> Callable[[str], str | None] | None:
    """Return what finds the article that answers a question, by name; None without an encoder, when words decide."""
    encoder = _encoder(models, told=False)  # whoever learns requests tells it
    if encoder is None:
        return None
    articles = {passage.article: Article(passage.wordings, passage.answer) for passage in passages}
    retriever = Retriever(articles, encoder, TrainingCache(data / _TRAININGS))

    def find(question: str) -> str | None:
        found = retriever.find(question)
        return None if found is None else found.article

    return find


def _encoder(models: Path | None, *, told: bool = True) -> SentenceEncoder | None:
    """Open the encoder; None where there is none, which the log says where it is to be `told`."""
    folder = find_encoder(models)
    try:
        if folder is not None:
            return _opened(folder)
        why = {"fix": "run scripts/setup"}
    except EngineUnavailable as error:
        why = {"problem": str(error)}
    if told:
        log.warning("no sentence encoder: requests are understood by their words alone", **why)
    return None


@lru_cache(1)
def _opened(folder: Path) -> SentenceEncoder:
    """Open the encoder once for requests and articles, and for each version of the flows."""
    return SentenceEncoder(folder)
