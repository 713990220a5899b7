"""Where recordings lie: the same promises on disk and in an S3-compatible store on loopback."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from voicebot.records.vault.objects import DiskObjects, ObjectMissingError, Objects, StoreUnavailableError
from voicebot.records.vault.s3 import S3Objects


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["disk", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "disk":
        return DiskObjects(tmp_path / "recordings")
    url = request.getfixturevalue("s3_url")
    bucket = f"calls-{tmp_path.name.replace('_', '-').lower()}"[:60].strip("-")
    boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    ).create_bucket(Bucket=bucket)
    return S3Objects(bucket, prefix="voicebot/", endpoint_url=url, region="us-east-1", access_key="k", secret_key="s")


def test_what_is_kept_is_read_back_whole_and_in_ranges(objects: Objects) -> None:
    content = bytes(range(256)) * 40
    objects.put("2026-11-21/a.flac", content)
    assert objects.read("2026-11-21/a.flac") == objects.read("2026-11-21/a.flac", 0, 1 << 30) == content
    assert objects.read("2026-11-21/a.flac", 300) == content[300:]
    assert objects.read("2026-11-21/a.flac", 300, 310) == content[300:310]
    assert objects.read("2026-11-21/a.flac", len(content) - 5, len(content) + 5) == content[-5:]
    assert objects.read("2026-11-21/a.flac", len(content), len(content) + 5) == b""


def test_a_second_content_replaces_the_first(objects: Objects) -> None:
    objects.put("a", b"old and longer")
    objects.put("a", b"new")
    assert objects.read("a", 0, 100) == b"new"


def test_names_are_listed_in_order_below_a_prefix(objects: Objects) -> None:
    for name in ("b/2", "a/1", "b/1"):
        objects.put(name, b"x")
    assert list(objects.names()) == ["a/1", "b/1", "b/2"]
    assert list(objects.names("b/")) == ["b/1", "b/2"]


def test_what_is_deleted_is_gone_and_deleting_it_again_is_no_error(objects: Objects) -> None:
    objects.put("a/1", b"x")
    objects.delete("a/1")
    objects.delete("a/1")
    assert list(objects.names()) == []
    with pytest.raises(ObjectMissingError):
        objects.read("a/1", 0, 1)


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../x", "a/../b", "a//b", ".hidden", "a/.b", "a\0b", "a/b/c/d/e", "ä"]
)
def test_a_name_that_could_lead_elsewhere_is_refused(objects: Objects, name: str) -> None:
    for attempt in (
        lambda: objects.put(name, b""),
        lambda: objects.read(name, 0, 1),
        lambda: objects.delete(name),
    ):
        with pytest.raises(ValueError, match="name"):
            attempt()


def test_a_store_that_is_away_is_named_as_such() -> None:
    away = S3Objects("calls", endpoint_url="http://127.0.0.1:9", region="us-east-1", access_key="k", secret_key="s")
    with pytest.raises(StoreUnavailableError, match="away"):
        away.put("a", b"x")


def test_a_bucket_that_is_not_there_is_named_as_such(s3_url: str) -> None:
    wrong = S3Objects("no-such", endpoint_url=s3_url, region="us-east-1", access_key="k", secret_key="s")
    with pytest.raises(StoreUnavailableError, match="NoSuchBucket"):
        wrong.put("a", b"x")


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = DiskObjects(tmp_path)
    objects.put("a/1", b"before")

    def full(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreUnavailableError, match="space"):
        objects.put("a/1", b"after")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["1"]
    assert objects.read("a/1", 0, 10) == b"before"


def test_files_belong_to_their_user_alone(tmp_path: Path) -> None:
    DiskObjects(tmp_path / "recordings").put("a/1", b"x")
    assert stat.S_IMODE((tmp_path / "recordings" / "a" / "1").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "recordings" / "a").stat().st_mode) == 0o700
