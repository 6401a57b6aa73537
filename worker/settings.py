"""The only reader of the environment. README.md lists every setting; a test compares the two."""

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from events import topics
from worker.errors import SetupError


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
    database_timeout_s: PositiveFloat = Field(60, description="the longest a statement may take")

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
    breaker_window: PositiveInt = Field(1000, description="how many of the last records the breaker looks at")
    breaker_share: int = Field(
        50, ge=0, le=100, description="percent of them rejected that open it: nothing is taken any more; 0 is never"
    )
    breaker_consecutive: int = Field(
        200, ge=0, description="records rejected in a row that open it; 0 is never. A restart closes it"
    )

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
