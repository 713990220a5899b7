"""The client of the public hub of models: heavy, so that it is imported only to fetch one."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from voicebot.errors import EngineUnavailable


@contextmanager
def fetching(what: str) -> Iterator[Any]:
    """Lend the client to fetch something; `EngineUnavailable` names it when that fails, whatever with."""
    client = importlib.import_module("huggingface_hub")
    try:
        yield client
    except EngineUnavailable:
        raise
    except Exception as error:  # the client lets through what its HTTP library raises, another with every version
        fix = "Is its name right, and the hub reachable from here? HF_ENDPOINT names another one."
        raise EngineUnavailable(f"{what} could not be fetched ({type(error).__name__}). {fix}") from error
