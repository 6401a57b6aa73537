"""How this system's clients reach Kafka, and what their errors mean. Whatever connects asks here."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    InvalidTimestampError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)

from worker.errors import KafkaUnavailable, ProgressError, SetupError
from worker.kafka.oauth import tokens
from worker.settings import Settings

FORBIDDEN = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)
UNKNOWN_TO_KAFKA = (SaslAuthenticationFailed, UnsupportedSaslMechanismError, IllegalSaslStateError)
# Of the record, not of the moment.
REFUSED = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidTimestampError)
HANGING_UP = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


def client(settings: Settings) -> dict[str, Any]:
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
        raise SetupError(f"{what} cannot be used: {_reason(error)}") from None


def _sasl(settings: Settings) -> dict[str, Any]:
    if settings.kafka_sasl_mechanism is None:
        return {}
    if settings.kafka_sasl_mechanism == "OAUTHBEARER":
        return {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": tokens(settings)}
    assert settings.kafka_sasl_password is not None
    return {
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": settings.kafka_sasl_username,
        "sasl_plain_password": settings.kafka_sasl_password.get_secret_value(),
    }


def failure(what: str, error: BaseException) -> KafkaUnavailable | SetupError:
    """What to raise for an error of a client: SetupError where Kafka refused us, for repeating that helps nobody.

    The text says what was refused, and never with which credentials.
    """
    for cause in _causes(error):
        if isinstance(cause, SetupError):
            return SetupError(f"{what}: {cause}")
        if isinstance(cause, FORBIDDEN):
            return SetupError(f"{what}: {forbidden(_resource(cause))}")
        if isinstance(cause, REFUSED):
            refused = f"Kafka refuses a record for good ({type(cause).__name__})"
            return SetupError(f"{what}: {refused}: see max.message.bytes and message.timestamp.… of the topic")
        if isinstance(cause, UNKNOWN_TO_KAFKA):
            return SetupError(f"{what}: Kafka does not let us in ({_told(cause)}): see PROGRESS_KAFKA_SASL_…")
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, HANGING_UP):
            return SetupError(f"{what}: TLS fails ({_reason(cause)}): see PROGRESS_KAFKA_SSL_…")
    return KafkaUnavailable(f"{what}: {error if isinstance(error, ProgressError) else repr(error)}")


def forbidden(what: str) -> str:
    return f"Kafka's ACLs do not allow these credentials {what}: kafka/acls.sh grants what each role needs"


def _resource(error: Exception) -> str:
    if isinstance(error, ClusterAuthorizationFailedError):
        return "Write on any topic"  # an idempotent producer must be allowed one
    kind = "Read on group" if isinstance(error, GroupAuthorizationFailedError) else "access to topic"
    return f"{kind} {_named(error.args[0]) if error.args else '?'}"


def _named(what: object) -> str:
    """aiokafka names a group or topic, several, or, where it asks for offsets, a partition."""
    if isinstance(what, TopicPartition):
        return str(what.topic)
    return ", ".join(sorted(map(str, what))) if isinstance(what, set | list) else str(what)


def _told(error: Exception) -> str:
    if isinstance(error, SaslAuthenticationFailed):
        return str(error.args[0])  # the broker's own words
    return f"{type(error).__name__}: not by this mechanism on this port"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _reason(error: OSError) -> str:
    reason = getattr(error, "verify_message", None) or getattr(error, "reason", None) or error.strerror
    return str(reason or type(error).__name__)
