"""Every setting is documented with its default, and settings that do not fit together are refused."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from worker.errors import SetupError
from worker.settings import Settings
from worker.web import settings_page
from worker.web.settings import ApiSettings


def test_the_page_of_settings_is_up_to_date() -> None:
    assert settings_page.main(["--check"]) == 0


def test_an_outdated_page_of_settings_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(settings_page, "FILE", tmp_path / "settings.md")

    assert settings_page.main(["--check"]) == 1
    assert "settings.md" in capsys.readouterr().err
    assert settings_page.main([]) == 0
    assert settings_page.main(["--check"]) == 0


def test_every_setting_is_listed_once_in_a_group_with_its_default_and_meaning() -> None:
    page = settings_page.build_page()
    listed = re.findall(r"^\| `(PROGRESS_\w+)` \| (?:`(.*)`)? ?\| (.+) \|$", page, re.MULTILINE)

    assert [tuple(row) for row in listed] == [
        (f"PROGRESS_{name.upper()}", _text(field.default), field.description)
        for name, field in ApiSettings.model_fields.items()
    ]
    assert settings_page.TITLES.keys() <= ApiSettings.model_fields.keys()


def _text(default: object) -> str:
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    return "" if default is None else str(default)


SCRAM = {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "SCRAM-SHA-512"}
TOKEN = {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "OAUTHBEARER"}
USER = {"kafka_sasl_username": "ann-secret", "kafka_sasl_password": "pw-secret"}
CLIENT = {
    "kafka_oauth_token_url": "https://login.example/token",
    "kafka_oauth_client_id": "id-secret",
    "kafka_oauth_client_secret": "cs-secret",
}
FILE = {"kafka_oauth_token_file": "/var/run/token-secret"}


@pytest.mark.parametrize(
    "given",
    [
        {},
        SCRAM | USER,
        SCRAM | USER | {"kafka_security_protocol": "SASL_PLAINTEXT"},
        SCRAM | USER | {"kafka_ssl_ca_file": __file__},
        TOKEN | CLIENT,
        TOKEN | CLIENT | {"kafka_oauth_scope": "kafka"},
        TOKEN | CLIENT | {"kafka_oauth_token_url": "http://127.0.0.1:8080/token"},
        TOKEN | FILE,
        {"kafka_security_protocol": "SSL", "kafka_ssl_certificate_file": __file__},
        {"kafka_security_protocol": "SSL", "kafka_ssl_certificate_file": __file__, "kafka_ssl_key_file": __file__},
    ],
)
def test_kafka_security_that_fits_together_is_taken(given: dict[str, str]) -> None:
    Settings(**given)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"kafka_security_protocol": "SASL_SSL"}, ["kafka_sasl_mechanism"]),
        (SCRAM, ["kafka_sasl_username", "kafka_sasl_password"]),
        (SCRAM | USER | {"kafka_sasl_password": ""}, ["kafka_sasl_password"]),
        (SCRAM | USER | {"kafka_security_protocol": "PLAINTEXT"}, ["kafka_sasl_username", "kafka_sasl_password"]),
        (SCRAM | USER | CLIENT, ["kafka_oauth_token_url", "kafka_oauth_client_id", "kafka_oauth_client_secret"]),
        (TOKEN, ["kafka_oauth_token_url", "kafka_oauth_client_id", "kafka_oauth_client_secret"]),
        (TOKEN | CLIENT | {"kafka_oauth_client_id": ""}, ["kafka_oauth_client_id"]),
        (TOKEN | CLIENT | FILE, ["kafka_oauth_token_url", "kafka_oauth_client_secret"]),
        (TOKEN | FILE | {"kafka_oauth_scope": "x"}, ["kafka_oauth_scope"]),
        (TOKEN | CLIENT | USER, ["kafka_sasl_username", "kafka_sasl_password"]),
        ({"kafka_ssl_ca_file": __file__}, ["kafka_ssl_ca_file"]),
        ({"kafka_security_protocol": "SSL", "kafka_ssl_key_file": __file__}, ["kafka_ssl_certificate_file"]),
        ({"kafka_security_protocol": "SSL", "kafka_ssl_key_password": "k-secret"}, ["kafka_ssl_certificate_file"]),
    ],
)
def test_kafka_security_that_does_not_is_refused_by_the_variables_names(
    given: dict[str, str], wrong: list[str]
) -> None:
    with pytest.raises(SetupError) as refused:
        Settings(**given)

    for name in wrong:
        assert f"PROGRESS_{name.upper()}" in str(refused.value)
    assert "secret" not in str(refused.value).replace("SECRET", "")
    assert len(str(refused.value).splitlines()) == 1


def test_a_client_secret_is_not_sent_in_the_clear() -> None:
    with pytest.raises(ValidationError, match="kafka_oauth_token_url"):
        Settings(**TOKEN | CLIENT | {"kafka_oauth_token_url": "http://login.example/token"})


def test_a_session_lasts_for_several_signs_of_life() -> None:
    Settings(session_timeout_s=6, group_heartbeat_s=2)
    with pytest.raises(SetupError, match="PROGRESS_GROUP_HEARTBEAT_S"):
        Settings(session_timeout_s=6, group_heartbeat_s=2.1)
