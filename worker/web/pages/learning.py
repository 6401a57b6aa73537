"""Builds the view of "My learning". Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from worker.courses.catalog import Lesson
from worker.courses.lessons import CourseLessons
from worker.courses.outlines import find_next
from worker.learners.activity import MOST_LESSONS, Period
from worker.learners.reads import CourseProgress, ProgressStats
from worker.web.pages.achievements import AchievementsCard
from worker.web.pages.catalog import CourseCatalog
from worker.web.pages.charts import BarChart, build_bar_chart
from worker.web.pages.formatting import format_ago, plural
from worker.web.pages.tiles import Section, Tile, build_sections, build_tiles, choose_resume, describe_courses

# A tile takes some 60 µs and a kilobyte, 3 KB at most, and a learner can have any number of lessons.
PAGE_TILES, CARD_TILES, LEAST_TILES = 1200, 200, 20


@dataclass(frozen=True, slots=True)
class CertificateCard:
    """Shows the learner's certificate of a course."""

    code: str
    link: str
    is_valid: bool
    listed: bool
    about: str


@dataclass(frozen=True, slots=True)
class CourseCard:
    """Shows a learner's progress in one course."""

    id: UUID
    title: str
    percent: int
    completed: int
    total: int | None  # as the latest event said, or the course's version; None until one says it
    # The total that a click sends: what the newest version needs; else the catalog's, as the website's player sends it,
    # though the row may have another one; without a catalog the row's. None: no lesson can be clicked.
    click_total: int | None
    in_catalog: bool  # whether the catalog knows its lessons
    is_complete: bool
    activity: str
    active_at: datetime  # the time that `activity` tells
    lessons: tuple[Tile, ...]
    hidden: int  # lessons of the course for which the page has no room
    unknown: int  # those whose ids are not known
    resume: Tile | None  # where to go on
    added: int  # lessons that came since the learner completed the course, by a version before
    sections: tuple[Section, ...] = ()  # of `lessons`; none: they stand together
    lock: str = ""  # which courses are to be completed first; empty: none
    certificate: CertificateCard | None = None
    awaits_certificate: bool = False  # it will be there in a moment

    @property
    def done(self) -> str:
        return f"{self.completed:,} of {plural(self.total, 'lesson')}" if self.total else "Not started"

    @property
    def news(self) -> str:
        """Returns what is new since the learner completed the course; empty for nothing."""
        were = "was" if self.added == 1 else "were"
        return f"{plural(self.added, 'lesson')} {were} added since you completed this course" if self.added else ""


