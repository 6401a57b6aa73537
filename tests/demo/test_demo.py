"""The demo as somebody starts it, on real servers: topics, consumer group and database of its own."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import asyncpg
import psutil
import pytest

from events.envelope import data_of, read
from events.learners import LEARNER_EVENTS
from tests.processes import environment, eventually
from tests.topics import records_of
from worker.demo.effects import KEYS
from worker.demo.player import make_name
from worker.settings import Settings


class Demo:
    """`course-progress demo` in a process."""

    def __init__(self, settings: Settings, *arguments: str, **variables: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "worker.cli", "demo", *arguments],
            env=environment(settings) | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self) -> tuple[int, str, str]:
        output, errors = self.process.communicate(timeout=60)
        return self.process.returncode, output, errors


@pytest.fixture
def start(settings: Settings) -> Iterator[Any]:
    started = []

    def start(*arguments: str, **variables: str) -> Demo:
        started.append(Demo(settings, *arguments, **variables))
        return started[-1]

    yield start
    for demo in started:
        demo.process.kill()  # its worker follows, as its keeper sees to it
        demo.process.communicate()


@pytest.fixture
async def some_are_applied(connection: asyncpg.Connection) -> Any:
    """Returns, when called, as soon as the worker has applied some hundred events."""

    async def applied() -> bool:
        return bool(await connection.fetchval("select sum(next_offset) > 300 from consumed_offset"))

    return partial(eventually, applied)


def worker_of(demo: Demo) -> psutil.Process:
    below = psutil.Process(demo.process.pid).children(recursive=True)
    [worker] = [process for process in below if process.cmdline()[1:] == ["-m", "worker.cli", "worker"]]
    return worker


def test_it_finds_no_difference_and_says_so_in_one_object(start: Any) -> None:
    status, output, errors = start("--learners", "50", "--duration", "5", "--json").end()
    report = json.loads(output)

    assert status == 0, errors
    assert report["wrong_rows"] == 0
    assert report["broker"] == "env"
    assert report["course_completed_received"] == report["completions"] > 0
    assert report["applied"] + report["rejected"] == report["published"] > 500
    assert 0 < report["progress_rows"] <= report["lessons_completed"]


async def test_a_killed_worker_loses_nothing(start: Any, some_are_applied: Any) -> None:
    demo = start("--learners", "50", "--duration", "6", "--json")
    await some_are_applied()
    worker_of(demo).kill()
    status, output, errors = demo.end()

    assert status == 0, errors
    assert json.loads(output)["wrong_rows"] == 0


async def test_it_says_who_its_learners_are_and_signs_nothing_in_a_database_of_somebody_else(
    start: Any, some_are_applied: Any, settings: Settings
) -> None:
    demo = start("--learners", "50", **{KEYS: ""})
    await some_are_applied()
    described = await records_of(settings, settings.learners_topic, 50)
    demo.process.send_signal(signal.SIGINT)
    status, output, errors = demo.end()

    people = [data_of(read(record.value, record.headers), LEARNER_EVENTS) for record in described]
    assert len({person.user_id for person in people}) == 50
    assert all(person.name == make_name(person.user_id) for person in people)
    assert (status, errors.count(f"no certificates are issued: the database is not the demo's own, and {KEYS}")) == (
        0,
        1,
    )
    assert "certificates" not in output


async def test_a_difference_is_found(start: Any, some_are_applied: Any, connection: asyncpg.Connection) -> None:
    demo = start("--learners", "50", "--duration", "5", "--json")
    await some_are_applied()
    # A row that no later event touches is missing then, and one that is touched is counted without these lessons.
    await connection.execute("delete from course_progress_all where completion_number = 0; delete from lesson_progress")
    status, output, errors = demo.end()

    assert status == 1
    assert json.loads(output)["wrong_rows"] > 0
    assert "wanted" in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_in_order(start: Any, some_are_applied: Any, number: signal.Signals) -> None:
    demo = start("--learners", "50")
    await some_are_applied()
    demo.process.send_signal(number)
    status, output, errors = demo.end()

    assert status == 0, errors
    assert "completions received" in output
    assert "Traceback" not in errors


async def test_a_signal_before_the_comparison_is_no_success(start: Any, some_are_applied: Any) -> None:
    demo = start("--duration", "60", "--json")
    await some_are_applied()
    demo.process.send_signal(signal.SIGINT)
    status, output, errors = demo.end()

    assert (status, output) == (130, "")
    assert "Traceback" not in errors


def test_no_simulated_learners_in_production(start: Any) -> None:
    status, output, errors = start(PROGRESS_ENVIRONMENT="production").end()

    assert (status, output) == (1, "")
    assert errors.count("\n") == 1
