"""Builds the arguments with which every Kafka client of this system connects: addresses, TLS, login."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from worker.errors import SetupError
from worker.kafka.failures import explain_tls
from worker.kafka.inflation import bound_inflation
from worker.settings import Settings


def client_arguments(settings: Settings) -> dict[str, Any]:
    """Builds the arguments that every aiokafka client takes: Kafka's addresses, and the credentials to log in with.

    Reads the certificate files. Raises SetupError for a file that cannot be used. Consumers inflate within the bounds
    of inflation.py from then on.
    """
    bound_inflation()
    return {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": settings.kafka_security_protocol,
        **_tls_arguments(settings),
        **_sasl_arguments(settings),
    }


def _tls_arguments(settings: Settings) -> dict[str, Any]:
    if not settings.kafka_security_protocol.endswith("SSL"):
        return {}
    with _require_usable("PROGRESS_KAFKA_SSL_CA_FILE"):
        context = ssl.create_default_context(cafile=settings.kafka_ssl_ca_file)
    if settings.kafka_ssl_certificate_file:
        password = settings.kafka_ssl_key_password
        with _require_usable("PROGRESS_KAFKA_SSL_CERTIFICATE_FILE with its key and password"):
            context.load_cert_chain(
                settings.kafka_ssl_certificate_file,
                settings.kafka_ssl_key_file,
                password.get_secret_value() if password else "",  # None makes OpenSSL ask the terminal
            )
    return {"ssl_context": context}


@contextmanager
def _require_usable(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # also ssl.SSLError
        raise SetupError(f"{what} cannot be used: {explain_tls(error)}") from None


def _sasl_arguments(settings: Settings) -> dict[str, Any]:
    if settings.kafka_sasl_mechanism is None:
        return {}
    if settings.kafka_sasl_mechanism == "OAUTHBEARER":
        from worker.kafka.oauth import token_provider  # imports an HTTP client, which takes a fifth of a second

        return {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": token_provider(settings)}
    assert settings.kafka_sasl_password is not None
    return {
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": settings.kafka_sasl_username,
        "sasl_plain_password": settings.kafka_sasl_password.get_secret_value(),
    }