@dataclass(frozen=True, slots=True)
class LearningPage:
    """Holds what the page shows."""

    in_progress: int
    completed: int
    lessons: int
    average: int
    percents: int  # their sum, from which the page's script works out the next average
    cards: tuple[CourseCard, ...]
    weeks: BarChart
    show: str  # all, current or completed
    first: bool  # of the pages of the list
    older: str | None  # the cursor of the next page
    zone: str  # that the weeks are of
    counted: int = MOST_LESSONS  # the most lessons of which the weeks tell
    has_certificates: bool = False  # whether this website issues any
    achievements: AchievementsCard | None = None
    has_achievements: bool = False  # whether this website has streaks and badges

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
    zone: str = "UTC",
    has_certificates: bool = False,
    achievements: AchievementsCard | None = None,
    has_achievements: bool = False,
) -> LearningPage:
    return LearningPage(
        stats.in_progress_courses,
        stats.completed_courses,
        stats.lessons_completed,
        stats.average_percentage,
        stats.summed_percentages,
        tuple(cards),
        build_bar_chart("Lessons per week", ("Week of", "Lessons"), [(f"{w.start:%-d %b}", w.lessons) for w in weeks]),
        show,
        first,
        older,
        zone,
        has_certificates=has_certificates,
        achievements=achievements,
        has_achievements=has_achievements,
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """Holds the lessons of a course that the page has room for, and the number of those for which it has none."""

    lessons: Sequence[Lesson]
    hidden: int


def build_cards(
    rows: Sequence[CourseProgress],
    catalog: CourseCatalog,
    known: Mapping[UUID, CourseLessons],
    now: datetime,
) -> tuple[CourseCard, ...]:
    """Builds a card per row. `known` has the lessons that events name, for courses that are not in the catalog."""
    return fill_cards(rows, catalog, choose_shown(rows, catalog, known), now, {})


def fill_cards(
    rows: Iterable[CourseProgress],
    catalog: CourseCatalog,
    shown: Mapping[UUID, Shown],
    now: datetime,
    completed: Mapping[UUID, Collection[str]],
) -> tuple[CourseCard, ...]:
    """Builds a card per row, with these lessons.

    `completed` has, for rows whose list of completed lessons is cut, the completed ones of those shown.
    """
    return tuple(build_card(row, catalog, shown[row.course_id], now, completed) for row in rows)


def choose_shown(
    rows: Sequence[CourseProgress], catalog: CourseCatalog, known: Mapping[UUID, CourseLessons]
) -> dict[UUID, Shown]:
    """Chooses the lessons of each card: at most CARD_TILES of a course, and PAGE_TILES together."""
    left = PAGE_TILES
    found = {}
    for place, row in enumerate(rows, start=1):
        ids = list_ids(row, catalog, known.get(row.course_id))
        following = find_following(catalog, row.course_id)
        stretch = choose_stretch(row, ids, following, min(CARD_TILES, left - LEAST_TILES * (len(rows) - place)))
        left -= len(stretch)
        lessons = catalog.name_lessons(row.course_id, stretch)
        found[row.course_id] = Shown(lessons, max(len(ids), row.lessons_completed) - len(stretch))
    return found


def find_following(catalog: CourseCatalog, course_id: UUID) -> Lesson | None:
    """Returns the next lesson of a course with a version; None: there is none, or the course has no version."""
    return find_next(catalog.outline(course_id)).lesson


def choose_stretch(row: CourseProgress, ids: Sequence[str], following: Lesson | None, most: int) -> Sequence[str]:
    """Cuts the lessons into stretches of `most`, and returns the one in which the learner goes on.

    So tiles do not move while the learner completes one lesson after another. `following` is the next lesson, where the
    course's version says which.
    """
    if len(ids) <= most:
        return ids
    completed = set(row.completed_lessons)
    last = following.id if following else row.last_lesson_id
    at = next((n for n, id in enumerate(ids) if id == last), 0)
    if not following and not row.more_lessons:  # else it is not known which are open
        at = next((n for n in range(at, len(ids)) if ids[n] not in completed), at)
    first = at - at % most
    return ids[first : first + most]


def list_ids(row: CourseProgress, catalog: CourseCatalog, known: CourseLessons | None) -> list[str]:
    """Lists the lessons of the newest version. Without one, the catalog's, or those that others did, and the learner's.

    A lesson that is not in the newest version counts for nothing, whoever completed it.
    """
    ids = [lesson.id for lesson in catalog.lessons(row.course_id) or ()]
    if catalog.version(row.course_id):
        return ids
    ids += [state.lesson_id for state in (known.lessons if known else ())]
    ids += row.completed_lessons
    if row.last_lesson_id is not None:
        ids.append(row.last_lesson_id)
    return list(dict.fromkeys(ids))


def build_card(
    row: CourseProgress, catalog: CourseCatalog, shown: Shown, now: datetime, completed: Mapping[UUID, Collection[str]]
) -> CourseCard:
    catalog_lessons, version = catalog.lessons(row.course_id) or (), catalog.version(row.course_id)
    done = set(completed.get(row.course_id, row.completed_lessons))
    outline = catalog.outline(row.course_id)
    tiles = build_tiles(row.course_id, shown.lessons, done, catalog.waived(row.course_id), outline)
    following = find_following(catalog, row.course_id)
    click_total = version.needed if version else len(catalog_lessons) or row.total_lessons
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
        hidden=shown.hidden,
        unknown=max(0, (click_total or 0) - len(tiles) - shown.hidden),
        resume=find_resume(row, tiles, catalog, click_total),
        added=catalog.added(row.course_id),
        sections=build_sections(outline, tiles, following.id if following else None),
        lock=describe_courses(outline.missing_courses) if outline and outline.missing_courses else "",
    )


def find_resume(
    row: CourseProgress, tiles: Sequence[Tile], catalog: CourseCatalog, click_total: int | None
) -> Tile | None:
    """Returns where to go on: by the version of the course, if it has one, the same lesson that the API calls next."""
    if catalog.outline(row.course_id) is None:
        return choose_resume([tile for tile in tiles if click_total or tile.href], row.last_lesson_id)
    following = find_following(catalog, row.course_id)
    return next((tile for tile in tiles if following and tile.id == following.id), None)
