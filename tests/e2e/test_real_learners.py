"""22,000 statements of real learners, half of them out of time order, through workers that are killed."""

import asyncio
import gzip
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import asyncpg
import pytest

from tests.command_line import run
from tests.imports import read_import
from tests.processes import Workers, environment, eventually
from worker.progress.reference import expect_rows, find_wrong_rows, read_rows
from worker.settings import Settings

BESIDE_THE_CHECKOUT = Path(__file__).parents[3] / "shared/data/fun-mooc-xapi.json.gz"


@pytest.fixture
def sample() -> Path:
    path = Path(os.environ.get("PROGRESS_XAPI_SAMPLE", BESIDE_THE_CHECKOUT))
    if not path.exists():
        pytest.skip(f"no {path}: set PROGRESS_XAPI_SAMPLE")
    return path


@pytest.mark.timeout(240)
async def test_two_workers_one_of_them_killed_end_with_the_models_rows_and_a_second_import_changes_none(
    settings: Settings, workers: Workers, connection: asyncpg.Connection, sample: Path
) -> None:
    happened = [(event, at) for event, at, *_ in read_import(sample).events]
    first, second = workers.start(batch_size=100), workers.start(batch_size=100)
    report = await import_file(settings, sample)
    skipped = {"verb http://id.tincanapi.com/verb/downloaded": 54}
    assert (report["published"], report["skipped"], report["malformed"]) == (21_946, skipped, 0)

    async def midway() -> bool:
        return bool(await connection.fetchval("select sum(next_offset) > 4000 from consumed_offset"))

    await eventually(midway)
    first.kill()
    assert workers.start("--until-idle", batch_size=100).wait() == 0
    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []

    before = await versions(connection)
    await import_file(settings, sample)
    assert workers.start("--until-idle").wait() == 0
    assert await versions(connection) == before
    assert second.stop() == 0


@pytest.mark.timeout(240)
async def test_a_dry_run_a_derived_catalog_and_two_imports_end_with_the_rows_of_a_plain_count(
    settings: Settings, workers: Workers, connection: asyncpg.Connection, sample: Path, tmp_path: Path
) -> None:
    catalog, done = tmp_path / "catalog.yaml", count_plainly(sample)
    tried = await import_file(settings, sample, "--dry-run", "--derive-catalog", str(catalog))
    assert (tried["published"], tried["learners"], len(tried["courses"])) == (0, len({user for user, _ in done}), 2)
    worker = workers.start()
    published = await asyncio.to_thread(run, "catalog", "publish", str(catalog), "--yes", **environment(settings))
    assert published[0] == 0, published

    async def known() -> bool:
        return bool(await connection.fetchval("select count(*) = 2 from course_version"))

    await eventually(known)
    for _ in range(2):
        report = await import_file(settings, sample)
        assert {course["total_from"] for course in report["courses"]} == {"catalog, version 1"}
    assert workers.start("--until-idle").wait() == 0
    rows = await connection.fetch("select user_id, course_id, lessons_completed, total_lessons from course_progress")

    assert {(row["user_id"], row["course_id"]): row["lessons_completed"] for row in rows} == done
    assert {row["total_lessons"] for row in rows} == {course["lessons"] for course in tried["courses"]}
    assert worker.stop() == 0


def count_plainly(sample: Path) -> dict[tuple[UUID, UUID], int]:
    """Counts the completed lessons of each learner and course, with no rule but that a statement says completed."""
    lessons = defaultdict[tuple[UUID, UUID], set[str]](set)
    with gzip.open(sample) as lines:
        for said in map(json.loads, lines):
            if said["verb"]["id"].endswith("/downloaded"):
                continue
            course = uuid5(NAMESPACE_URL, said["context"]["contextActivities"]["parent"][0]["id"])
            completed = {said["object"]["id"]} if said["verb"]["id"].endswith("/completed") else set()
            lessons[UUID(said["actor"]["account"]["name"]), course] |= completed
    return {key: len(found) for key, found in lessons.items()}


async def import_file(settings: Settings, *arguments: Path | str) -> Any:
    """Runs the command, and returns its report."""
    command = ("import", "xapi", *map(str, arguments), "--json")
    status, output, errors = await asyncio.to_thread(run, *command, **environment(settings))
    assert status == 0, errors
    return json.loads(output)


async def versions(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Every row, with the transaction that wrote it."""
    return await connection.fetch(
        "select xmin::text, p::text from course_progress_all p"
        " union all select xmin::text, l::text from lesson_progress l order by 1, 2"
    )
