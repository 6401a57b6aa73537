"""The command `import`: its exit statuses, its lines, and what it leaves in the database."""

import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.command_line import NOWHERE, run, start
from tests.imports import COURSE, statement, write_lines
from tests.processes import Workers, environment, eventually
from worker.settings import Settings

INTERRUPTED = 60_000  # lines, which take seconds to publish


@pytest.mark.processes
@pytest.mark.parametrize(
    ("options", "lines", "status"),
    [
        ((), [statement()], 0),
        (("--json",), [statement()], 0),
        ((), [statement(), "{}"], 1),
        (("--lenient",), [statement(), "{}"], 0),
        ((), [statement(verb="http://x.example/nothing")], 1),
        (("--lenient",), ["{}"], 1),
        (("--verb", "x=y"), [statement()], 2),
        (("--totals", "12"), [statement()], 2),
        (("--course-from", "nothing"), [statement()], 2),
    ],
)
def test_the_exit_status_says_whether_all_is_well(tmp_path: Path, options: Any, lines: Any, status: int) -> None:
    path = write_lines(tmp_path, *lines)
    found, output, errors = run("import", "xapi", str(path), "--dry-run", *options, **NOWHERE)

    assert found == status, errors
    assert "Traceback" not in errors
    if "--json" in options:
        assert json.loads(output)["learners"] == 1


@pytest.mark.processes
def test_standard_input_may_be_packed(tmp_path: Path) -> None:
    packed = gzip.compress(json.dumps(statement()).encode())
    command = [sys.executable, "-m", "worker.cli", "import", "xapi", "-", "--dry-run"]
    done = subprocess.run(command, input=packed, env=os.environ | NOWHERE, capture_output=True, check=False)

    assert done.returncode == 0, done.stderr
    assert b"would publish 1" in done.stdout


@pytest.mark.processes
def test_an_interrupt_is_one_line(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = start("import", "csv", str(pipe), **NOWHERE)
    with pipe.open("w") as writer:  # opens when the import reads
        writer.write("user,course,lesson,time\n" + "ada,statistics,intro,2026-03-02T10:00:00Z\n" * 10_000)
        writer.flush()  # which is more than a pipe holds, so the import has begun to read
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)

    assert (process.returncode, errors.strip()) == (130, "interrupted: published 0 events")


async def test_an_import_that_was_interrupted_is_completed_by_the_same_command(
    settings: Settings, workers: Workers, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    lines = [f"ada{n},statistics,l{n % 10},{11 - n % 10},2026-03-02T10:00:00Z" for n in range(INTERRUPTED)]
    path = write_lines(tmp_path, "user,course,lesson,total,time", *lines)
    first = start("import", "csv", str(path), **environment(settings))

    async def has_begun() -> bool:
        return await count_events(settings) > 0

    await eventually(has_begun)
    first.send_signal(signal.SIGINT)
    _, errors = await asyncio.to_thread(first.communicate, timeout=60)
    published = await count_events(settings)
    said = errors.strip().splitlines()[-1]

    assert (first.returncode, 0 < published < INTERRUPTED) == (130, True), errors
    assert said.startswith("interrupted: published ")
    status, _, errors = await asyncio.to_thread(run, "import", "csv", str(path), **environment(settings))
    assert status == 0, errors
    assert workers.start("--until-idle").wait() == 0
    assert await connection.fetchval("select count(*) from lesson_progress") == INTERRUPTED


async def count_events(settings: Settings) -> int:
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers) as consumer:
        partitions = [TopicPartition(settings.lesson_events_topic, n) for n in range(settings.topic_partitions)]
        return sum((await consumer.end_offsets(partitions)).values())


async def test_an_import_with_a_total_and_again_leaves_the_same_rows(
    settings: Settings, workers: Workers, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    path = write_lines(tmp_path, statement("1"), statement("2", minute=1), statement("1", learner="ben"))
    command = ("import", "xapi", str(path), "--totals", f"{COURSE}=2")

    async def rows() -> list[asyncpg.Record]:
        status, output, errors = await asyncio.to_thread(run, *command, **environment(settings))
        assert (status, output) == (0, "published 3; skipped: none; malformed lines: 0\n"), errors
        assert workers.start("--until-idle").wait() == 0
        return await connection.fetch("select p::text, xmin::text from course_progress_all p order by 1")

    first = await rows()
    causes = await connection.fetch("select cause, type from transition")

    assert await rows() == first
    assert [tuple(row) for row in causes] == [("imported", "CourseCompleted")]
    percentages = await connection.fetchval(
        "select array_agg(progress_percentage order by progress_percentage) from course_progress"
    )
    assert percentages == [50, 100]
