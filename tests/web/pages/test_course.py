"""A course's page shows steps, losses and charts of its figures."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import pytest

from worker.courses.analytics import DAY, HOUR, ActiveDay, Analytics, Duration, LessonReach
from worker.courses.catalog import Lesson
from worker.courses.lessons import NewestVersion, Publication
from worker.web.pages.catalog import CourseCatalog, NoCatalog
from worker.web.pages.course import build_course_page, build_figures, describe_duration

ID = uuid4()
NOW = datetime(2026, 11, 25, tzinfo=UTC)


class Ordered:
    """Orders lessons otherwise than learners do."""

    def title(self, course_id: UUID) -> str:
        return "First aid"

    def lessons(self, course_id: UUID) -> Sequence[Lesson]:
        return [Lesson("one", "Stay safe"), Lesson("two", "Burns")]


def found(*lessons: tuple[str, int], durations: tuple[Duration, ...] = ()) -> Analytics:
    reached = tuple(LessonReach(id, learners) for id, learners in lessons)
    return Analytics(ID, NOW, 100, 40, 40, reached, durations, (ActiveDay(date(2026, 11, 25), 15),))


def test_few_learners_have_no_figures_and_the_page_knows_from_how_many_on() -> None:
    page = build_course_page(ID, None, CourseCatalog(NoCatalog()))

    assert (page.figures, page.at_least) == (None, 5)


def test_lessons_stand_in_the_catalogs_order_and_unknown_ones_last() -> None:
    page = build_figures(found(("new", 30), ("two", 60), ("one", 90)), CourseCatalog(Ordered()))

    assert [(step.title, step.learners, step.lost) for step in page.steps] == [
        ("Stay safe", 90, 10),
        ("Burns", 60, 30),
        ("new", 30, 30),
    ]
    assert page.lessons.rows == [("Stay safe", "90"), ("Burns", "60"), ("new", "30")]


def test_with_versions_the_newest_decides_and_a_lesson_stands_where_the_one_that_replaces_it_does() -> None:
    lessons = (Lesson("two", ""), Lesson("new", "Anew", replaces=("one",)))
    catalog = CourseCatalog(Ordered(), {ID: NewestVersion(2, "Aid", 2, lessons)})

    page = build_course_page(ID, found(("gone", 10), ("one", 60), ("two", 90)), catalog)

    assert page.figures is not None
    assert (page.title, [step.title for step in page.figures.steps]) == ("Aid", ["Burns", "Stay safe", "gone"])


def test_the_steepest_step_is_named_and_none_where_nobody_is_lost() -> None:
    lossy, level = (
        build_figures(found(*lessons), CourseCatalog(NoCatalog())) for lessons in ([("a", 90), ("b", 20)], [("a", 100)])
    )

    assert lossy.steepest is not None
    assert (lossy.steepest.title, lossy.steepest.lost) == ("b", 70)
    assert level.steepest is None


def test_a_loss_that_may_be_rounding_does_not_stand_out() -> None:
    assert build_figures(found(("a", 95), ("b", 90)), CourseCatalog(NoCatalog())).steepest is None


@pytest.mark.parametrize(
    ("duration", "said"),
    [
        (Duration(0, HOUR, 5), "under 1 hour"),
        (Duration(DAY, 3 * DAY, 5), "1 day to 3 days"),
        (Duration(90 * DAY, None, 5), "over 90 days"),
        (Duration(0, None, 5), "any time"),
    ],
)
def test_a_span_of_time_is_said_in_words(duration: Duration, said: str) -> None:
    assert describe_duration(duration) == said


def test_a_line_marks_each_day_on_which_versions_began_and_is_told_in_words() -> None:
    days = tuple(ActiveDay(date(2026, 11, day), 10) for day in range(20, 26))
    figures = Analytics(ID, NOW, 100, 40, 40, (), (), days)
    began = [datetime(2026, 11, day, 12, tzinfo=UTC) for day in (24, 21, 21, 2)]
    versions = [Publication(number, at) for number, at in zip((5, 4, 3, 2), began, strict=True)]

    page = build_course_page(ID, figures, CourseCatalog(NoCatalog()), versions)

    assert page.figures is not None
    chart = page.figures.active
    assert page.version == versions[0]
    assert [(mark.x, mark.label, mark.text) for mark in chart.marks] == [
        (16.67, "v4", "versions 3, 4 began on 21 Nov"),
        (66.67, "v5", "version 5 began on 24 Nov"),
    ]
    assert chart.summary.endswith("; versions 3, 4 began on 21 Nov; version 5 began on 24 Nov")
