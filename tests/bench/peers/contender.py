"""Describes ours and the peers for the benchmark: how each starts, what it needs, how to read its progress."""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from tests.bench.peers import connect_jdbc
from tests.bench.peers.read_modify_write import CREATE
from tests.processes import WorkerProcess
from worker.devstack.kafka_jars import locate_jars
from worker.settings import Settings

OURS = "ours"
BESIDE = Path(__file__).parents[3] / ".venv-bench/bin/python"
EMPTY = f"""
{CREATE};
truncate course_progress_all, lesson_progress, consumed_offset, known_topic, outbox, bench_progress
"""


@dataclass(frozen=True)
class Contender:
    name: str
    applied: Callable[[Settings, asyncpg.Connection], Awaitable[int]]  # events, of a topic read from its start
    package: str | None = None  # bench-only
    whole_job: bool = True
    look_every_s: float = 0.02

    @property
    def lacks(self) -> str | None:
        """Returns why it cannot run here; None when it can."""
        if self.package and not find_spec(self.package) and not BESIDE.exists():
            return f"{self.package} is not installed: make bench-setup"
        if not self.whole_job and not locate_jars(connect_jdbc.POM).is_dir():
            return "Kafka Connect is not downloaded: python -m tests.bench.peers.connect_jdbc --download"
        return None

    def start(self, settings: Settings, *arguments: str) -> WorkerProcess:
        module = ("worker.cli", "worker") if self.name == OURS else (f"tests.bench.peers.{self.name}",)
        python = str(BESIDE) if self.package and not find_spec(self.package) else sys.executable
        return WorkerProcess(settings, *arguments, module=module, python=python)


async def stored(settings: Settings, connection: asyncpg.Connection) -> int:
    return await connection.fetchval(
        "select coalesce(sum(next_offset), 0)::bigint from consumed_offset where consumer_group = $1 and topic = $2",
        settings.consumer_group,
        settings.lesson_events_topic,
    )


def noted(name: str) -> Callable[[Settings, asyncpg.Connection], Awaitable[int]]:
    async def applied(settings: Settings, connection: asyncpg.Connection) -> int:
        noted = "select coalesce(sum(next_offset), 0)::bigint from bench_progress where peer = $1"
        return await connection.fetchval(noted, name)

    return applied


async def committed(settings: Settings, connection: asyncpg.Connection) -> int:
    return await connect_jdbc.applied(settings)


CONTENDERS = (
    Contender(OURS, stored),
    Contender("faust_events", noted("faust_events")),
    Contender("faust_take", stored),
    Contender("aiokafka_events", noted("aiokafka_events")),
    Contender("faststream_batch", stored, package="faststream"),
    Contender("quix_sink", stored, package="quixstreams"),
    Contender("connect_jdbc", committed, whole_job=False, look_every_s=0.25),
)
