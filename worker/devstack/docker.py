"""Runs Kafka and PostgreSQL from their official images; if this process is killed, testcontainers removes them."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from docker.errors import DockerException
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient, get_docker_host
from testcontainers.core.wait_strategies import ExecWaitStrategy, LogMessageWaitStrategy

from worker.devstack.kafka_jars import build_node_settings
from worker.devstack.postgres_wheel import DATABASE, NONE, SETTINGS, to_options
from worker.devstack.process import Missing, Say, StartFailed, find_free_ports

KAFKA_IMAGE = "apache/kafka:4.1.1"
POSTGRES_IMAGE = "postgres:18"
NO_ENGINE = "no engine answers; install or start one"


@contextmanager
def run_broker(say: Say) -> Iterator[str]:
    """Yields host:port of a broker that answers. Raises `Unavailable`."""
    require_engine()
    (port,) = find_free_ports(1)  # clients are sent to the advertised port, so it is chosen before the start
    settings = build_node_settings(listen=":9092", advertised=f"localhost:{port}", controller="localhost:9093")
    container = DockerContainer(KAFKA_IMAGE).with_bind_ports(9092, port)
    container.with_envs(**{f"KAFKA_{name.replace('.', '_').upper()}": settings[name] for name in settings})
    container.waiting_for(LogMessageWaitStrategy("Kafka Server started"))
    with run_container(container, say):
        yield f"localhost:{port}"


@contextmanager
def run_database(say: Say, more: Mapping[str, str] = NONE) -> Iterator[str]:
    """Yields the URL of the empty database `course_progress`; `more` has further settings. Raises `Unavailable`."""
    require_engine()
    password = secrets.token_hex(8)  # Docker publishes the port on every interface
    container = DockerContainer(POSTGRES_IMAGE).with_exposed_ports(5432)
    container.with_envs(POSTGRES_DB=DATABASE, POSTGRES_PASSWORD=password)
    container.with_command(["postgres", *to_options(SETTINGS | dict(more))])
    # Not by the log, because it says "ready" first for a server without TCP that only creates the database.
    container.waiting_for(ExecWaitStrategy(["pg_isready", "-h", "127.0.0.1"]))
    with run_container(container, say):
        address = f"{container.get_container_host_ip()}:{container.get_exposed_port(5432)}"
        yield f"postgresql://postgres:{password}@{address}/{DATABASE}"


def require_engine() -> None:
    """Raises Missing if no Docker engine answers."""
    # The socket's file is looked for first, because docker-py leaves its own socket open if nothing answers.
    host = get_docker_host() or "unix:///var/run/docker.sock"
    if host.startswith("unix://") and not Path(host.removeprefix("unix://")).exists():
        raise Missing("docker", NO_ENGINE)
    try:
        engine = DockerClient(timeout=3).client
        engine.ping()
        engine.close()
    except (DockerException, OSError):
        raise Missing("docker", NO_ENGINE) from None


@contextmanager
def run_container(container: DockerContainer, say: Say) -> Iterator[None]:
    """Runs the container for the time of the block. Raises StartFailed."""
    say(f"Starting {container.image} in Docker, which may have to pull it first")
    try:
        start_container(container)
        yield
    finally:
        container.stop()


def start_container(container: DockerContainer) -> None:
    try:
        container.start()
    except (DockerException, OSError, RuntimeError) as error:  # RuntimeError: it ended before it was ready
        raise StartFailed(str(error)) from error
