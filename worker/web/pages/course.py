"""What the page of a course shows. Pure."""

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from uuid import UUID

from worker.courses.analytics import Analytics, Duration
from worker.courses.anonymity import SHARE_FROM, K
from worker.courses.catalog import Catalog
from worker.web.pages.charts import BarChart, bar_chart
from worker.web.pages.formatting import readable, span


@dataclass(frozen=True, slots=True)
class Step:
    """A lesson in the course's order, and how many fewer than before have completed it."""

    title: str
    learners: int
    lost: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Of a course that has enough learners."""

    as_of: datetime
    learners: int
    completed: int
    rate: int | None
    steps: tuple[Step, ...]
    steepest: Step | None
    lessons: BarChart
    durations: BarChart
    active: BarChart


@dataclass(frozen=True, slots=True)
class Course:
    """The page. Without figures there are too few learners for any."""

    id: UUID
    title: str
    figures: Figures | None
    at_least: int = K
    share_of: int = SHARE_FROM


def course(course_id: UUID, found: Analytics | None, catalog: Catalog) -> Course:
    return Course(course_id, catalog.title(course_id), figures(found, catalog) if found else None)


def figures(found: Analytics, catalog: Catalog) -> Figures:
    listed = steps(found, catalog)
    return Figures(
        as_of=found.as_of,
        learners=found.learners,
        completed=found.completed,
        rate=found.completion_rate,
        steps=listed,
        # Counts are in fives, so a loss of five may be one learner's.
        steepest=max((step for step in listed if step.lost > K), key=lambda step: step.lost, default=None),
        lessons=bar_chart(
            "Learners who completed each lesson",
            ("Lesson", "Learners"),
            [(str(number), step.learners) for number, step in enumerate(listed, start=1)],
            [step.title for step in listed],
        ),
        durations=bar_chart(
            "Time to complete", ("Within", "Learners"), [(within(d), d.learners) for d in found.time_to_complete]
        ),
        active=bar_chart(
            "Active learners", ("Day", "Learners"), [(f"{a.day:%-d %b}", a.learners) for a in found.active]
        ),
    )


def steps(found: Analytics, catalog: Catalog) -> tuple[Step, ...]:
    """In the catalog's order where it has one, else as learners complete them."""
    known = {lesson.id: (place, lesson.title) for place, lesson in enumerate(catalog.lessons(found.course_id) or ())}
    lessons = sorted(found.lessons, key=lambda lesson: known.get(lesson.lesson_id, (len(known), ""))[0])
    counts = [found.learners, *(lesson.learners for lesson in lessons)]
    return tuple(
        Step(
            known[lesson.lesson_id][1] if lesson.lesson_id in known else readable(lesson.lesson_id),
            after,
            before - after,
        )
        for lesson, (before, after) in zip(lessons, pairwise(counts), strict=True)
    )


def within(duration: Duration) -> str:
    """`under 1 hour`, `1 day to 3 days`, `over 90 days`."""
    if duration.below_s is None:
        return f"over {span(duration.from_s)}" if duration.from_s else "any time"
    if not duration.from_s:
        return f"under {span(duration.below_s)}"
    return f"{span(duration.from_s)} to {span(duration.below_s)}"
