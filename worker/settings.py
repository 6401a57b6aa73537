"""Reads the environment, as the only module that does. `docs/settings.md` is generated from these fields."""

import os
import socket
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import (
    Field,
    FilePath,
    HttpUrl,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from events import topics
from worker.errors import SetupError

A_DAY_S = 24 * 60 * 60


class Settings(BaseSettings):
    """Holds the settings of every process: the variable is `PROGRESS_` and the name in capitals."""

    model_config = SettingsConfigDict(env_prefix="PROGRESS_", frozen=True, extra="ignore")

    environment: Literal["development", "production"] = Field(
        "development", description="`production`: topics and tables must exist. `development`: a worker creates them"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="The least severe level that is logged: `DEBUG`, `INFO`, `WARNING` or `ERROR`"
    )
    log_format: Literal["json", "console", "auto"] = Field(
        "auto", description="`json`, `console`, or `auto`: `console` on a terminal, `json` elsewhere"
    )

    database_url: SecretStr = Field(
        SecretStr("postgresql://localhost/course_progress"),
        description="The address of the database, on PostgreSQL 18 or newer; see [security](security-postgresql.md)",
    )
    database_timeout_s: PositiveFloat = Field(
        60, le=A_DAY_S, description="The longest that a statement may take, in seconds"
    )
    database_lock_timeout_s: PositiveFloat = Field(
        10,
        le=A_DAY_S,
        description="The longest that a statement waits for a lock, in seconds; then the batch is repeated",
    )
    database_idle_timeout_s: PositiveFloat = Field(
        15,
        le=A_DAY_S,
        description="The server ends a session whose open transaction has been idle for this many seconds",
    )

    kafka_bootstrap_servers: str = Field(
        "localhost:9092", description="Brokers to connect to first: host:port, comma-separated"
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT",
        description="`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`; see [security](security-kafka.md)",
    )
    kafka_ssl_ca_file: FilePath | None = Field(
        None, description="A PEM file of the authorities that may sign Kafka's certificate, instead of the system's"
    )
    kafka_ssl_certificate_file: FilePath | None = Field(
        None, description="A PEM file with the client certificate, for mutual TLS"
    )
    kafka_ssl_key_file: FilePath | None = Field(
        None, description="A PEM file with the certificate's key, if the certificate's file does not hold it"
    )
    kafka_ssl_key_password: SecretStr | None = Field(
        None, description="The password of the key, if the key is encrypted"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        None, description="`PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`"
    )
    kafka_sasl_username: str | None = Field(None, description="The user name, for every mechanism except `OAUTHBEARER`")
    kafka_sasl_password: SecretStr | None = Field(
        None, description="The password, for every mechanism except `OAUTHBEARER`"
    )
    kafka_oauth_token_url: HttpUrl | None = Field(
        None, description="Where client credentials are exchanged for a token; must be https, except on loopback"
    )
    kafka_oauth_client_id: str | None = Field(None, description="The client's id at the token URL")
    kafka_oauth_client_secret: SecretStr | None = Field(None, description="The client's secret at the token URL")
    kafka_oauth_scope: str | None = Field(None, description="The scope to ask the token URL for, if it wants one")
    kafka_oauth_token_file: Path | None = Field(
        None,
        description="A file in which another program keeps a valid token, instead of the URL; read at every connection",
    )
    recount_share: float = Field(
        0.2,
        gt=0,
        le=1,
        description="The share of its time that a worker spends on recounting progress after a version of a course was "
        "published",
    )
    milestones: bool = Field(
        False, description="Whether workers announce that a learner has done 25, 50 and 75 % of a course"
    )
    consumer_group: str = Field(
        "course-progress", description="Kafka's consumer group; the stored offsets are kept under the same name"
    )
    group_instance_id: str | None = Field(
        None,
        description="A static id in the group: a restarted worker takes its partitions back without a rebalance",
    )
    leave_on_stop: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether a worker with a static id gives its place up when it stops: `always`; `never`; `auto`: if "
        "Kubernetes says that its pod does not come back ([scaling](scaling.md#leaving-for-good))",
    )
    session_timeout_s: PositiveFloat = Field(
        6, description="Kafka gives a worker's partitions to others after it has been silent for this many seconds"
    )
    group_heartbeat_s: PositiveFloat = Field(
        0.5,
        description="Seconds between two signs of life to Kafka; by the answer a worker notices that others come or go",
    )
    rebalance_timeout_s: PositiveFloat = Field(60, description="How many seconds a rebalance waits for a busy worker")

    lesson_events_topic: str = Field(topics.LESSON_EVENTS, description="The topic that course players write to")
    course_catalog_topic: str = Field(
        topics.COURSE_CATALOG, description="The topic that the owner of the courses publishes their versions to"
    )
    course_events_topic: str = Field(topics.COURSE_EVENTS, description="The topic that certificate services read from")
    learners_topic: str = Field(topics.LEARNERS, description="The topic that says how to address learners")
    dead_letter_topic: str = Field(topics.DEAD_LETTERS, description="The topic of records that can never be applied")
    topic_partitions: PositiveInt = Field(
        12, description="Partitions of a topic that is created, which limits how many workers can share it"
    )
    topic_replication_factor: PositiveInt = Field(1, description="Replicas of a topic that is created")

    batch_size: PositiveInt = Field(2000, description="The most records in one batch, which is one transaction")
    breaker_window: PositiveInt = Field(1000, description="How many of the last records the breaker looks at")
    breaker_share: int = Field(
        50,
        ge=0,
        le=100,
        description="The breaker opens, until a restart, when this percentage of them was rejected; 0: never",
    )
    breaker_consecutive: int = Field(
        200, ge=0, description="It also opens when this many records in a row were rejected; 0: never"
    )

    http_host: str = Field("127.0.0.1", description="The address on which a worker serves /live, /ready and /metrics")
    http_port: int = Field(8080, ge=0, le=65535, description="The port of that address; 0 takes any free port")

    apply_deadline_s: PositiveFloat = Field(
        5,
        le=30,
        description="Seconds that ProgressService waits for its event to be applied, 30 at most; then `Accepted`",
    )

    @property
    def catalog_group(self) -> str:
        """Returns the consumer group of the workers' second stream, course-catalog."""
        return f"{self.consumer_group}-catalog"

    @property
    def worker_name(self) -> str:
        """Names this worker in `worker_status`, and in Kafka's group as the client id."""
        return self.group_instance_id or f"{socket.gethostname()}-{os.getpid()}"

    @field_validator("kafka_oauth_token_url")
    @classmethod
    def _require_https_for_token_url(cls, url: HttpUrl | None) -> HttpUrl | None:
        if url is not None and url.scheme != "https" and url.host not in LOOPBACK:
            raise ValueError("must begin with https")
        return url

    @model_validator(mode="after")
    def _require_several_heartbeats_in_a_session(self) -> Self:
        if self.group_heartbeat_s * 3 > self.session_timeout_s:
            raise SetupError("PROGRESS_GROUP_HEARTBEAT_S must be at most a third of PROGRESS_SESSION_TIMEOUT_S")
        return self

    @model_validator(mode="after")
    def _require_matching_kafka_security(self) -> Self:
        must, may = _select_security(self)
        given = {name for name in SECURITY if getattr(self, name)}
        why = f"with these {_join_variables(CHOICE)} (docs/security-kafka.md)"
        if must - given:
            raise SetupError(f"{_join_variables(must - given)} must be set {why}")
        if given - must - may:
            raise SetupError(f"{_join_variables(given - must - may)} must not be set {why}")
        return self


LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
CHOICE = ("kafka_security_protocol", "kafka_sasl_mechanism")
SECURITY = [name for name in Settings.model_fields if name.startswith(("kafka_ssl_", "kafka_sasl_", "kafka_oauth_"))]


def _select_security(chosen: Settings) -> tuple[set[str], set[str]]:
    """Returns which of SECURITY must be set with the chosen protocol and mechanism, and which others may be set."""
    must: set[str] = set()
    may: set[str] = set()
    if chosen.kafka_security_protocol.endswith("SSL"):
        may |= {name for name in SECURITY if name.startswith("kafka_ssl_")}
        if chosen.kafka_ssl_key_file or chosen.kafka_ssl_key_password:
            must |= {"kafka_ssl_certificate_file"}
    if chosen.kafka_security_protocol.startswith("SASL"):
        must |= {"kafka_sasl_mechanism", *_select_credentials(chosen)}
        if "kafka_oauth_token_url" in must:
            may |= {"kafka_oauth_scope"}
    return must, may


def _select_credentials(chosen: Settings) -> set[str]:
    if chosen.kafka_sasl_mechanism is None:
        return set()
    if chosen.kafka_sasl_mechanism != "OAUTHBEARER":
        return {"kafka_sasl_username", "kafka_sasl_password"}
    if chosen.kafka_oauth_token_file:
        return {"kafka_oauth_token_file"}
    return {"kafka_oauth_token_url", "kafka_oauth_client_id", "kafka_oauth_client_secret"}


def _join_variables(names: Iterable[str]) -> str:
    return ", ".join(f"PROGRESS_{name.upper()}" for name in sorted(names))


S = TypeVar("S", bound=Settings)


@cache
def settings() -> Settings:
    """Returns the settings of this process, read once. Raises what `read_settings` does."""
    return read_settings(Settings)


def read_settings(model: type[S]) -> S:
    """Reads settings from the environment. Raises SetupError, which names the variable but not its value."""
    try:
        return model()
    except ValidationError as error:
        problems = (f"PROGRESS_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors(include_input=False))
        raise SetupError("; ".join(problems)) from None


def migrations_dir() -> Path:
    """Finds `sql/`: beside the package in a checkout, inside it in a wheel."""
    installed = Path(__file__).parent / "migrations"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "sql"
