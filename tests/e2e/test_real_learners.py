"""22,000 statements of real learners, half of them out of time order, through workers that are killed."""

import os
from pathlib import Path

import asyncpg
import pytest

from tests.processes import Workers, eventually
from worker.progress.reference import expect_rows, find_wrong_rows, read_rows
from worker.settings import Settings
from worker.xapi import ImportCounts, count_lessons, import_file, read_events

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
    happened = [(e.event, e.occurred_at) for e in read_events(sample, count_lessons(sample), ImportCounts(), print)]
    first, second = workers.start(batch_size=100), workers.start(batch_size=100)
    count = await import_file(settings, sample, None, print)
    assert (count.published, dict(count.skipped), count.malformed) == (21_946, {"downloaded": 54}, 0)

    async def midway() -> bool:
        return bool(await connection.fetchval("select sum(next_offset) > 4000 from consumed_offset"))

    await eventually(midway)
    first.kill()
    assert workers.start("--until-idle", batch_size=100).wait() == 0
    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []

    before = await versions(connection)
    await import_file(settings, sample, None, print)
    assert workers.start("--until-idle").wait() == 0
    assert await versions(connection) == before
    assert second.stop() == 0


async def versions(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """Every row, with the transaction that wrote it."""
    return await connection.fetch(
        "select xmin::text, p::text from course_progress_all p"
        " union all select xmin::text, l::text from lesson_progress l order by 1, 2"
    )
