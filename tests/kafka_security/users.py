"""Whom the broker knows, and the settings by which it knows them."""

from pathlib import Path
from typing import Any

from tests.secured import CLIENT_SECRET, KEY_PASSWORD, PASSWORD, Endpoint, Secured
from worker.settings import Settings

TOPICS = "lessons", "catalog", "courses", "people", "lessons.dead", "payments"
LESSONS, CATALOG, COURSES, PEOPLE, DEAD, OTHER = TOPICS
GROUP, EFFECTS_GROUP = "progress", "progress-effects"
OUTPUTS = ("--course-events", COURSES, "--dead-letters", DEAD)
NAMES = ("--lesson-events", LESSONS, "--course-catalog", CATALOG, "--learners", PEOPLE, *OUTPUTS)
OF_WORKER = (*NAMES, "--group", GROUP)
ROLES = {
    "player": NAMES,
    "author": NAMES,
    "worker": OF_WORKER,
    "effects": (*NAMES, "--group", EFFECTS_GROUP),
    "registrar": NAMES,
    "certificates": (*NAMES, "--group", "certificates-"),
    "operator": OF_WORKER,
    "api": OF_WORKER,
}
USERS = dict.fromkeys([*ROLES, "leaver", "goer", "looker", "nobody"], PASSWORD)
SCRAM = "SCRAM-SHA-256"


def names(**more: Any) -> Settings:
    own = {
        "lesson_events_topic": LESSONS,
        "course_catalog_topic": CATALOG,
        "course_events_topic": COURSES,
        "learners_topic": PEOPLE,
        "dead_letter_topic": DEAD,
        "consumer_group": GROUP,
        "topic_partitions": 2,
        "session_timeout_s": 6,
        "http_port": 0,
        "environment": "production",
    }
    return Settings(**(own | more))


def user(broker: Secured, name: str, mechanism: str = SCRAM, password: str = PASSWORD, **more: Any) -> Settings:
    own = {
        "kafka_bootstrap_servers": broker.sasl,
        "kafka_security_protocol": "SASL_SSL",
        "kafka_ssl_ca_file": broker.authority,
        "kafka_sasl_mechanism": mechanism,
        "kafka_sasl_username": name,
        "kafka_sasl_password": password,
    }
    return names(**(own | more))


def with_token(broker: Secured, endpoint: Endpoint, secret: str = CLIENT_SECRET, **more: Any) -> Settings:
    own = {
        "kafka_sasl_username": None,
        "kafka_sasl_password": None,
        "kafka_oauth_token_url": endpoint.url,
        "kafka_oauth_client_id": "worker",
        "kafka_oauth_client_secret": secret,
    }
    return user(broker, "worker", "OAUTHBEARER", **(own | more))


def with_certificate(broker: Secured, certificate: Path, key: Path, **more: Any) -> Settings:
    return names(
        kafka_bootstrap_servers=broker.mutual,
        kafka_security_protocol="SSL",
        kafka_ssl_ca_file=broker.authority,
        kafka_ssl_certificate_file=certificate,
        kafka_ssl_key_file=key,
        **more,
    )


def known_worker(how: str, broker: Secured, endpoint: Endpoint, **more: Any) -> Settings:
    """Settings by which the broker knows User:worker."""
    if how == "certificate":
        pem = broker.client
        return with_certificate(broker, pem.certificate, pem.encrypted_key, kafka_ssl_key_password=KEY_PASSWORD, **more)
    if how == "OAUTHBEARER":
        return with_token(broker, endpoint, **more)
    return user(broker, "worker", how, **more)
