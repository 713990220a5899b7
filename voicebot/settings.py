"""All settings, read once from voicebot.toml and VOICEBOT_* and validated. Only app and cli import this."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from datetime import time
from difflib import get_close_matches
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from voicebot.dialog.outcome import Outcome
from voicebot.errors import ConfigurationError, Problem
from voicebot.records.access.roles import Role
from voicebot.records.retention import DataKind, Retention

#: What ships beside the package, wherever the server is started.
HOLD_MUSIC = Path(__file__).parents[1] / "audio" / "hold-music.wav"
#: The folder of published flows, inside the data folder.
FLOW_LIBRARY = "flows"
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


class Settings(BaseSettings):
    """Environment variables win over voicebot.toml, and command-line options win over both.

    Secrets (`api_token`, Twilio's) come from the environment only; a secret in voicebot.toml is refused.
    """

    model_config = SettingsConfigDict(
        env_prefix="VOICEBOT_",
        env_nested_delimiter="__",
        toml_file="voicebot.toml",
        extra="forbid",
        frozen=True,
        validate_default=True,
    )

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    sip_port: Port = 5060
    sip: SipSettings = SipSettings()
    sip_password: SecretStr | None = Field(default=None, description="of `sip.user`")
    sip_users: SecretStr | None = Field(default=None, description='who may call in by password: {"name": "password"}')
    data: Path = Path("data")
    database_url: SecretStr | None = Field(
        default=None, description="PostgreSQL that several servers share; an SQLite file in `data` unless set"
    )
    instance: str = Field(
        default="main",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="this server's name: the same after a restart, another for each server on one database",
    )
    advertised_url: str | None = Field(
        default=None,
        pattern=r"^https?://[A-Za-z0-9.:\[\]-]+$",
        description="where browsers reach this server and no other of its database, for the audio of desks",
    )
    installation_secret: SecretStr | None = Field(
        default=None, min_length=32, description="the same on every server of one database: signs what they take alike"
    )
    retention: RetentionSettings = RetentionSettings()
    flows: Path = Path("flows")
    models: Path | None = Field(default=None, description="folder with speech models and voices")
    hold_music: Path = Field(default=HOLD_MUSIC, description="8 kHz mu-law WAV for callers who wait")
    webhook_url: WebAddress | None = Field(default=None, description="where context packets are posted, signed")
    connectors: tuple[str, ...] = Field(
        default=(), description="ticket systems that get packets: zendesk, salesforce, servicenow or a file"
    )
    zone: str = Field(default="UTC", description="IANA time zone the bot speaks in")

    recording: RecordingSettings = RecordingSettings()
    recording_key: SecretStr | None = Field(default=None, description="32 bytes in base64 that seal recordings")
    recording_old_keys: SecretStr | None = Field(default=None, description="earlier ones, apart by commas")

    api_token: SecretStr | None = None
    oidc: OidcSettings = OidcSettings()
    oidc_client_secret: SecretStr | None = None
    twilio_account_sid: str | None = Field(default=None, validation_alias="TWILIO_ACCOUNT_SID")
    twilio_auth_token: SecretStr | None = Field(default=None, validation_alias="TWILIO_AUTH_TOKEN")
    twilio_api_key: str | None = Field(
        default=None, validation_alias="TWILIO_API_KEY", description="SID of a key to use Twilio's API with"
    )
    twilio_api_secret: SecretStr | None = Field(default=None, validation_alias="TWILIO_API_SECRET")
    twilio: TwilioSettings = TwilioSettings()
    insecure_webhooks: bool = Field(default=False, description="accept unsigned webhooks; development only")
    trusted_proxies: tuple[str, ...] = Field(default=(), description="addresses whose X-Forwarded-* are believed")
    public_url: WebAddress | None = Field(
        default=None, description="what callers' carriers reach, if not the Host header"
    )

    asterisk_peers: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(), description="phone systems that may bring calls by chan_websocket and AudioSocket; none by default"
    )
    asterisk_password: SecretStr | None = Field(default=None, description="what chan_websocket must show besides")
    audiosocket_port: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        default=None, description="where AudioSocket is listened for; 9092 is usual"
    )

    recognizer: Literal["auto", "two-pass", "whisper", "vosk", "pocketsphinx", "wyoming", "off"] = "auto"
    recognition_servers: tuple[str, ...] = Field(
        default=(), description="Wyoming servers, such as tcp://10.0.0.7:10300"
    )
    acoustic_model: Path | None = None
    whisper_model: str | None = Field(
        default=None, description="a Whisper model's folder, or its name under `models` or on the hub, such as base.en"
    )
    whisper_context_s: Annotated[float, Field(ge=1, le=30)] | None = Field(
        default=None, description="how much audio Whisper hears at least, in seconds; less is faster, 30 is its own"
    )
    vosk_model: str | None = Field(default=None, description="a Vosk model's folder, or its name under `models`")
    voice: str = Field(default="auto", description="auto, or engine:name such as flite:rms, espeak:en-us, piper:NAME")
    dictation: Literal["auto", "phrases", "off"] = Field(
        default="auto", description="whether the talk of callers and agents is written down, or phrases in it spotted"
    )
    recognition_workers: Annotated[int, Field(ge=1, le=64)] = 1
    voice_workers: Annotated[int, Field(ge=1, le=64)] = 1
    voice_threads: Annotated[int, Field(ge=1, le=64)] = 1

    sms_from: str | None = Field(default=None, description="Twilio number that messages after calls come from")
    mail: MailSettings = MailSettings()
    mail_password: SecretStr | None = Field(default=None, description="of `mail.user`")
    approval_limit_s: Positive = Field(default=60, description="how long a caller waits for a person's approval")
    approval_webhook: WebAddress | None = Field(default=None, description="is told that a caller waits for an approval")
    webhook_secret: SecretStr | None = Field(default=None, description="signs what is posted to webhooks")

    model_url: WebAddress | None = Field(
        default=None, description="OpenAI-compatible service that words articles and summaries; off unless set"
    )
    model_name: str = "default"
    model_key: SecretStr | None = None
    model_timeout_s: Positive = 2.5

    max_call_s: Positive = 1800
    max_calls: Annotated[int, Field(ge=1)] = 100
    max_calls_per_caller: Annotated[int, Field(ge=1)] = 3
    max_starts_per_minute: Annotated[int, Field(ge=1)] = 20
    max_requests_per_minute: Annotated[int, Field(ge=1)] = Field(default=1200, description="of one user or API token")
    max_cpu_percent: Annotated[float, Field(gt=0, le=100)] = 85
    drain_s: Positive = 60
    log_format: Literal["json", "console"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def database(self) -> str | None:
        """The database's URL with its password; None for the SQLite file in the data folder."""
        return self.database_url.get_secret_value() if self.database_url else None

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("no such time zone; use an IANA name such as Europe/Berlin") from None
        return zone

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, _PlainToml(settings_cls)


class _PlainToml(TomlConfigSettingsSource):
    """voicebot.toml without secrets: a file that is copied and committed must not hold them."""

    def __call__(self) -> dict[str, object]:
        values: dict[str, object] = super().__call__()
        names = {
            "api_token",
            "asterisk_password",
            "database_url",
            "installation_secret",
            "mail_password",
            "webhook_secret",
            "model_key",
            "oidc_client_secret",
            "recording_key",
            "recording_old_keys",
            "twilio_auth_token",
            "TWILIO_AUTH_TOKEN",
            "twilio_api_secret",
            "TWILIO_API_SECRET",
            "sip_password",
            "sip_users",
        }
        secret = names & set(values)
        if secret:
            name = min(secret)
            raise ConfigurationError(
                [
                    Problem(
                        "voicebot.toml",
                        None,
                        f"`{name}` is a secret and must not stand in a file.",
                        "Set it in the environment (VOICEBOT_API_TOKEN, VOICEBOT_SIP_PASSWORD, TWILIO_AUTH_TOKEN).",
                    )
                ]
            )
        return values


def load_settings(**overrides: object) -> Settings:
    """Return the settings with command-line `overrides`; raise ConfigurationError naming each wrong field."""
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]  # pydantic validates; values are what the command line gave
    except ValidationError as error:
        raise ConfigurationError([_problem(detail) for detail in error.errors(include_input=False)]) from None
    except tomllib.TOMLDecodeError as error:
        what, fix = f"This is not TOML: {error}.", "Write NAME = VALUE on each line, and texts in quotation marks."
        raise ConfigurationError([Problem("voicebot.toml", None, what, fix)]) from None
    except SettingsError as error:
        # Its message names the field and where it came from; what stood there may be a secret.
        what, fix = f"{error}.", 'A list or table in the environment is JSON, such as ["10.0.0.0/8"].'
        raise ConfigurationError([Problem("settings", None, what, fix)]) from None


