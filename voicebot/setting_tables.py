"""The tables of voicebot.toml, such as [sip], each validated as a whole. `voicebot.settings` is where they stand."""

from __future__ import annotations

from datetime import time
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from voicebot.dialog.outcome import Outcome
from voicebot.records.access.roles import Role
from voicebot.records.retention import DataKind, Retention

Positive = Annotated[float, Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65535)]


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("no web address; write one such as https://voice.example.org")
    return text


WebAddress = Annotated[str, AfterValidator(_web_address)]


class SipSettings(BaseModel):
    """The table [sip] of voicebot.toml, or VOICEBOT_SIP__NAME in the environment. Addresses are IP addresses."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hosts: tuple[IPv4Address | IPv6Address, ...] = Field(default=(), description="where SIP listens, if not at `host`")
    public_address: IPv4Address | IPv6Address | None = Field(
        default=None, description="what peers beyond a NAT know this server by"
    )
    trunks: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")), description="networks whose calls are taken"
    )
    realm: str = Field(default="voicebot", pattern=r"^[A-Za-z0-9 ._-]+$", description="the realm of `sip_users`")
    rtp_first_port: Annotated[int, Field(ge=1024, le=65535)] = 16384
    rtp_last_port: Annotated[int, Field(ge=1024, le=65535)] = 32767
    srtp: Literal["off", "optional", "mandatory"] = "optional"
    tls_port: Port | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = Field(default=None, description="whose certificates callers over TLS must show")
    tls_ca: Path | None = Field(default=None, description="whose certificates are trusted when calling out over TLS")
    outbound_proxy: str | None = Field(default=None, description="takes calls to numbers, such as sip:trunk.example")
    caller: str = Field(default="voicebot", description="the number or name that calls out come from")
    user: str | None = Field(default=None, description="our name at the proxy and the registrar; default `caller`")
    registrar: str | None = Field(default=None, description="where to register, such as sip:pbx.example")
    register_expires_s: Annotated[int, Field(ge=60, le=86400)] = 600
    dial_prefixes: tuple[str, ...] = Field(default=(), description="numbers that may be called begin so: +1555")
    dial_hosts: tuple[str, ...] = Field(default=(), description="hosts whose SIP addresses may be called")
    dial_region: str = Field(default="US", pattern=r"^[A-Z]{2}$", description="country of numbers without a prefix")
    max_dials_per_hour: Annotated[int, Field(ge=0)] = 60
    max_dials_at_once: Annotated[int, Field(ge=0)] = 10
    accept_refer: bool = Field(default=False, description="heed transfers that trunks ask for by REFER")


class TwilioSettings(BaseModel):
    """The table [twilio] of voicebot.toml, or VOICEBOT_TWILIO__NAME in the environment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    caller: str | None = Field(
        default=None,
        pattern=r"^\+[1-9]\d{4,14}$",
        description="the account's number that calls out come from; no calls are placed by Twilio unless set",
    )
    numbers: bool | None = Field(
        default=None,
        description="whether numbers are called by Twilio; unless set, they are where there is no `sip.outbound_proxy`",
    )
    detect_machines: bool = Field(
        default=True, description="have Twilio, which charges for it, tell whether a machine answers calls out"
    )
    edge: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$", description="Twilio's edge location, as dublin")
    region: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$", description="Twilio's region, such as ie1")
    api_url: str | None = Field(
        default=None, pattern=r"^https?://", description="replaces Twilio's own hosts, for tests and proxies"
    )
    callback_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/]+$",
        description="where Twilio reaches this very server, if several share `public_url`",
    )
    timeout_s: Positive = Field(default=5.0, description="of one request to Twilio")


Days = Annotated[int, Field(ge=0, le=36_500)] | None


class KeptFor(BaseModel):
    """Days after a call's end that each kind of data is kept; for ever where none is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    audio_days: Days = None
    transcript_days: Days = None
    record_days: Days = None


class RetentionSettings(KeptFor):
    """The table [retention] of voicebot.toml, or VOICEBOT_RETENTION__NAME in the environment."""

    audit_days: Days = Field(default=None, description="what entries of the audit trail say; the chain itself stays")
    outcomes: dict[Outcome, KeptFor] = Field(default={}, description="other periods for calls that ended so")
    at: time = Field(default=time(3), description="when each day, by `zone`, the server deletes what is due")

    @property
    def policy(self) -> Retention:
        """The same as the records know it."""
        return Retention(_days(self), {outcome: _days(kept) for outcome, kept in self.outcomes.items()})


def _days(kept: KeptFor) -> dict[DataKind, int]:
    days = {kind: getattr(kept, f"{kind.value}_days", None) for kind in DataKind}
    return {kind: given for kind, given in days.items() if given is not None}


class OidcSettings(BaseModel):
    """The table [oidc] of voicebot.toml, or VOICEBOT_OIDC__NAME in the environment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: str | None = Field(
        default=None,
        pattern=r"^(https://|http://(localhost|127\.0\.0\.1|\[::1\])[:/])",
        description="where people sign in, exactly as the provider calls itself",
    )
    client_id: str | None = None
    name: str = Field(default="your company account", description="what the button on the page says")
    role_claim: str = Field(default="groups", description="the claim of ID tokens that `roles` looks at")
    roles: dict[str, Role] = Field(
        default={}, description="which value of the claim makes somebody what; others may not come in"
    )


class RecordingSettings(BaseModel):
    """The table [recording] of voicebot.toml, or VOICEBOT_RECORDING__NAME in the environment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: Literal["always", "announce", "ask", "off"] | None = Field(
        default=None, description="whether calls are recorded, and what callers are told; the bot's own unless set"
    )
    codec: Literal["flac", "opus"] = "flac"
    unheard: Literal["search", "silence", "keep"] = Field(
        default="search",
        description="what becomes of speech that was not written down: it is heard after the call and silent only "
        "where it may hold a number, or silent, or kept whatever it holds",
    )
    bucket: str | None = Field(default=None, description="of an S3-compatible store; the data folder unless set")
    prefix: str = Field(default="", description="begins the names of our objects in the bucket")
    endpoint_url: WebAddress | None = Field(default=None, description="of the store, if it is not Amazon's")
    region: str | None = None


class MailSettings(BaseModel):
    """The table [mail] of voicebot.toml: the SMTP server that sends messages after calls; its password is a secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(default="", description="no e-mail is sent unless this is set")
    port: Port = 587
    sender: str = Field(default="voicebot@localhost", pattern=r"^[^@\s]+@[^@\s]+$")
    user: str = ""
    tls: Literal["starttls", "implicit", "none"] = Field(
        default="starttls",
        description="`starttls` (port 587), `implicit` (465) or `none`, which is for a relay on this machine",
    )

    @model_validator(mode="after")
    def _no_password_in_the_open(self) -> Self:
        if self.user and self.tls == "none":
            raise ValueError("`user` is signed in with a password, which needs `tls`: starttls or implicit.")
        return self
