"""An S3-compatible store on loopback that knows who may do what."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from moto import settings as moto_settings
from moto.server import ThreadedMotoServer


@dataclass(frozen=True, slots=True)
class S3Store:
    """Where it listens. `key` is whose access is not limited."""

    url: str
    key: tuple[str, str]

    def make_bucket(self, name: str) -> None:
        self.client("s3").create_bucket(Bucket=name)

    def client(self, service: str) -> Any:  # boto3 makes these classes when it runs
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.key[0],
            aws_secret_access_key=self.key[1],
        )

    def user(self, name: str, *, may: Sequence[str]) -> tuple[str, str]:
        """Return the key of a new user who may do this and nothing else, such as ``s3:PutObject``."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        allowed = {"Effect": "Allow", "Action": list(may), "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_user_policy(UserName=name, PolicyName="voicebot", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    @contextmanager
    def checking_access(self) -> Iterator[None]:
        """Have every request checked for its right while the block lasts."""
        unchecked = moto_settings.INITIAL_NO_AUTH_ACTION_COUNT
        moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
        try:
            yield
        finally:
            moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = unchecked


@contextmanager
def serving_s3(port: int = 0) -> Iterator[S3Store]:
    """Give a store that nothing is in while the block lasts."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield S3Store(f"http://{host}:{port}", ("k", "s"))
    finally:
        server.stop()
