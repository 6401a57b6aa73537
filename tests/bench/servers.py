"""Starts a broker and a database for the benchmark: PostgreSQL's memory is sized to the machine, and fsync is on."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from worker.devstack import Servers, list_brokers, list_databases, start_first
from worker.devstack.process import Say

MEMORY_MB = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
SIZED = {
    "shared_buffers": f"{MEMORY_MB // 4}MB",
    "effective_cache_size": f"{MEMORY_MB // 2}MB",
    "maintenance_work_mem": f"{MEMORY_MB // 16}MB",
    # Checkpoints come when the harness wants one, not in the middle of a contender's turn.
    "checkpoint_timeout": "1h",
    "max_wal_size": "32GB",
}


@contextmanager
def servers(say: Say) -> Iterator[Servers]:
    """Yields the servers that the environment names, unchanged, or new ones, as `worker.devstack.servers` does."""
    sized = {name: start if name == "env" else partial(start, more=SIZED) for name, start in list_databases().items()}
    with ExitStack() as running:
        database_url, database = start_first("PostgreSQL", sized, running, say)
        kafka, broker = start_first("Kafka", list_brokers(allow_mock=False), running, say)
        yield Servers(database_url, kafka, broker, database)
