"""Runs a broker and a database of the suite's own, which it may kill, freeze and start again with their data."""

import base64
import os
import shlex
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from tests.faults.cluster import BROKERS, Cluster
from tests.faults.server import Server as Server
from tests.faults.server import make_directory
from worker.devstack import kafka_jars, postgres_wheel
from worker.devstack.process import Say, find_free_ports, scratch_directory


class Broker(Server):
    """Runs real Kafka. Workers go to the port `advertised`, where a proxy listens; the suite connects directly."""

    def __init__(self, home: Path, advertised: int, say: Say) -> None:
        direct, self.port, controller = find_free_ports(3)
        self.address = f"127.0.0.1:{direct}"
        java, jars = kafka_jars.find_java(), kafka_jars.find_jars(say)
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # Kafka misses a killed worker after 3 s, so that a round is short.
        extras = kafka_jars.Extras(
            {f"WORKER://127.0.0.1:{self.port}": "PLAINTEXT"},
            {"log.dirs": f"{home}/data", "group.min.session.timeout.ms": "1000"},
        )
        alone = kafka_jars.build_node_settings(
            listen=self.address, advertised=self.address, controller=f"127.0.0.1:{controller}"
        )
        properties = kafka_jars.add_extras(alone, extras)
        advertised_to = f"BROKER://{self.address},WORKER://127.0.0.1:{advertised}"
        kafka_jars.write_properties(home / "server.properties", properties | {"advertised.listeners": advertised_to})
        storage = kafka_jars.build_format_command(java, jars, cluster_id, home)
        run = kafka_jars.build_server_command(java, jars, home)
        super().__init__(home, f"{storage} && {run}", run, lambda: kafka_jars.is_answering(self.address, cluster_id))


class Database(Server):
    """Runs real PostgreSQL, fsync on."""

    def __init__(self, home: Path, programs: Path, user: str, first: str | None = None) -> None:
        [self.port] = find_free_ports(1)
        self.programs = programs
        run = postgres_wheel.build_command(programs, home / "data", self.port)
        again = run.partition(" && ")[2]
        super().__init__(home, f"{first} && {again}" if first else run, again, self._answers, user)

    def url(self, database: str = "postgres", port: int | None = None, user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}"

    def standby(self) -> "Database":
        """Returns a copy that follows this one, not started."""
        home = self.home / f"standby-{uuid.uuid4().hex[:8]}"
        make_directory(home, self.user)
        backup = [f"{self.programs}/pg_basebackup", "-d", self.url(), "-D", f"{home}/data", "-R", "-c", "fast"]
        return Database(home, self.programs, self.user, first=shlex.join(backup))

    def _answers(self) -> bool:
        ask = [f"{self.programs}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ask, check=False).returncode == 0


class Servers:
    """Runs broker and database. A context manager."""

    kafka: str  # where the suite itself connects: to the broker, or to the cluster while one runs

    def __init__(self, say: Say) -> None:
        self._say = say
        self._opened = ExitStack()
        self.cluster: Cluster | None = None

    def __enter__(self) -> Self:
        self.kafka_proxy_port, self.database_proxy_port = find_free_ports(2)
        with ExitStack() as opening:
            self.broker = Broker(
                opening.enter_context(scratch_directory("faults-kafka")), self.kafka_proxy_port, self._say
            )
            opening.callback(self.broker.close)
            self.broker.start()
            self.kafka = self.broker.address
            self.database = new_database(opening.enter_context(scratch_directory("faults-postgres")))
            opening.callback(lambda: self.database.close())  # a fault may have replaced it
            self.database.start()
            self._opened = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @contextmanager
    def brokers(self, number: int) -> Iterator[dict[str, object]]:
        """Has Kafka run on this many brokers for the block, and yields what that changes in the workers' settings."""
        if number == 1:
            yield {}
            return
        assert number == BROKERS
        with scratch_directory("faults-cluster") as home:
            self.cluster = Cluster(home, self._say)
            try:
                self.cluster.start()
                self.kafka = self.cluster.address
                yield {"kafka_bootstrap_servers": self.kafka, "topic_replication_factor": BROKERS}
            finally:
                self.cluster.close()
                self.cluster, self.kafka = None, self.broker.address


def new_database(home: Path) -> Database:
    """Creates a server that is not started yet, under a user that PostgreSQL accepts."""
    wheel = postgres_wheel.find_wheel()
    user = "nobody" if os.geteuid() == 0 else ""
    if user:
        wheel = postgres_wheel.give_copy(wheel, home, user)
    return Database(home, wheel / postgres_wheel.PACKAGE / "pginstall/bin", user)
