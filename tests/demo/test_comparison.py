from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from events import (
    CatalogLesson,
    CertificateIssued,
    CourseCompleted,
    CourseCompletionRevoked,
    CourseEvent,
    CoursePublished,
    LessonCompleted,
    LessonEvent,
    LessonUncompleted,
    ProgressReset,
)
from worker.demo.comparison import (
    Completions,
    Versions,
    find_missing_versions,
    find_wrong_announcements,
    find_wrong_dead_letters,
    judge_rows,
)
from worker.progress.reference import expect_rows

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
USER, COURSE = uuid4(), uuid4()


def completed(number: int) -> tuple[str, CourseEvent]:
    ids = {"user_id": USER, "course_id": COURSE, "completion_number": number}
    event = CourseCompleted(**ids, completed_at=NOW, lessons_completed=1, total_lessons=1, started_at=NOW)
    return str(uuid4()), event


def revoked(number: int) -> tuple[str, CourseEvent]:
    ids = {"user_id": USER, "course_id": COURSE, "completion_number": number}
    event = CourseCompletionRevoked(**ids, revoked_at=NOW, lessons_completed=0, total_lessons=1)
    return str(uuid4()), event


def times(number: int, *, complete: bool, course_id: UUID = COURSE) -> list[Completions]:
    return [Completions(USER, course_id, number, complete)]


def test_every_completion_is_announced_and_every_one_but_the_present_taken_back() -> None:
    received = dict([completed(1), revoked(1), completed(2)])

    assert find_wrong_announcements(times(2, complete=True), received) == []
    assert find_wrong_announcements(times(2, complete=False), dict([*received.items(), revoked(2)])) == []


def test_what_follows_from_a_completion_is_no_completion() -> None:
    certificate = CertificateIssued(
        user_id=USER,
        course_id=COURSE,
        completion_number=1,
        code="k5xw63tfon2ca5dimuqgy2lomu",
        course_version=1,
        issue=1,
        issued_at=NOW,
    )

    assert find_wrong_announcements(times(1, complete=True), dict([completed(1), ("c", certificate)])) == []


def test_a_completion_that_nobody_heard_of_is_a_difference() -> None:
    [line] = find_wrong_announcements(times(1, complete=True), {})

    assert line.startswith("not received: CourseCompleted 1")


def test_a_completion_that_is_not_in_the_database_is_a_difference() -> None:
    [line] = find_wrong_announcements([], dict([completed(1)]))

    assert line.startswith("never happened")


def test_a_missing_revocation_is_a_difference() -> None:
    assert len(find_wrong_announcements(times(1, complete=False), dict([completed(1)]))) == 1


def test_the_bad_records_and_no_others_are_dead_letters() -> None:
    bad, good = {("lessons", 0, 1)}, {("lessons", 0, 0), ("lessons", 1, 0)}

    assert find_wrong_dead_letters(bad, good, bad) == []
    assert find_wrong_dead_letters(bad, good, {*bad, ("elsewhere", 0, 7)}) == []
    assert find_wrong_dead_letters(bad, good, set()) == ["bad, but not a dead letter: ('lessons', 0, 1)"]
    assert find_wrong_dead_letters(set(), good, {("lessons", 0, 0)}) == ["good, but a dead letter: ('lessons', 0, 0)"]


# Versions

IDS = {"user_id": USER, "course_id": COURSE}
HOUR = timedelta(hours=1)


def published(version: int, *required: str, optional: str = "") -> CoursePublished:
    lessons = [CatalogLesson(lesson_id=id, required=id not in optional) for id in [*required, *optional]]
    return CoursePublished(course_id=COURSE, version=version, lessons=tuple(lessons))


FIRST, SECOND = published(1, "a", "b", "c"), published(2, "a", "b", optional="c")
BOTH: Versions = {COURSE: {1: (FIRST, NOW - 99 * HOUR), 2: (SECOND, NOW)}}


def done(lesson: str, after_h: float) -> tuple[LessonEvent, datetime]:
    return LessonCompleted(**IDS, lesson_id=lesson, total_lessons=3), NOW + after_h * HOUR


@pytest.mark.parametrize(
    ("history", "wanted"),
    [
        ([done("a", -2), done("b", -1)], (2, 2, 100, True)),
        ([done("a", -2), done("b", 1), done("c", 2)], (2, 2, 100, True)),
        ([done("a", -3), done("b", -2), done("c", -1)], (3, 3, 100, True)),
        ([done("a", -3), done("c", -1)], (1, 2, 50, False)),
        ([done("a", -3), done("b", -2), (ProgressReset(**IDS), NOW - HOUR), done("b", 1)], (1, 2, 50, False)),
        (
            [done("a", -3), done("b", -2), (LessonUncompleted(**IDS, lesson_id="b", total_lessons=3), NOW)],
            (1, 2, 50, False),
        ),
    ],
    ids=["at its publication", "later", "before", "not yet", "started over", "taken back"],
)
def test_a_row_is_judged_by_the_versions_of_its_course(
    history: list[tuple[LessonEvent, datetime]], wanted: tuple[int, int, int, bool]
) -> None:
    [row] = judge_rows(expect_rows(history), history, BOTH).values()

    assert (row.lessons_completed, row.total_lessons, row.progress_percentage, row.complete) == wanted


def test_a_course_without_a_version_is_left_as_it_is() -> None:
    history = [done("a", 0)]

    assert judge_rows(expect_rows(history), history, {}) == expect_rows(history)


def test_a_version_that_is_not_stored_is_a_difference() -> None:
    assert find_missing_versions([FIRST, SECOND], BOTH) == []
    assert len(find_missing_versions([FIRST, SECOND], {COURSE: {1: (FIRST, NOW)}})) == 1
