"""Sealed files: what was put in comes out, any range of it, and nothing that was changed."""

from __future__ import annotations

import base64
import secrets
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.errors import ConfigurationError
from voicebot.records.vault.keys import RecordingKey, RecordingKeys, UnknownKeyError, new_key
from voicebot.records.vault.sealed import HEADER_BYTES, SealBrokenError, SealedFile, seal, unseal

KEY = RecordingKey.of(b"k" * 32)
KEYS = RecordingKeys(KEY)


@given(size=st.integers(0, 200), start=st.integers(0, 220), length=st.integers(0, 220))
def test_any_range_is_read_as_it_was_written(size: int, start: int, length: int) -> None:
    content = bytes(number % 251 for number in range(size))
    sealed = seal(content, "a", KEY, chunk_bytes=32)
    file = SealedFile.open(lambda low, high: sealed[low:high], "a", KEYS)
    assert file.size == size
    assert file.read(start, start + length) == content[start : start + length]
    assert unseal(sealed, "a", KEYS) == content


def test_a_range_fetches_no_more_than_its_chunks() -> None:
    sealed = seal(bytes(100_000), "a", KEY, chunk_bytes=1000)
    fetched = []

    def read(start: int, end: int) -> bytes:
        fetched.append(end - start)
        return sealed[start:end]

    SealedFile.open(read, "a", KEYS).read(50_500, 50_600)
    assert fetched == [HEADER_BYTES, 1016]


def test_nothing_of_the_content_stands_in_the_file_and_two_files_of_it_differ() -> None:
    content = b"four one one one" * 8
    first, second = seal(content, "a", KEY), seal(content, "a", KEY)
    assert b"four" not in first
    assert first[HEADER_BYTES:] != second[HEADER_BYTES:]


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_change_anywhere_is_found(at: int, bit: int) -> None:
    sealed = bytearray(seal(bytes(range(100)), "a", KEY, chunk_bytes=32))
    sealed[at % len(sealed)] ^= 1 << bit
    with pytest.raises((SealBrokenError, UnknownKeyError)):
        unseal(bytes(sealed), "a", KEYS)


@pytest.mark.parametrize("size", [0, 31, 32, 64, 100])
def test_a_file_cut_off_anywhere_is_found(size: int) -> None:
    sealed = seal(bytes(size), "a", KEY, chunk_bytes=32)
    for end in range(len(sealed)):
        with pytest.raises(SealBrokenError):
            unseal(sealed[:end], "a", KEYS)


def test_a_file_under_another_name_or_with_chunks_exchanged_is_found() -> None:
    sealed = seal(bytes(64), "call-1", KEY, chunk_bytes=32)
    with pytest.raises(SealBrokenError):
        unseal(sealed, "call-2", KEYS)
    first, second = sealed[HEADER_BYTES : HEADER_BYTES + 48], sealed[HEADER_BYTES + 48 :]
    with pytest.raises(SealBrokenError):
        unseal(sealed[:HEADER_BYTES] + second + first, "call-1", KEYS)


def test_an_older_key_still_reads_and_one_that_is_missing_is_named() -> None:
    sealed = seal(b"x", "a", KEY)
    newer = RecordingKey.of(secrets.token_bytes(32))
    assert unseal(sealed, "a", RecordingKeys(newer, [KEY])) == b"x"
    with pytest.raises(UnknownKeyError, match=KEY.id):
        unseal(sealed, "a", RecordingKeys(newer))


@pytest.mark.parametrize("text", ["", "short", base64.b64encode(b"x" * 31).decode(), "*" * 44])
def test_a_key_that_is_none_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        RecordingKeys.parse(text)
    assert "recording_key" in str(refused.value)
    assert not text or text not in str(refused.value)
    assert "material" not in repr(KEY)


def test_keys_are_read_from_settings_the_older_ones_after_commas() -> None:
    current, older, oldest = new_key(), new_key(), new_key()
    keys = RecordingKeys.parse(current, f"{older}, {oldest},")
    for text in (current, older, oldest):
        key = RecordingKey.of(base64.b64decode(text))
        assert keys.get(key.id) == key
    assert keys.current.material == base64.b64decode(current)


def test_without_a_key_one_is_kept_in_the_data_folder_for_this_user_alone(tmp_path: Path) -> None:
    first = RecordingKeys.kept_in(tmp_path)
    assert RecordingKeys.kept_in(tmp_path).current == first.current
    assert stat.S_IMODE((tmp_path / "recording.key").stat().st_mode) == 0o600
