"""States the rules of versions (8 to 11) as plainly as possible; tests compare with it, as with `reference.py`."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from events.catalog import CoursePublished

ALWAYS = datetime.min.replace(tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)


class Standing(NamedTuple):
    """Says how far a learner is in a course, and by which version of it."""

    version: int
    lessons_completed: int
    total_lessons: int
    completed_at: datetime | None


def find_standing(versions: Mapping[int, tuple[CoursePublished, datetime]], dates: Mapping[str, datetime]) -> Standing:
    """Finds a learner's standing, from the versions, each with its publication, and the dates of completed lessons."""
    numbers = sorted(versions)
    met = {number: find_met(versions, number, dates) for number in numbers}
    held = hold(versions, met)
    version, completed_at = held or (numbers[-1], None)
    needed = versions[version][0].needed
    return Standing(version, min(len(met[version]), needed), needed, completed_at)


def find_met(
    versions: Mapping[int, tuple[CoursePublished, datetime]], number: int, dates: Mapping[str, datetime]
) -> list[datetime]:
    """Rule 8: the dates of the required lessons that are met, in order."""
    found = (
        min((dates[id] for id in find_equals(lesson, versions) if id in dates), default=None)
        for lesson in versions[number][0].required
    )
    return sorted(date for date in found if date)


def find_equals(lesson: str, versions: Mapping[int, tuple[CoursePublished, datetime]]) -> set[str]:
    """Returns the lesson and all that it replaces, by any version, and what these replace."""
    found, unseen = {lesson}, [lesson]
    while unseen:
        new = set(find_replaced(unseen.pop(), versions)) - found
        found |= new
        unseen += new
    return found


def find_replaced(lesson_id: str, versions: Mapping[int, tuple[CoursePublished, datetime]]) -> Iterable[str]:
    for published, _ in versions.values():
        for lesson in published.lessons:
            if lesson.lesson_id == lesson_id:
                yield from lesson.replaces


def hold(
    versions: Mapping[int, tuple[CoursePublished, datetime]], met: Mapping[int, list[datetime]]
) -> tuple[int, datetime] | None:
    """Rules 9 and 10: the version under which the course is complete, and since when; None: it is not complete."""
    held: tuple[int, datetime] | None = None
    since = ALWAYS
    numbers = sorted(versions)
    for number, following in zip(numbers, [*numbers[1:], None], strict=True):
        published, at = versions[number]
        since = max(since, at) if number != numbers[0] else ALWAYS
        until = max(since, versions[following][1]) if following else NEVER
        made_up = met[number][published.needed - 1] if len(met[number]) >= published.needed else NEVER
        if held and published.policy == "reopen":
            held = (number, held[1]) if made_up <= max(held[1], since) else None
        if not held and made_up < NEVER and max(made_up, since) < until:
            held = (number, max(made_up, since))
    return held
