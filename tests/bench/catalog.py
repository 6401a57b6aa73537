"""Measures one section: what versions of courses cost a drain."""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import UUID

from events.catalog import CatalogLesson, CoursePublished
from tests.bench.bench import Bench, connected
from tests.bench.drain import Drained, describe_bound, drain, median
from tests.bench.drains import COLUMNS, row
from tests.bench.learners import START, Rows, lesson_id
from tests.bench.result import Figure, Result
from tests.catalogs import publish_versions
from worker.settings import Settings

PUBLISHED = START - timedelta(days=1)  # before the events, after the lessons that are there beforehand


async def with_a_catalog(bench: Bench) -> Result:
    """The same events are drained as in "Drain, even", with and without a version of every course, in turn.

    A version has the 40 lessons that the events are of, all of them required. Its rows are counted by it beforehand.
    """
    sizes, rows = bench.sizes, Rows(bench.sizes.rows)
    judged = Rows(sizes.rows, version=1)
    async with AsyncExitStack() as stack:
        without = await stack.enter_async_context(bench.filled(rows))
        having = await stack.enter_async_context(bench.filled(judged))
        await publish_first_versions(having, judged)
        backlog = await stack.enter_async_context(bench.backlog(without, rows, sizes.events))
        versioned = backlog.model_copy(update={"database_url": having.database_url})
        runs = await in_turn(
            bench, {"without a catalog": backlog, "with a version of every course": versioned}, sizes.events
        )
    alone, catalog = (median(run) for run in runs.values())
    result = Result("Drain, with a catalog", COLUMNS, [row(name, run) for name, run in runs.items()])
    compared = f"{catalog.rate:,.0f}/s against {alone.rate:,.0f}/s"
    result.figures = {"catalog/without": Figure(catalog.rate / alone.rate, compared, describe_bound(catalog))}
    return result


async def in_turn(bench: Bench, backlogs: dict[str, Settings], events: int) -> dict[str, list[Drained]]:
    """Drains the backlogs of so many events in turn (A B A B), each into a fresh copy of its database."""
    runs: dict[str, list[Drained]] = defaultdict(list)
    for number in range(bench.sizes.rounds):
        for name, backlog in backlogs.items():
            async with bench.copy(backlog) as fresh:
                runs[name].append(await drain(fresh, events))
            bench.say(f"  {number + 1}: {name} {runs[name][-1].rate:,.0f}/s")
    return runs


async def publish_first_versions(settings: Settings, rows: Rows) -> None:
    """Publishes version 1 of the rows' courses, with their lessons. Leaves no stored offset.

    The rows must be of version 1, which fills them in as a recount leaves them, so it counts as done: tables with and
    without versions are alike on the disk.
    """
    lessons = range(rows.lessons)
    await publish_versions(settings, [(build_version(course, 1, lessons), PUBLISHED) for course in rows.course_ids])
    async with connected(settings) as connection:
        await connection.execute("update course_recount set finished_at = now()")
        await connection.execute("vacuum (analyze) course_version, course_lesson, course_recount")


def build_version(course: UUID, number: int, lessons: Iterable[int]) -> CoursePublished:
    return CoursePublished(
        course_id=course,
        version=number,
        lessons=tuple(CatalogLesson(lesson_id=lesson_id(lesson)) for lesson in lessons),
    )