def unread_variables(environment: Iterable[str]) -> dict[str, str]:
    """Return the variables that begin like a setting and are none, each with the likeliest one or an empty text."""
    # Some, such as Twilio's, are read by the names that they have everywhere, and by no other.
    known = [str(field.validation_alias or f"VOICEBOT_{name.upper()}") for name, field in Settings.model_fields.items()]
    beside = {"VOICEBOT_PYTHON", "VOICEBOT_SYSTEM"}  # what scripts/setup reads
    given = {name for name in environment if name.startswith("VOICEBOT_")} - beside
    unread = sorted(name for name in given if name.partition("__")[0] not in known)
    return {name: next(iter(get_close_matches(name, known, n=1)), "") for name in unread}


def _problem(detail: ErrorDetails) -> Problem:
    name = ".".join(str(part) for part in detail["loc"])
    what = detail["msg"].removeprefix("Value error, ").rstrip(".")
    fix = "See docs/operations.md for every setting."
    if detail["type"] == "extra_forbidden":
        what = "There is no such setting"
        near = get_close_matches(name, _names(), n=1)
        fix = f"Did you mean `{near[0]}`? {fix}" if near else fix
    return Problem("settings", None, f"`{name}`: {what}.", fix)


def _names() -> Iterator[str]:
    """Give the names of all settings, those in a table after its own as ``sip.trunks``."""
    for name, field in Settings.model_fields.items():
        yield name
        table = field.annotation
        if isinstance(table, type) and issubclass(table, BaseModel):
            yield from (f"{name}.{inner}" for inner in table.model_fields)
