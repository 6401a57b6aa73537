"""Takes servers away from one test without harm to the others: a broker of its own, a proxy before the database."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from tests.faults.proxy import Proxy
from worker.devstack import kafka_jars
from worker.devstack.process import Unavailable, find_free_ports
from worker.settings import Settings


class OwnBroker:
    """Stops and continues the broker of one test. Stopped (SIGSTOP), it accepts connections and answers nothing."""

    def __init__(self, address: str) -> None:
        self.address = address
        port = address.rpartition(":")[2]
        [self._pid] = (pid for pid, properties in _brokers().items() if f":{port}" in properties)

    def stop(self) -> None:
        """Returns when every thread of the broker has stopped, because one may still answer after the signal."""
        os.kill(self._pid, signal.SIGSTOP)
        deadline = time.monotonic() + 10
        while not all(state == "T" for state in _thread_states(self._pid)):
            assert time.monotonic() < deadline

    def go_on(self) -> None:
        os.kill(self._pid, signal.SIGCONT)


def _thread_states(pid: int) -> list[str]:
    return [stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")]


def _brokers() -> dict[int, str]:
    """Finds the process id of each broker on this machine, with the text of its settings."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # gone meanwhile
            *_, program, properties, _ = [b"", b"", *path.read_bytes().split(b"\0")]
            if program == b"kafka.Kafka":
                found[int(path.parent.name)] = Path(properties.decode()).read_text()
    return found


@contextmanager
def own_broker() -> Iterator[OwnBroker]:
    """Yields a broker of its own. Skips the test where only Docker provides a broker, unless servers are required."""
    try:
        with kafka_jars.run_broker(say=print) as address:
            broker = OwnBroker(address)
            try:
                yield broker
            finally:
                broker.go_on()
    except Unavailable as reason:
        if os.environ.get("REQUIRE_SERVERS"):
            raise
        pytest.skip(str(reason))


@asynccontextmanager
async def swallowing(settings: Settings) -> AsyncIterator[tuple[Proxy, Settings]]:
    """Yields a proxy before the database, and settings that connect through it."""
    url = settings.database_url.get_secret_value()
    port = urlsplit(url).port or 5432
    async with Proxy(*find_free_ports(1), port) as proxy:
        behind = SecretStr(url.replace(f":{port}/", f":{proxy.port}/"))
        yield proxy, settings.model_copy(update={"database_url": behind})


class MortalKafka:
    """Runs a mock broker in this process's memory. Only tests of an outage use it, because it cannot test delivery."""

    def __init__(self) -> None:
        self._brokers = [AdminClient({"bootstrap.servers": "", "test.mock.num.brokers": 1})]
        broker = next(iter(self._brokers[0].list_topics(timeout=10).brokers.values()))
        self.bootstrap_servers = f"{broker.host}:{broker.port}"

    async def die(self) -> None:
        await asyncio.to_thread(self._brokers.clear)
