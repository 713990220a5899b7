"""Objects in an S3-compatible store: Amazon's, MinIO, Ceph, Garage, whatever speaks its protocol."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    InvalidRegionError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from voicebot.records.vault.objects import ObjectMissingError, StoreFault, StoreUnavailableError, check_name

_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
#: What stores answer, by what it takes to mend it; whatever else they say may pass.
_CODES = {
    StoreFault.BUCKET: ("NoSuchBucket", "InvalidBucketName"),
    StoreFault.CREDENTIALS: ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"),
    StoreFault.DENIED: ("AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "403"),
    StoreFault.REGION: ("PermanentRedirect", "AuthorizationHeaderMalformed", "301"),
}
_FAULTS = {code: fault for fault, codes in _CODES.items() for code in codes}
_CREDENTIALS_ERRORS = (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 30


class S3Objects:
    """Objects below `prefix` in a bucket. Safe for several threads.

    `endpoint_url` names any store but Amazon's. Credentials come from where boto3 looks for them unless given.
    StoreUnavailableError for a region that is no name of one, and for a profile of credentials that is not there.
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
        config = Config(
            connect_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=_READ_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": 3},
            # Other stores than Amazon's know buckets by path, and no checksum trailers.
            s3={"addressing_style": "path"} if endpoint_url else {},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        with _named_errors("a client"):
            # A session of its own: the shared one keeps the credentials that it once found.
            self._client: Any = boto3.session.Session().client(
                "s3",
                endpoint_url=endpoint_url,
                region_name=region,
                aws_access_key_id=access_key,
                aws_secret_access_key=secret_key,
                config=config,
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
        fault = _FAULTS.get(code, StoreFault.AWAY)
        raise StoreUnavailableError(f"the store refused {name}: {code}", fault, code) from error
    except BotoCoreError as error:
        reason = type(error).__name__
        match error:
            case InvalidRegionError():
                fault = StoreFault.REGION
            case ParamValidationError():  # the name of the bucket is all that is not checked before
                fault = StoreFault.BUCKET
            case _:
                fault = StoreFault.CREDENTIALS if isinstance(error, _CREDENTIALS_ERRORS) else StoreFault.AWAY
        what = "is away" if fault is StoreFault.AWAY else "cannot be asked"
        raise StoreUnavailableError(f"the store {what}: {reason}", fault, reason) from error
