"""Measures an import: how long it takes to publish statements, and how much memory."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from tests.bench.bench import Bench
from tests.bench.learners import START
from tests.bench.result import Figure, Result
from tests.processes import environment
from worker.settings import Settings

LEARNERS, COURSES = 5000, 20
COLUMNS = ("import", "seconds", "statements/s", "memory, MB")


async def imports(bench: Bench) -> Result:
    """`course-progress import xapi` publishes statements of 5,000 learners, about 490 bytes each.

    Once as one array on a single line, once one per line, and once without publishing. Seconds are those of the whole
    process, memory is its largest resident set.
    """
    count = bench.sizes.statements
    result = Result("Import", COLUMNS)
    with tempfile.TemporaryDirectory() as directory:
        array, lines = Path(directory, "array.json"), Path(directory, "lines.jsonl")
        await asyncio.to_thread(write_files, array, lines, count)
        async with bench.filled() as database, bench.topics(database) as settings:
            for name, path, *options in (
                ("an array on one line", array),
                ("one per line", lines),
                ("one per line, dry run", lines, "--dry-run"),
            ):
                seconds, memory = await asyncio.to_thread(run_import, settings, path, options)
                bench.say(f"  {name}: {seconds:.1f} s")
                result.rows.append((name, f"{seconds:.1f}", f"{count / seconds:,.0f}", f"{memory:.0f}"))
                result.figures[f"import seconds, {name}"] = Figure(seconds, f"{count / seconds:,.0f} statements/s")
                result.figures[f"import MB, {name}"] = Figure(memory)
    return result


def write_files(array: Path, lines: Path, count: int) -> None:
    """Writes the same statements in both arrangements."""
    with array.open("w") as one, lines.open("w") as several:
        for number, text in enumerate(map(json.dumps, make_statements(count))):
            one.write(f"{',' if number else '['}{text}")
            several.write(f"{text}\n")
        one.write("]")


def make_statements(count: int) -> Iterator[dict[str, Any]]:
    """Yields statements: each learner completes one lesson of a course after the other."""
    for number in range(count):
        lesson, learner = divmod(number, LEARNERS)
        course = {
            "id": f"https://lms.example/course/{learner % COURSES}",
            "definition": {"type": "http://adlnet.gov/expapi/activities/course"},
        }
        yield {
            "id": str(uuid5(NAMESPACE_URL, str(number))),
            "actor": {"account": {"homePage": "https://lms.example", "name": f"learner-{learner}"}},
            "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"},
            "object": {"objectType": "Activity", "id": f"https://lms.example/lesson/{lesson}"},
            "context": {"contextActivities": {"parent": [course]}},
            "timestamp": (START + timedelta(seconds=number)).isoformat(),
        }


def run_import(settings: Settings, path: Path, options: list[str]) -> tuple[float, float]:
    """Runs the command to its end. Returns its seconds, and its largest resident set in MB. Raises RuntimeError."""
    command = [sys.executable, "-m", "worker.cli", "import", "xapi", str(path), *options]
    began = time.monotonic()
    process = subprocess.Popen(command, env=environment(settings), stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the import ended with {process.returncode}")
    return time.monotonic() - began, used.ru_maxrss / 1000
