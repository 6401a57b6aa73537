import asyncio
import gc
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.devstack.traces import alive, eventually, said, starter, traces_of
from worker.devstack import NoServer, docker, kafka_jars, kafka_mock, postgres_wheel, servers
from worker.devstack.process import Missing, PortTaken, Say, StartFailed

OPTIONS = {
    "docker": (docker, "run_broker"),
    "jars": (kafka_jars, "run_broker"),
    "mock": (kafka_mock, "run_broker"),
    "docker database": (docker, "run_database"),
    "wheel": (postgres_wheel, "run_database"),
}


@pytest.fixture(autouse=True)
def no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROGRESS_DATABASE_URL", raising=False)
    monkeypatch.delenv("PROGRESS_KAFKA_BOOTSTRAP_SERVERS", raising=False)


class Machine:
    """A computer with some of the options; each gives its own name for an address."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.has: set[str] = set()
        self.running: set[str] = set()
        self.failures: dict[str, list[Exception]] = {}
        for name, (module, function) in OPTIONS.items():
            monkeypatch.setattr(module, function, self.option(name))

    def option(self, name: str) -> Any:
        @contextmanager
        def start(say: Say) -> Iterator[str]:
            if self.failures.get(name):
                raise self.failures[name].pop(0)
            if name not in self.has:
                raise Missing(name, f"install {name}")
            self.running.add(name)
            try:
                yield name
            finally:
                self.running.remove(name)

        return start


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.mark.parametrize(
    ("has", "chosen"),
    [
        ({"docker", "docker database", "jars", "mock", "wheel"}, ("docker", "docker")),
        ({"jars", "mock", "wheel"}, ("jars", "wheel")),
        ({"mock", "wheel"}, ("mock", "wheel")),
        ({"docker", "wheel"}, ("docker", "wheel")),
        ({"jars", "docker database"}, ("jars", "docker")),
    ],
)
def test_each_comes_from_the_first_that_is_there(machine: Machine, has: set[str], chosen: tuple[str, str]) -> None:
    machine.has = has

    with servers(allow_mock=True) as found:
        assert (found.broker, found.database) == chosen
        assert machine.running == {found.kafka_bootstrap_servers, found.database_url}

    assert machine.running == set()


def test_servers_in_the_environment_come_first(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.has = set(OPTIONS)
    given = {
        "PROGRESS_DATABASE_URL": "postgresql://theirs/progress",
        "PROGRESS_KAFKA_BOOTSTRAP_SERVERS": "theirs:9092",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    with servers() as found:
        assert (found.broker, found.database) == ("env", "env")
        assert found.environment == given
        assert machine.running == set()


def test_one_address_in_the_environment_is_taken_alone(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.has = {"jars", "wheel"}
    monkeypatch.setenv("PROGRESS_KAFKA_BOOTSTRAP_SERVERS", "theirs:9092")

    with servers() as found:
        assert (found.broker, found.database) == ("env", "wheel")


def test_a_mock_is_not_taken_unasked(machine: Machine) -> None:
    machine.has = {"mock", "wheel"}

    with pytest.raises(NoServer), servers():
        pass


def test_where_there_is_nothing_every_option_says_what_to_install(machine: Machine) -> None:
    machine.has = {"wheel"}

    with pytest.raises(NoServer) as error, servers(allow_mock=True):
        pass

    _, *options = str(error.value).splitlines()
    assert [line.split() for line in options] == [
        [f"{name}:", "no", f"{name}:", "install", name] for name in ("docker", "jars", "mock")
    ]
    assert machine.running == set()


def test_a_broker_does_not_stay_when_there_is_no_database(machine: Machine) -> None:
    machine.has = {"jars"}

    with pytest.raises(NoServer), servers():
        pass

    assert machine.running == set()


def test_a_server_that_does_not_start_is_told_and_the_next_is_taken(machine: Machine) -> None:
    machine.has = {"docker", "jars", "wheel"}
    machine.failures["docker"] = [StartFailed("disk full")]
    said: list[str] = []

    with servers(say=said.append) as found:
        assert found.broker == "jars"

    assert len(said) == 1
    assert "disk full" in said[0]


def test_a_lost_race_for_a_port_is_run_again(machine: Machine) -> None:
    machine.has = {"jars", "wheel"}
    machine.failures["jars"] = [PortTaken("bind"), PortTaken("bind")]

    with servers() as found:
        assert found.broker == "jars"


def test_a_mistake_is_not_taken_for_a_missing_option(machine: Machine) -> None:
    machine.has = {"mock", "wheel"}
    machine.failures["jars"] = [ZeroDivisionError()]

    with pytest.raises(ZeroDivisionError), servers(allow_mock=True):
        pass

    assert machine.running == set()


def test_without_a_docker_engine_the_next_option_has_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")

    for start in (docker.run_broker, docker.run_database):
        with pytest.raises(Missing, match="no docker"), start(print):
            pass
    gc.collect()  # a socket left open would be a warning, and so fail the test


# From here on, real servers.


def lacking() -> str:
    """What this machine needs for a broker from jars, if anything."""
    try:
        kafka_jars.find_java()
    except Missing as missing:
        return str(missing)
    return "" if shutil.which("mvn") else "no mvn"


@pytest.fixture
def without_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test is of jars and wheel, also where there is Docker."""
    if lacking() and os.environ.get("REQUIRE_SERVERS") != "1":
        pytest.skip(lacking())
    for function in ("run_broker", "run_database"):
        monkeypatch.setattr(docker, function, missing_docker)


