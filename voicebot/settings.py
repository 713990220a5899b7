"""All settings, read once from voicebot.toml and VOICEBOT_* and validated. Only app and cli import this."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from voicebot.errors import ConfigurationError, Problem
from voicebot.setting_tables import (
    MailSettings,
    OidcSettings,
    Port,
    Positive,
    RecordingSettings,
    RetentionSettings,
    SipSettings,
    TwilioSettings,
    WebAddress,
)

#: What ships beside the package, wherever the server is started.
HOLD_MUSIC = Path(__file__).parents[1] / "audio" / "hold-music.wav"
#: The folder of published flows, inside the data folder.
FLOW_LIBRARY = "flows"


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
        secrets = _secrets(self.settings_cls)
        if found := secrets.keys() & values.keys():
            name = min(found)
            raise ConfigurationError(
                [
                    Problem(
                        "voicebot.toml",
                        None,
                        f"`{name}` is a secret and must not stand in a file.",
                        f"Set {secrets[name]} in the environment.",
                    )
                ]
            )
        return values


def _secrets(settings: type[BaseSettings]) -> dict[str, str]:
    """Return the variable of each secret, by the names that it may be written under."""
    found: dict[str, str] = {}
    for name, field in settings.model_fields.items():
        if SecretStr in (field.annotation, *get_args(field.annotation)):
            variable = str(field.validation_alias or f"VOICEBOT_{name.upper()}")
            found |= {name: variable, variable: variable}
    return found


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
