"""How this system's clients reach Kafka, and what their errors mean. Whatever connects asks here."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from worker.errors import SetupError
from worker.kafka.failures import tls_reason
from worker.kafka.oauth import token_provider
from worker.settings import Settings


def client_arguments(settings: Settings) -> dict[str, Any]:
    """The arguments that every aiokafka client of these settings takes: where Kafka is, and who we are.

    Reads the certificate files. Raises SetupError.
    """
    return {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": settings.kafka_security_protocol,
        **_tls(settings),
        **_sasl(settings),
    }


def _tls(settings: Settings) -> dict[str, Any]:
    if not settings.kafka_security_protocol.endswith("SSL"):
        return {}
    with _usable("PROGRESS_KAFKA_SSL_CA_FILE"):
        context = ssl.create_default_context(cafile=settings.kafka_ssl_ca_file)
    if settings.kafka_ssl_certificate_file:
        password = settings.kafka_ssl_key_password
        with _usable("PROGRESS_KAFKA_SSL_CERTIFICATE_FILE with its key and password"):
            context.load_cert_chain(
                settings.kafka_ssl_certificate_file,
                settings.kafka_ssl_key_file,
                password.get_secret_value() if password else "",  # without any, OpenSSL would ask the terminal
            )
    return {"ssl_context": context}


@contextmanager
def _usable(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # also ssl.SSLError
        raise SetupError(f"{what} cannot be used: {tls_reason(error)}") from None


def _sasl(settings: Settings) -> dict[str, Any]:
    if settings.kafka_sasl_mechanism is None:
        return {}
    if settings.kafka_sasl_mechanism == "OAUTHBEARER":
        return {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": token_provider(settings)}
    assert settings.kafka_sasl_password is not None
    return {
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": settings.kafka_sasl_username,
        "sasl_plain_password": settings.kafka_sasl_password.get_secret_value(),
    }
