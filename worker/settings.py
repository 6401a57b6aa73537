"""The only reader of the environment. README.md lists every setting; a test compares the two."""

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from events import topics
from worker.errors import SetupError

A_DAY_S = 24 * 60 * 60


class Settings(BaseSettings):
    """What an operator can set, each as `PROGRESS_` and the name in capitals."""

    model_config = SettingsConfigDict(env_prefix="PROGRESS_", frozen=True, extra="ignore")

    environment: Literal["development", "production"] = Field(
        "development", description="`production` leaves topics and tables to their owners"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="`DEBUG`, `INFO`, `WARNING` or `ERROR`"
    )
    log_format: Literal["json", "console", "auto"] = Field(
        "auto", description="`json`, `console`, or `auto`: console on a terminal"
    )

    database_url: SecretStr = Field(
        SecretStr("postgresql://localhost/course_progress"), description="PostgreSQL 18 or newer"
    )
    database_timeout_s: PositiveFloat = Field(60, le=A_DAY_S, description="the longest a statement may take")
    database_lock_timeout_s: PositiveFloat = Field(
        10,
        le=A_DAY_S,
        description="the longest a statement waits for a lock that somebody holds, before the batch is repeated",
    )
    database_idle_timeout_s: PositiveFloat = Field(
        15, le=A_DAY_S, description="the server ends a transaction in which nothing happens for so long"
    )

    kafka_bootstrap_servers: str = Field("localhost:9092", description="host:port, comma-separated")
    consumer_group: str = Field(
        "course-progress", description="Kafka's consumer group, and the key of the stored offsets"
    )
    group_instance_id: str | None = Field(
        None,
        description="static membership: a restarted worker takes its partitions back without a rebalance",
    )
    session_timeout_s: PositiveFloat = Field(10, description="a silent worker's partitions move after this")
    rebalance_timeout_s: PositiveFloat = Field(60, description="how long a rebalance waits for a busy worker")

    lesson_events_topic: str = Field(topics.LESSON_EVENTS, description="what course players write")
    course_events_topic: str = Field(topics.COURSE_EVENTS, description="what certificate services read")
    dead_letter_topic: str = Field(topics.DEAD_LETTERS, description="what could never be applied")
    topic_partitions: PositiveInt = Field(
        12, description="partitions of a topic that is created: the most workers that can share it"
    )
    topic_replication_factor: PositiveInt = Field(1, description="replicas of a topic that is created")

    batch_size: PositiveInt = Field(2000, description="the most events in one transaction")

    http_host: str = Field("127.0.0.1", description="where /live, /ready and /metrics listen")
    http_port: int = Field(8080, ge=0, le=65535, description="their port; 0 takes any free one")

    apply_deadline_s: PositiveFloat = Field(
        5,
        description="how long ProgressService waits for its event to be applied before it answers `Accepted`",
    )


@cache
def settings() -> Settings:
    """The settings of this process, read once. Raises SetupError, which names the variable but not its value."""
    try:
        return Settings()
    except ValidationError as error:
        problems = (f"PROGRESS_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors(include_input=False))
        raise SetupError("; ".join(problems)) from None


def migrations_dir() -> Path:
    """`sql/`: beside the package in a checkout, inside it in a wheel."""
    installed = Path(__file__).parent / "migrations"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "sql"
