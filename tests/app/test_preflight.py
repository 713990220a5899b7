"""What is found wrong with the settings before anything slow is begun."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from voicebot.app.preflight import look_over
from voicebot.errors import ConfigurationError
from voicebot.settings import load_settings
from voicebot.wav import write_wav_mulaw


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def test_free_ports_and_the_shipped_music_are_passed(tmp_path: Path) -> None:
    look_over(load_settings(data=tmp_path, port=free_port(), sip_port=free_port()))
    look_over(load_settings(data=tmp_path, port=0, sip_port=0))


@pytest.mark.parametrize(
    ("setting", "kind"),
    [("port", socket.SOCK_STREAM), ("sip_port", socket.SOCK_DGRAM), ("sip_port", socket.SOCK_STREAM)],
)
def test_a_port_that_another_program_has_is_named(tmp_path: Path, setting: str, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            other.listen()
        taken = other.getsockname()[1]
        settings = load_settings(data=tmp_path, **({"port": 0, "sip_port": 0} | {setting: taken}))
        with pytest.raises(ConfigurationError, match=f"`{setting}`: cannot listen on 127.0.0.1:{taken}"):
            look_over(settings)


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEBOT_HOLD_MUSIC", str(tmp_path / "none.wav"))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = load_settings(data=tmp_path, port=other.getsockname()[1], sip_port=0)
        with pytest.raises(ConfigurationError) as refused:
            look_over(settings)
    assert [problem.what.partition(":")[0] for problem in refused.value.problems] == ["`port`", "`hold_music`"]


def test_music_of_which_there_is_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = tmp_path / "silent.wav"
    silent.write_bytes(write_wav_mulaw(b""))
    monkeypatch.setenv("VOICEBOT_HOLD_MUSIC", str(silent))
    with pytest.raises(ConfigurationError, match=r"hold_music.*less than a second"):
        look_over(load_settings(data=tmp_path, port=0, sip_port=0))


def test_a_port_that_is_taken_for_two_protocols_is_named_once(tmp_path: Path) -> None:
    with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        stream.bind(("127.0.0.1", 0))
        stream.listen()
        datagrams.bind(stream.getsockname())
        with pytest.raises(ConfigurationError) as refused:
            look_over(load_settings(data=tmp_path, port=0, sip_port=stream.getsockname()[1]))
    assert [problem.what.partition(":")[0] for problem in refused.value.problems] == ["`sip_port`"]


def test_a_folder_of_models_that_is_not_there_is_named(tmp_path: Path) -> None:
    look_over(load_settings(data=tmp_path, port=0, sip_port=0, models=tmp_path))
    with pytest.raises(ConfigurationError, match=r"`models`: there is no folder .*mdoels"):
        look_over(load_settings(data=tmp_path, port=0, sip_port=0, models=tmp_path / "mdoels"))


def test_a_certificate_that_is_missing_is_named_before_speech_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEBOT_SIP__TLS_PORT", "0")
    with pytest.raises(ConfigurationError, match=r"`sip\.tls_certificate` is missing"):
        look_over(load_settings(data=tmp_path, port=0, sip_port=0))


@pytest.mark.parametrize(
    ("variable", "value", "finds"),
    [
        ("WHISPER_MODEL", "basee.en", r"`whisper_model`: basee\.en cannot be used: no model basee\.en"),
        ("ACOUSTIC_MODEL", "/nowhere", r"`acoustic_model`: /nowhere cannot be used: /nowhere holds no acoustic model"),
        ("VOSK_MODEL", "small", r"`vosk_model`: small cannot be used: "),
        ("CONNECTORS", '["zendeskk"]', r"There is no such connector\. Did you mean 'zendesk'"),
        ("CONNECTORS", '["zendesk"]', "Set ZENDESK_TOKEN in the environment"),
        ("WEBHOOK_URL", "https://crm.example", "`webhook_url` needs a secret to sign with"),
        ("ADVERTISED_URL", "https://east-1.example", "`advertised_url` needs a secret"),
        ("TWILIO__CALLER", "+15550100100", "`twilio.caller` is set, but nothing to use Twilio's API with"),
        ("OIDC__ISSUER", "https://id.example", "nobody could sign in with it"),
        ("ASTERISK_PASSWORD", "hush", "`asterisk_peers`: is empty"),
    ],
)
def test_what_is_set_wrong_is_said_before_speech_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, finds: str
) -> None:
    """A model that was named and is not there is not replaced by another one either."""
    monkeypatch.setenv(f"VOICEBOT_{variable}", value)
    with pytest.raises(ConfigurationError, match=finds):
        look_over(load_settings(data=tmp_path, port=0, sip_port=0))
