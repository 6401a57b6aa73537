"""What "My learning" shows. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from worker.history import CourseLessons, Period
from worker.pages.catalogue import Catalogue, Lesson
from worker.pages.charts import BarChart, bar_chart
from worker.pages.words import ago, counted, readable
from worker.reads import CourseProgress, ProgressStats


@dataclass(frozen=True, slots=True)
class Tile:
    """A lesson that can be completed."""

    id: str
    title: str
    anchor: str
    completed: bool
    href: str | None


@dataclass(frozen=True, slots=True)
class CourseCard:
    id: UUID
    title: str
    percent: int
    completed: int
    total: int | None  # None: not known yet, so no lesson can be completed here
    is_complete: bool
    activity: str
    last_accessed_at: datetime
    lessons: tuple[Tile, ...]
    unknown: int  # lessons of the course of which nobody knows the name
    resume: Tile | None  # where to go on

    @property
    def done(self) -> str:
        return f"{self.completed:,} of {counted(self.total, 'lesson')}" if self.total else "Not begun"


@dataclass(frozen=True, slots=True)
class Learning:
    """The page."""

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
        """The course that was last open, if there is anything left in it."""
        cards = self.cards if self.first else ()
        return next((card for card in cards if card.resume and not card.is_complete), None)


def learning(
    stats: ProgressStats,
    cards: Iterable[CourseCard],
    weeks: Sequence[Period],
    show: str = "all",
    *,
    first: bool = True,
    older: str | None = None,
) -> Learning:
    return Learning(
        stats.in_progress_courses,
        stats.completed_courses,
        stats.lessons_completed,
        stats.average_percentage,
        tuple(cards),
        bar_chart("Lessons per week", ("Week of", "Lessons"), [(f"{w.start:%-d %b}", w.lessons) for w in weeks]),
        show,
        first,
        older,
    )


def cards(
    rows: Iterable[CourseProgress], catalogue: Catalogue, known: Mapping[UUID, CourseLessons], now: datetime
) -> tuple[CourseCard, ...]:
    """One per row; `known` has what the events tell of courses whose lessons are not in the catalogue."""
    return tuple(
        card(row, catalogue.title(row.course_id), lessons_of(row, catalogue, known.get(row.course_id)), now)
        for row in rows
    )


def lessons_of(row: CourseProgress, catalogue: Catalogue, known: CourseLessons | None) -> list[Lesson]:
    """Those of the catalogue, or that others did, and whatever else the learner completed."""
    lessons = list(catalogue.lessons(row.course_id) or ())
    ids = [*(state.lesson_id for state in (known.lessons if known else ())), *row.completed_lessons]
    if row.last_lesson_id is not None:
        ids.append(row.last_lesson_id)
    have = {lesson.id for lesson in lessons}
    return lessons + [Lesson(id, readable(id)) for id in dict.fromkeys(ids) if id not in have]


def card(row: CourseProgress, title: str, lessons: Sequence[Lesson], now: datetime) -> CourseCard:
    completed = set(row.completed_lessons)
    tiles = tuple(
        Tile(lesson.id, lesson.title, f"{row.course_id}-{number}", lesson.id in completed, lesson.href)
        for number, lesson in enumerate(lessons, start=1)
    )
    return CourseCard(
        row.course_id,
        title,
        row.progress_percentage,
        row.lessons_completed,
        row.total_lessons,
        row.completed_at is not None,
        f"Completed {ago(row.completed_at, now)}"
        if row.completed_at
        else f"Last opened {ago(row.last_accessed_at, now)}",
        row.last_accessed_at,
        tiles,
        max(0, (row.total_lessons or 0) - len(tiles)),
        resume(tiles, row.last_lesson_id),
    )


def resume(tiles: Sequence[Tile], last_lesson_id: str | None) -> Tile | None:
    """The last lesson if it is not completed, else the first one after it that is not, else the first of all."""
    last = next((n for n, tile in enumerate(tiles) if tile.id == last_lesson_id), 0)
    return next((tile for tile in [*tiles[last:], *tiles[:last]] if not tile.completed), None)
