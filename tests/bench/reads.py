"""Measures one section: the ten operations of ProgressService, against large tables."""

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias
from uuid import UUID

import psutil

from tests.bench.bench import Bench, connected
from tests.bench.drain import stop
from tests.bench.latency import percentile
from tests.bench.learners import Rows, lesson_id
from tests.bench.machine import server_processes
from tests.bench.result import Figure, Result
from tests.bench.shares import Shares
from tests.processes import WorkerProcess
from worker.learners.service import Accepted, ProgressService

Operation: TypeAlias = Callable[[], Awaitable[Any]]


class Caller:
    """Calls every operation, each time for another random user with ten courses; the bulk read for one with fifty."""

    def __init__(self, service: ProgressService, ten: Rows, fifty: Rows) -> None:
        self._service = service
        self._ten, self._fifty = ten, fifty
        self._rng = random.Random(1)

    @property
    def reads(self) -> dict[str, Operation]:
        return {
            "get_course_progress": lambda: self._service.get_course_progress(*self._one()),
            "get_user_progress, 10 courses": lambda: self._service.get_user_progress(self._one()[0]),
            "get_bulk_course_progress, 50 courses": self._bulk,
            "get_progress_stats": lambda: self._service.get_progress_stats(self._one()[0]),
            "is_lesson_completed": lambda: self._service.is_lesson_completed(*self._one(), self._lesson()),
            "get_completion_percentage": lambda: self._service.get_completion_percentage(*self._one()),
        }

    @property
    def writes(self) -> dict[str, Operation]:
        lessons = self._ten.lessons
        return {
            "mark_lesson_complete": lambda: self._service.mark_lesson_complete(*self._one(), self._lesson(), lessons),
            "mark_lesson_incomplete": lambda: self._service.mark_lesson_incomplete(
                *self._one(), self._lesson(), lessons
            ),
            "update_last_accessed": lambda: self._service.update_last_accessed(*self._one()),
            "reset_course_progress": lambda: self._service.reset_course_progress(*self._one()),
        }

    def _one(self) -> tuple[UUID, UUID]:
        return self._ten.key(self._rng.randrange(self._ten.rows))

    def _lesson(self) -> str:
        return lesson_id(self._rng.randrange(self._ten.lessons))

    def _bulk(self) -> Awaitable[Any]:
        first = self._rng.randrange(self._fifty.rows // 50) * 50
        keys = [self._fifty.key(number) for number in range(first, first + 50)]
        return self._service.get_bulk_course_progress(keys[0][0], [course for _, course in keys])


async def reads(bench: Bench) -> Result:
    """One caller makes one call after the other, each for another random user. It measures the time in ProgressService.

    A progress row has 20 lesson rows. The last four operations publish an event and return when it is applied, by a
    worker that has nothing else to do.
    """
    rows = bench.sizes.progress_rows_read
    ten, fifty = Rows(rows * 9 // 10, per_user=10, users="ten"), Rows(rows // 10, per_user=50, users="fifty")
    result = Result(f"Reads, {rows:,} progress rows", ("operation", "p50 ms", "p99 ms"))
    async with bench.filled(ten, fifty) as database, bench.topics(database) as settings:
        with WorkerProcess(settings) as worker:
            async with ProgressService(settings) as service, connected(settings) as connection:
                processes = server_processes(settings.kafka_bootstrap_servers, connection)
                processes["worker"] = psutil.Process(worker.process.pid)
                caller = Caller(service, ten, fifty)
                await wait_for_worker(caller.writes["update_last_accessed"])
                for name, operation in caller.reads.items():
                    await measure(result, name, operation, bench.sizes.reads, processes)
                for name, operation in caller.writes.items():
                    await measure(result, name, operation, bench.sizes.writes, processes)
            await stop(worker)
    return result


async def wait_for_worker(operation: Operation) -> None:
    """Waits until the worker applies events."""
    while isinstance(await operation(), Accepted):
        pass


async def measure(
    result: Result, name: str, operation: Operation, times: int, processes: Mapping[str, psutil.Process | None]
) -> None:
    shares, took = Shares(**processes), []
    for _ in range(times):
        call = operation()  # choosing the user takes time, too: it does not count
        began = time.perf_counter()
        answer = await call
        took.append(1000 * (time.perf_counter() - began))
        assert not isinstance(answer, Accepted), f"{name}: not applied within the deadline"
    p50, p99 = percentile(took, 50), percentile(took, 99)
    result.rows.append((name, f"{p50:.2f}", f"{p99:.2f}"))
    result.figures[name.partition(",")[0]] = Figure(p99, f"p50 {p50:.2f} ms", shares.describe())
