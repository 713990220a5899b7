"""Objects in an S3-compatible store: Amazon's, MinIO, Ceph, Garage, whatever speaks its protocol."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from voicebot.records.vault.objects import ObjectMissingError, StoreUnavailableError, check_name

_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 30


class S3Objects:
    """Objects below `prefix` in a bucket. Safe for several threads.

    `endpoint_url` names any store but Amazon's. Credentials come from where boto3 looks for them unless given.
    """

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str = "",
        endpoint_url: str | None = None,
        region: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint_url,
            region_name=region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(
                connect_timeout=_CONNECT_TIMEOUT_S,
                read_timeout=_READ_TIMEOUT_S,
                retries={"mode": "standard", "total_max_attempts": 3},
                # Other stores than Amazon's know buckets by path, and no checksum trailers.
                s3={"addressing_style": "path"} if endpoint_url else {},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def put(self, name: str, content: bytes) -> None:
        # The store compares what arrived with the digest, and refuses what was damaged on the way.
        digest = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        with _named_errors(name):
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._key(name),
                Body=content,
                ContentMD5=digest,
                ContentType="application/octet-stream",
            )

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        if end is not None and start >= end:
            return b""
        with _named_errors(name):
            try:
                answer = self._client.get_object(
                    Bucket=self._bucket, Key=self._key(name), Range=f"bytes={start}-{'' if end is None else end - 1}"
                )
            except ClientError as error:
                if error.response["Error"]["Code"] in {"InvalidRange", "416"}:
                    return b""
                raise
            content: bytes = answer["Body"].read()
        return content

    def delete(self, name: str) -> None:
        with _named_errors(name):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(name))

    def names(self, prefix: str = "") -> Iterator[str]:
        with _named_errors(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield entry["Key"][len(self._prefix) :]

    def _key(self, name: str) -> str:
        return self._prefix + check_name(name)


@contextmanager
def _named_errors(name: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _MISSING:
            raise ObjectMissingError(f"{name}: there is no such object") from None
        raise StoreUnavailableError(f"the store refused {name}: {code}") from error
    except BotoCoreError as error:
        raise StoreUnavailableError(f"the store is away: {type(error).__name__}") from error
