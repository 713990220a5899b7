from pathlib import Path

import pytest

from voicebot.errors import ConfigurationError
from voicebot.settings import load_settings, unread_variables


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("VOICEBOT_PORT", "VOICEBOT_API_TOKEN", "TWILIO_AUTH_TOKEN", "TWILIO_ACCOUNT_SID"):
        monkeypatch.delenv(name, raising=False)


def test_the_server_listens_on_loopback_unless_told() -> None:
    assert load_settings().host == "127.0.0.1"


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("voicebot.toml").write_text('port = 7001\nzone = "Europe/Berlin"\n', encoding="utf-8")
    assert load_settings().port == 7001
    monkeypatch.setenv("VOICEBOT_PORT", "7002")
    assert load_settings().port == 7002
    settings = load_settings(port=7003, data=None)
    assert (settings.port, settings.zone) == (7003, "Europe/Berlin")


def test_secrets_come_from_the_environment_and_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEBOT_API_TOKEN", "hush-hush")
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "very-quiet")
    settings = load_settings()
    assert settings.api_token is not None
    assert settings.api_token.get_secret_value() == "hush-hush"
    assert settings.twilio_auth_token is not None
    assert "hush" not in repr(settings)
    assert "quiet" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("api_token", "VOICEBOT_API_TOKEN"),
        ("VOICEBOT_API_TOKEN", "VOICEBOT_API_TOKEN"),
        ("twilio_auth_token", "TWILIO_AUTH_TOKEN"),
        ("TWILIO_AUTH_TOKEN", "TWILIO_AUTH_TOKEN"),
        ("recording_old_keys", "VOICEBOT_RECORDING_OLD_KEYS"),
        ("sip_users", "VOICEBOT_SIP_USERS"),
    ],
)
def test_a_secret_in_the_file_is_refused_with_the_fix(name: str, variable: str) -> None:
    Path("voicebot.toml").write_text(f'{name} = "x"', encoding="utf-8")
    with pytest.raises(ConfigurationError, match=f"is a secret .* Set {variable} in the environment"):
        load_settings()


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("port = 99999", "port"),
        ('zone = "Mars/Base"', "zone"),
        ("prot = 1", "prot"),
        ('public_url = "99999.example.org"', "`public_url`: no web address; write one such as https://"),
        ('webhook_url = "https:99999"', "`webhook_url`: no web address"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not_quoted(line: str, field: str) -> None:
    Path("voicebot.toml").write_text(line, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert field in str(caught.value)
    assert "99999" not in str(caught.value)


def test_a_file_that_is_not_toml_is_named_with_the_line() -> None:
    Path("voicebot.toml").write_text("port = 8080\nzone = Europe/Berlin\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"voicebot\.toml: This is not TOML: .*line 2.*quotation marks"):
        load_settings()


def test_a_setting_that_does_not_exist_is_told_with_the_likeliest_one() -> None:
    Path("voicebot.toml").write_text("prot = 8080\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"`prot`: There is no such setting\. Did you mean `port`\?"):
        load_settings()


def test_a_setting_that_does_not_exist_in_a_table_is_told_with_the_likeliest_one_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VOICEBOT_TWILIO__CALLR", "+15550100")
    with pytest.raises(ConfigurationError, match=r"`twilio\.callr`.*Did you mean `twilio\.caller`\?"):
        load_settings()


def test_a_list_in_the_environment_that_is_not_json_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEBOT_TRUSTED_PROXIES", "10.0.0.0/8")
    with pytest.raises(ConfigurationError, match=r"trusted_proxies.*is JSON"):
        load_settings()


def test_the_hold_music_that_ships_is_found_from_every_folder() -> None:
    assert load_settings().hold_music.is_file()


def test_a_variable_that_no_setting_has_is_found_with_the_likeliest_one() -> None:
    good = ["VOICEBOT_PORT", "VOICEBOT_RECORDING__POLICY", "VOICEBOT_SYSTEM", "PATH"]
    assert unread_variables(good) == {}
    assert unread_variables([*good, "VOICEBOT_MAXCALLS"]) == {"VOICEBOT_MAXCALLS": "VOICEBOT_MAX_CALLS"}
    assert "VOICEBOT_RECORDING_POLICY" in unread_variables(["VOICEBOT_RECORDING_POLICY"])


def test_a_variable_that_goes_by_another_name_than_the_settings_is_found() -> None:
    assert unread_variables(["TWILIO_AUTH_TOKEN"]) == {}
    assert unread_variables(["VOICEBOT_TWILIO_AUTH_TOKEN"]) == {"VOICEBOT_TWILIO_AUTH_TOKEN": "TWILIO_AUTH_TOKEN"}
