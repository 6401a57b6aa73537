"""Builds the view of a course's page. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from uuid import UUID

from worker.courses.analytics import Analytics, Duration
from worker.courses.anonymity import SHARE_FROM, K
from worker.courses.lessons import Publication
from worker.web.pages.catalog import CourseCatalog
from worker.web.pages.charts import BarChart, build_bar_chart, mark_bars
from worker.web.pages.formatting import format_duration


@dataclass(frozen=True, slots=True)
class Step:
    """Holds a lesson in the course's order, and how many fewer than before have completed it."""

    title: str
    learners: int
    lost: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Holds the figures of a course that has enough learners."""

    as_of: datetime
    learners: int
    completed: int
    rate: int | None
    steps: tuple[Step, ...]
    steepest: Step | None
    lessons: BarChart
    more_lessons: int  # that the chart leaves out
    durations: BarChart
    active: BarChart


@dataclass(frozen=True, slots=True)
class CoursePage:
    """Holds what the page shows. Without figures the course has too few learners for any."""

    id: UUID
    title: str
    figures: Figures | None
    version: Publication | None  # that the lessons and figures are of; None: the course has none
    at_least: int = K
    share_of: int = SHARE_FROM


def build_course_page(
    course_id: UUID, found: Analytics | None, catalog: CourseCatalog, versions: Sequence[Publication] = ()
) -> CoursePage:
    """Builds the page. `versions` are the newest and those of the last days, the newest first."""
    figures = build_figures(found, catalog, versions) if found else None
    return CoursePage(course_id, catalog.title(course_id), figures, versions[0] if versions else None)


def build_figures(found: Analytics, catalog: CourseCatalog, versions: Sequence[Publication] = ()) -> Figures:
    listed = build_steps(found, catalog)
    return Figures(
        as_of=found.as_of,
        learners=found.learners,
        completed=found.completed,
        rate=found.completion_rate,
        steps=listed,
        # Counts are in fives, so a loss of five may be one learner's.
        steepest=max((step for step in listed if step.lost > K), key=lambda step: step.lost, default=None),
        lessons=build_bar_chart(
            "Learners who completed each lesson",
            ("Lesson", "Learners"),
            [(str(number), step.learners) for number, step in enumerate(listed, start=1)],
            [step.title for step in listed],
        ),
        more_lessons=found.more_lessons,
        durations=build_bar_chart(
            "Time to complete",
            ("Within", "Learners"),
            [(describe_duration(d), d.learners) for d in found.time_to_complete],
        ),
        active=build_active_chart(found, versions),
    )


def build_active_chart(found: Analytics, versions: Sequence[Publication]) -> BarChart:
    """Builds the chart of active learners, with a line before each day on which versions began."""
    chart = build_bar_chart(
        "Active learners", ("Day", "Learners"), [(f"{a.day:%-d %b}", a.learners) for a in found.active]
    )
    begun: dict[date, list[int]] = {}
    for each in reversed(versions):
        begun.setdefault(each.published_at.astimezone(UTC).date(), []).append(each.version)
    return mark_bars(
        chart,
        [
            (place, f"v{begun[active.day][-1]}", f"{name_versions(begun[active.day])} began on {active.day:%-d %b}")
            for place, active in enumerate(found.active)
            if active.day in begun
        ],
    )


def name_versions(numbers: Sequence[int]) -> str:
    return f"version{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}"


def build_steps(found: Analytics, catalog: CourseCatalog) -> tuple[Step, ...]:
    """Builds the steps in the catalog's order where it has one, else in the order in which learners complete them.

    An earlier lesson stands where the one that replaces it does.
    """
    order = catalog.lessons(found.course_id) or ()
    places = {earlier: place for place, lesson in enumerate(order) for earlier in (*lesson.replaces, lesson.id)}
    places |= {lesson.id: place for place, lesson in enumerate(order)}
    lessons = sorted(found.lessons, key=lambda lesson: places.get(lesson.lesson_id, len(order)))
    named = catalog.name_lessons(found.course_id, [lesson.lesson_id for lesson in lessons])
    counts = [found.learners, *(lesson.learners for lesson in lessons)]
    return tuple(
        Step(lesson.title, after, before - after)
        for lesson, (before, after) in zip(named, pairwise(counts), strict=True)
    )


def describe_duration(duration: Duration) -> str:
    """Writes `under 1 hour`, `1 day to 3 days` or `over 90 days`."""
    if duration.below_s is None:
        return f"over {format_duration(duration.from_s)}" if duration.from_s else "any time"
    if not duration.from_s:
        return f"under {format_duration(duration.below_s)}"
    return f"{format_duration(duration.from_s)} to {format_duration(duration.below_s)}"