def missing_docker(say: Say) -> AbstractContextManager[str]:
    raise Missing("docker", "not for this test")


async def round_trip(bootstrap_servers: str, topic: str) -> bytes | None:
    """Produces one record, and consumes it as a group's member."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers, enable_idempotence=True) as producer:
        await producer.send_and_wait(topic, b"hello")
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap_servers, group_id="test", auto_offset_reset="earliest"
    ) as consumer:
        record = await asyncio.wait_for(consumer.getone(), 30)
        return record.value


async def create_topic(bootstrap_servers: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=3, replication_factor=1)])
    finally:
        await admin.close()


async def server_version(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("select current_database()") == "course_progress"
        return connection.get_server_version().major
    finally:
        await connection.close()


@pytest.mark.processes
@pytest.mark.usefixtures("without_docker")
async def test_real_servers_work_and_leave_nothing_behind() -> None:
    with servers() as found:
        assert (found.broker, found.database) == ("jars", "wheel")
        assert await server_version(found.database_url) >= 18
        await create_topic(found.kafka_bootstrap_servers, "greetings")
        assert await round_trip(found.kafka_bootstrap_servers, "greetings") == b"hello"
        traces = traces_of(os.getpid())
        assert len(traces.directories) == 2

    assert traces.gone()


SCRIPT = """
import signal
from worker.devstack import docker, servers
from worker.devstack.process import Missing

def missing(say):
    raise Missing("docker", "not for this test")

docker.run_broker = docker.run_database = missing
with servers():
    print("up", flush=True)
    signal.pause()
"""


@pytest.mark.processes
@pytest.mark.usefixtures("without_docker")
def test_two_stacks_stand_side_by_side_and_go_with_whoever_started_them() -> None:
    with starter(SCRIPT) as one, starter(SCRIPT) as other:
        assert (said(one), said(other)) == ("up", "up")
        traces, other_traces = traces_of(one.pid), traces_of(other.pid)
        assert len(traces.directories | other_traces.directories) == 4

        one.send_signal(signal.SIGTERM)
        assert eventually(traces.gone)
        assert all(map(alive, other_traces.processes))

        other.send_signal(signal.SIGKILL)
        assert eventually(other_traces.gone)


async def test_the_mock_broker_serves_one_producer_and_one_consumer() -> None:
    with kafka_mock.run_broker(say=print) as address:
        assert await round_trip(address, "greetings") == b"hello"
