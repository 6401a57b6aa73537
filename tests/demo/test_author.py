"""The demo's author publishes each course once, and changes one while the demo runs."""

from datetime import UTC, datetime, timedelta

from worker.demo.author import CHANGED, OPTIONAL, Author, describe, list_versions
from worker.demo.player import COURSES

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def test_every_course_is_published_first_and_one_again_later() -> None:
    author = Author(second_after_s=10)

    turns = [author.turn(NOW + timedelta(seconds=second)) for second in (0, 9, 10, 11)]

    assert [(version.course_id, version.version) for version in turns[0]] == [(course.id, 1) for course in COURSES]
    assert [[(version.course_id, version.version) for version in turn] for turn in turns[1:]] == [
        [],
        [(CHANGED.id, 2)],
        [],
    ]
    assert [version for turn in turns for version in turn] == list_versions()


def test_the_players_lessons_are_the_versions() -> None:
    for course, version in zip(COURSES, list_versions(), strict=False):
        assert [lesson.lesson_id for lesson in version.lessons] == [
            course.lesson(number) for number in range(1, course.lessons + 1)
        ]
        assert version.needed == course.lessons


def test_the_second_version_needs_fewer_lessons_and_says_so() -> None:
    first, *_, second = [version for version in list_versions() if version.course_id == CHANGED.id]

    assert second.needed == first.needed - OPTIONAL
    assert describe(first) == ""
    assert f"its last {OPTIONAL} lessons are optional" in describe(second)
