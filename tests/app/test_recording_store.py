"""Whether recordings can be kept: told at the start with the setting and the fix, and never in a call's way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.fakes.s3_store import S3Store, serving_s3
from voicebot.app.recording_store import StoreWatch, recording_objects, store_name, store_problem
from voicebot.app.standing import beside
from voicebot.cli import main
from voicebot.errors import ConfigurationError
from voicebot.records.vault.trial import TRIALS, Step, try_out
from voicebot.settings import Settings, load_settings

ALL = ("s3:PutObject", "s3:GetObject", "s3:DeleteObject")


@pytest.fixture(scope="module")
def store() -> Iterator[S3Store]:
    with serving_s3() as served:
        yield served


@pytest.fixture
def set_up(store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Return what gives settings with a bucket, and lets boto3 find a key."""

    def settings(bucket: str, key: tuple[str, str] = ("k", "s"), **other: str) -> Settings:
        place = {"bucket": bucket, "endpoint_url": store.url, "region": "us-east-1", "prefix": "calls"} | other
        for name, value in place.items():
            monkeypatch.setenv(f"VOICEBOT_RECORDING__{name.upper()}", value)
        for name, value in zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), key, strict=True):
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        return load_settings(data=tmp_path)

    return settings


def told(settings: Settings) -> str:
    failed = try_out(recording_objects(settings))
    assert failed is not None
    return str(store_problem(settings, failed))


def test_a_bucket_that_may_be_used_is_left_as_it_was(store: S3Store, set_up: Callable[..., Settings]) -> None:
    store.make_bucket("usable")
    key = store.user("all", may=ALL)
    objects = recording_objects(set_up("usable", key))
    with store.checking_access():
        assert try_out(objects) is None
    assert list(recording_objects(set_up("usable")).names()) == []


@pytest.mark.parametrize("step", list(Step))
def test_the_right_that_is_missing_is_named_and_where(
    store: S3Store, set_up: Callable[..., Settings], step: Step
) -> None:
    bucket = f"without-{step}"
    store.make_bucket(bucket)
    missing = {Step.WRITE: "s3:PutObject", Step.READ: "s3:GetObject", Step.DELETE: "s3:DeleteObject"}[step]
    key = store.user(bucket, may=[right for right in ALL if right != missing])
    settings = set_up(bucket, key)
    with store.checking_access():
        text = told(settings)
    assert text.startswith(
        f"settings: `recording.bucket`: cannot {step} recordings in the bucket {bucket} at 127.0.0.1"
    )
    assert text.endswith(f"Allow the owner of the key {missing} on {bucket}/calls/*.")
    assert key[1] not in text


def test_a_key_that_the_store_does_not_know_is_told_without_the_secret(
    store: S3Store, set_up: Callable[..., Settings]
) -> None:
    store.make_bucket("locked")
    settings = set_up("locked", ("AKIAIOSFODNN7EXAMPLE", "0123456789secret"))
    with store.checking_access():
        text = told(settings)
    assert "`recording.bucket`: cannot write" in text
    assert "AWS_ACCESS_KEY_ID" in text
    assert "0123456789secret" not in text


def test_a_wrong_secret_is_told_as_such(store: S3Store, set_up: Callable[..., Settings]) -> None:
    store.make_bucket("wrong-secret")
    name, secret = store.user("forgetful", may=ALL)
    settings = set_up("wrong-secret", (name, secret[::-1]))
    with store.checking_access():
        text = told(settings)
    assert "(SignatureDoesNotMatch)" in text
    assert "AWS_SECRET_ACCESS_KEY" in text
    assert secret[::-1] not in text


def test_no_key_at_all_is_told(
    store: S3Store, set_up: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store.make_bucket("keyless")
    settings = set_up("keyless")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert "(NoCredentialsError). Set AWS_ACCESS_KEY_ID" in told(settings)


def test_a_bucket_that_is_not_there_or_no_name_of_one_is_told(set_up: Callable[..., Settings]) -> None:
    assert "`recording.bucket`: cannot write recordings in the bucket none" in told(set_up("none"))
    assert "(ParamValidationError). Make a bucket of this name" in told(set_up("no name"))


def test_a_region_that_is_no_name_of_one_is_refused_at_once(set_up: Callable[..., Settings]) -> None:
    with pytest.raises(ConfigurationError, match=r"`recording\.region`: cannot write .* \(InvalidRegionError\)"):
        recording_objects(set_up("any", region="not a region!"))


def test_a_store_that_is_away_is_named_by_its_address_without_the_password_in_it(
    set_up: Callable[..., Settings],
) -> None:
    text = told(set_up("any", endpoint_url="http://me:hush@127.0.0.1:9"))
    assert "`recording.endpoint_url`: cannot write recordings in the bucket any at 127.0.0.1:9" in text
    assert "hush" not in text


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path)
    assert try_out(recording_objects(settings)) is None
    (tmp_path / "recordings").rmdir()
    (tmp_path / "recordings").write_text("in the way")
    assert told(settings).startswith(f"settings: `data`: cannot write recordings in {store_name(settings)} (")


def test_the_command_says_where_recordings_can_be_kept_or_what_is_wrong(
    store: S3Store, set_up: Callable[..., Settings], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store.make_bucket("commanded")
    set_up("commanded")
    assert main(["recordings", "try-store", "--data", str(tmp_path)]) == 0
    assert "recordings can be kept in the bucket commanded at 127.0.0.1" in capsys.readouterr().out
    set_up("not-there")
    assert main(["recordings", "try-store", "--data", str(tmp_path)]) == 1
    assert "`recording.bucket`: cannot write" in capsys.readouterr().out


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_store_that_is_away_is_told_and_tried_until_it_is_back(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path)
    in_the_way = tmp_path / "recordings"
    in_the_way.write_text("a file where the folder should be")
    watch = StoreWatch(settings, recording_objects(settings), first_retry_s=0.01)
    assert watch.state == "being tried"
    with capture_logs() as logs:
        async with beside("the test", watch.watch()):
            await until(lambda: watch.state.startswith("kept on tape: cannot write in the store ("))
            in_the_way.unlink()
            await until(lambda: watch.state == "ready")
    told = [entry for entry in logs if entry["log_level"] == "error"]
    assert [entry["event"] for entry in told] == ["recordings cannot be kept, and wait on tape"]
    assert "`data`" in told[0]["problem"]
    assert not in_the_way.exists() or not list(in_the_way.glob(f"{TRIALS}/*"))


async def test_a_recording_that_could_not_be_kept_has_the_store_tried_anew(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path)
    watch = StoreWatch(settings, recording_objects(settings), first_retry_s=0.01)
    async with beside("the test", watch.watch()):
        await until(lambda: watch.state == "ready")
        in_the_way = tmp_path / "recordings"
        in_the_way.rmdir()
        in_the_way.write_text("a file where the folder should be")
        assert watch.state == "ready"
        watch.doubt()
        await until(lambda: watch.state.startswith("kept on tape"))
        in_the_way.unlink()
        await until(lambda: watch.state == "ready")
