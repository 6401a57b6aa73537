"""Builds the view of "My learning". Pure."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from worker.courses.catalog import Catalog, Lesson
from worker.courses.lessons import CourseLessons
from worker.learners.activity import Period
from worker.learners.reads import CourseProgress, ProgressStats
from worker.web.pages.charts import BarChart, build_bar_chart
from worker.web.pages.formatting import format_ago, name_lesson, plural


@dataclass(frozen=True, slots=True)
class Tile:
    """Shows a lesson that can be completed."""

    id: str
    title: str
    anchor: str  # stays with the lesson when others move, so that a second click reaches the same lesson
    completed: bool
    href: str | None


@dataclass(frozen=True, slots=True)
class CourseCard:
    """Shows a learner's progress in one course."""

    id: UUID
    title: str
    percent: int
    completed: int
    total: int | None  # as the latest event said; None until one says it
    # The total that a click sends: the catalog's, as the website's player sends it, though the row may have another
    # one; without a catalog the row's. None: no lesson can be clicked.
    click_total: int | None
    in_catalog: bool  # whether the catalog knows its lessons
    is_complete: bool
    activity: str
    active_at: datetime  # the time that `activity` tells
    lessons: tuple[Tile, ...]
    unknown: int  # lessons of the course whose ids are not known
    resume: Tile | None  # where to go on

    @property
    def done(self) -> str:
        return f"{self.completed:,} of {plural(self.total, 'lesson')}" if self.total else "Not started"


@dataclass(frozen=True, slots=True)
class LearningPage:
    """Holds what the page shows."""

    in_progress: int
    completed: int
    lessons: int
    average: int
    cards: tuple[CourseCard, ...]
    weeks: BarChart
    show: str  # all, current or completed
    first: bool  # of the pages of the list
    older: str | None  # the cursor of the next page

    @property
    def resume(self) -> CourseCard | None:
        """Returns the course that was opened last and has lessons left."""
        cards = self.cards if self.first else ()
        return next((card for card in cards if card.resume and not card.is_complete), None)


def build_learning_page(
    stats: ProgressStats,
    cards: Iterable[CourseCard],
    weeks: Sequence[Period],
    show: str = "all",
    *,
    first: bool = True,
    older: str | None = None,
) -> LearningPage:
    return LearningPage(
        stats.in_progress_courses,
        stats.completed_courses,
        stats.lessons_completed,
        stats.average_percentage,
        tuple(cards),
        build_bar_chart("Lessons per week", ("Week of", "Lessons"), [(f"{w.start:%-d %b}", w.lessons) for w in weeks]),
        show,
        first,
        older,
    )


def build_cards(
    rows: Iterable[CourseProgress], catalog: Catalog, known: Mapping[UUID, CourseLessons], now: datetime
) -> tuple[CourseCard, ...]:
    """Builds a card per row. `known` has the lessons that events name, for courses that are not in the catalog."""
    return tuple(build_card(row, catalog, known.get(row.course_id), now) for row in rows)


def list_lessons(row: CourseProgress, catalog_lessons: Sequence[Lesson], known: CourseLessons | None) -> list[Lesson]:
    """Lists the catalog's lessons, or those that others did, and any more that the learner completed."""
    ids = [*(state.lesson_id for state in (known.lessons if known else ())), *row.completed_lessons]
    if row.last_lesson_id is not None:
        ids.append(row.last_lesson_id)
    have = {lesson.id for lesson in catalog_lessons}
    return [*catalog_lessons, *(Lesson(id, name_lesson(id)) for id in dict.fromkeys(ids) if id not in have)]


def build_card(row: CourseProgress, catalog: Catalog, known: CourseLessons | None, now: datetime) -> CourseCard:
    catalog_lessons = catalog.lessons(row.course_id) or ()
    tiles = build_tiles(row, list_lessons(row, catalog_lessons, known))
    click_total = len(catalog_lessons) or row.total_lessons
    return CourseCard(
        id=row.course_id,
        title=catalog.title(row.course_id),
        percent=row.progress_percentage,
        completed=row.lessons_completed,
        total=row.total_lessons,
        click_total=click_total,
        in_catalog=bool(catalog_lessons),
        is_complete=row.completed_at is not None,
        activity=f"Completed {format_ago(row.completed_at, now)}"
        if row.completed_at
        else f"Last opened {format_ago(row.last_accessed_at, now)}",
        active_at=row.completed_at or row.last_accessed_at,
        lessons=tiles,
        unknown=max(0, (click_total or 0) - len(tiles)),
        resume=choose_resume([tile for tile in tiles if click_total or tile.href], row.last_lesson_id),
    )


def build_tiles(row: CourseProgress, lessons: Sequence[Lesson]) -> tuple[Tile, ...]:
    completed = set(row.completed_lessons)
    return tuple(
        Tile(lesson.id, lesson.title, build_anchor(row.course_id, lesson.id), lesson.id in completed, lesson.href)
        for lesson in lessons
    )


def build_anchor(course_id: UUID, lesson_id: str) -> str:
    """Returns a lesson's part of an element's id, which must not hold a space."""
    return f"{course_id}-{hashlib.blake2s(lesson_id.encode(), digest_size=8).hexdigest()}"


def choose_resume(tiles: Sequence[Tile], last_lesson_id: str | None) -> Tile | None:
    """Returns the last lesson if it is open, else the first open one after it, else the first open one of all."""
    last = next((n for n, tile in enumerate(tiles) if tile.id == last_lesson_id), 0)
    return next((tile for tile in [*tiles[last:], *tiles[:last]] if not tile.completed), None)
