"""Measures one section: what milestones cost a drain."""

import random
from collections.abc import Iterator

from events.models import LessonCompleted, LessonEvent
from tests.bench.bench import Bench
from tests.bench.catalog import in_turn
from tests.bench.drain import describe_bound, median
from tests.bench.drains import COLUMNS, row
from tests.bench.learners import Rows, lesson_id
from tests.bench.result import Figure, Result

LESSONS = 40


async def with_milestones(bench: Bench) -> Result:
    """Every learner goes from no lesson of a course to all of its 40, with and without milestones, in turn.

    Events are spread evenly, each learner's in the order of the lessons. Of 40 events one announces a completion, and
    with PROGRESS_MILESTONES three more announce a milestone.
    """
    rows = Rows(bench.sizes.events // LESSONS, lessons=LESSONS, done=0)
    events = rows.rows * rows.lessons
    async with (
        bench.filled(rows) as database,
        bench.backlog(database, rows, events, order=from_the_start) as backlog,
    ):
        announcing = backlog.model_copy(update={"milestones": True})
        runs = await in_turn(bench, {"without milestones": backlog, "with milestones": announcing}, events)
    without, having = (median(run) for run in runs.values())
    result = Result("Drain, with milestones", COLUMNS, [row(name, run) for name, run in runs.items()])
    compared = f"{having.rate:,.0f}/s against {without.rate:,.0f}/s"
    result.figures = {"milestones/without": Figure(having.rate / without.rate, compared, describe_bound(having))}
    return result


def from_the_start(rows: Rows, rng: random.Random) -> Iterator[LessonEvent]:
    """Yields the completion of every lesson, of all learners one lesson after the other."""
    numbers = list(range(rows.rows))
    for lesson in range(rows.lessons):
        rng.shuffle(numbers)
        for number in numbers:
            user, course = rows.key(number)
            yield LessonCompleted(
                user_id=user, course_id=course, lesson_id=lesson_id(lesson), total_lessons=rows.lessons
            )
