from datetime import UTC, datetime
from uuid import UUID, uuid4

from events import CourseCompleted, CourseCompletionRevoked, CourseEvent
from worker.demo.comparison import Completions, find_wrong_announcements, find_wrong_dead_letters

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
