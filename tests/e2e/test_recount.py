"""Rows are recounted and repaired beside a busy worker, and a repaired completion is published."""

from typing import Any

import asyncpg

from tests.factories import completed, histories
from tests.processes import Workers, eventually
from tests.repair.recounting import PARTITIONS, ROW, differences, repaired
from tests.topics import certificates, publish
from worker.progress.reference import expect_rows, find_wrong_rows, read_rows
from worker.repair.recount import Difference, Repair, connect_to_recount
from worker.settings import Settings


async def busy(settings: Settings, workers: Workers, connection: asyncpg.Connection, meanwhile: Any) -> list[Any]:
    """Runs `meanwhile` again and again until a worker has applied many small batches; what was published."""
    happened = histories(learners=600, seed=13)
    await publish(settings, happened)
    workers.start(batch_size=20)
    began: list[int] = []

    async def all_applied() -> bool:
        applied = await connection.fetchval("select coalesce(sum(next_offset), 0) from consumed_offset")
        if applied < len(happened):
            began.append(applied)
            await meanwhile()
        return bool(applied == len(happened))

    await eventually(all_applied)
    assert len({applied for applied in began if applied}) > 5  # it was at work meanwhile
    return happened


async def test_a_busy_worker_is_never_taken_for_damage(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    ours = await connect_to_recount(settings)

    async def verified() -> None:
        assert await differences(ours) == []

    await busy(settings, workers, connection, verified)
    await ours.close()


async def test_rows_repaired_beside_a_busy_worker_end_as_the_model_says(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    ours = await connect_to_recount(settings)
    done: list[Difference] = []

    async def damaged_and_repaired() -> None:
        for _ in range(10):  # one row each, or it would deadlock with the worker
            await connection.execute(
                # Not so few that the worker could come below zero, which its event would have to answer for. Asked
                # twice: while this waits for the row, the worker may complete it.
                ROW + "lessons_completed = lessons_completed - 1, started_at = last_accessed_at where"
                " lessons_completed > 2 and completed_at is null and id = ("
                " select id from course_progress_all where lessons_completed > 2 and completed_at is null"
                " order by random() limit 1)"
            )
        done.extend(await repaired(ours))

    happened = await busy(settings, workers, connection, damaged_and_repaired)
    await repaired(ours)

    assert len(done) > 30
    assert await differences(ours) == []
    assert find_wrong_rows(expect_rows(happened), await read_rows(connection)) == []
    await ours.close()


async def test_a_repaired_completion_reaches_the_certificate_service(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await publish(settings, [completed("a", 1), completed("b", 5)])
    workers.start("--until-idle").wait()
    await connection.execute(ROW + "lessons_completed = 1, completed_at = null")
    ours = await connect_to_recount(settings)
    workers.start()

    [difference] = await differences(ours)
    await Repair(ours, settings.lesson_events_topic, PARTITIONS)(difference)
    await ours.close()

    received = await certificates(settings, 2)
    assert [one.event.completion_number for one in received.values()] == [1, 2]
