"""Pulling models, from a server on loopback."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from voicebot.errors import EngineUnavailable
from voicebot.speech.recognition.sphinx.published import PublishedModel, published_models, pull

CONTENT = {"feat.params": b"-upperf 4000\n", "mdef": b"0.3\n"}


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    served = tmp_path / "served"
    served.mkdir()
    for name, content in CONTENT.items():
        (served / name).write_bytes(content)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(served)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


def model(address: str, **more: str) -> PublishedModel:
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
    return PublishedModel("small", address, "BSD", {**digests, **more})


def test_a_model_is_fetched_whole_and_not_fetched_again(address: str, tmp_path: Path) -> None:
    folder = pull(model(address), tmp_path / "models")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == CONTENT
    unreachable = model("http://127.0.0.1:9/")
    assert pull(unreachable, tmp_path / "models") == folder


def test_a_file_that_was_changed_is_fetched_again(address: str, tmp_path: Path) -> None:
    folder = pull(model(address), tmp_path)
    (folder / "mdef").write_bytes(b"spoiled")
    pull(model(address), tmp_path)
    assert (folder / "mdef").read_bytes() == CONTENT["mdef"]


@pytest.mark.parametrize(("name", "why"), [("mdef", "SHA-256 differs"), ("means", "cannot be fetched: HTTP Error 404")])
def test_a_wrong_or_missing_file_is_named_and_nothing_is_left(
    address: str, tmp_path: Path, name: str, why: str
) -> None:
    with pytest.raises(EngineUnavailable, match=why) as raised:
        pull(model(address, **{name: "0" * 64}), tmp_path / "models")
    assert address + name in str(raised.value)
    assert list((tmp_path / "models").iterdir()) == []


def test_the_published_models_are_whole_acoustic_models_with_hashes() -> None:
    for name, published in published_models().items():
        assert name.endswith("_8k")
        assert {"feat.params", "mdef", "means", "variances", "sendump", "transition_matrices"} <= set(published.files)
        assert all(len(digest) == 64 for digest in published.files.values())
        assert published.address.startswith("https://")
        assert published.licence
