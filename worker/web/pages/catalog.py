"""Says what pages know of courses: their newest versions, else the website's own catalog, else ids."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from events.models import normalize_lesson_id
from worker.courses.catalog import Catalog, Lesson
from worker.courses.lessons import NewestVersion
from worker.courses.outlines import Outline
from worker.web.pages.formatting import name_course, name_lesson


def normalize_lesson(lesson: Lesson) -> Lesson:
    """Returns the lesson with its ids as events have them."""
    if lesson.id.isascii() and not lesson.replaces:
        return lesson
    replaces = tuple(map(normalize_lesson_id, lesson.replaces))
    return replace(lesson, id=normalize_lesson_id(lesson.id), replaces=replaces)


class NoCatalog:
    """Shortens a course's id to a title, and knows no lessons."""

    def title(self, course_id: UUID) -> str:
        return name_course(None, course_id)

    def lessons(self, course_id: UUID) -> Sequence[Lesson] | None:
        return None


class CourseCatalog:
    """Lets the newest version of a course go before what the website says. A `Catalog`, which knows some more."""

    def __init__(
        self,
        website: Catalog,
        versions: Mapping[UUID, NewestVersion] | None = None,
        added: Mapping[UUID, int] | None = None,
        waived: Mapping[UUID, Collection[str]] | None = None,
        outlines: Mapping[UUID, Outline] | None = None,
    ) -> None:
        """`added` counts the lessons that came since the learner completed a course (`KnownLessons.count_added`).

        `waived` has those that the learner need not complete. `outlines` say where the learner stands in them.
        """
        self._website = website
        self._versions = versions or {}
        self._added = added or {}
        self._waived = waived or {}
        self._outlines = outlines or {}

    def version(self, course_id: UUID) -> NewestVersion | None:
        """Returns the newest version of the course; None where it has none."""
        return self._versions.get(course_id)

    def added(self, course_id: UUID) -> int:
        return self._added.get(course_id, 0)

    def outline(self, course_id: UUID) -> Outline | None:
        return self._outlines.get(course_id)

    def waived(self, course_id: UUID) -> Collection[str]:
        return self._waived.get(course_id, ())

    def title(self, course_id: UUID) -> str:
        version = self.version(course_id)
        return (version and version.title) or self._website.title(course_id)

    def lessons(self, course_id: UUID) -> Sequence[Lesson] | None:
        version = self.version(course_id)
        return version.lessons if version else self._list_website_lessons(course_id)

    def _list_website_lessons(self, course_id: UUID) -> Sequence[Lesson] | None:
        lessons = self._website.lessons(course_id)
        return lessons and [normalize_lesson(lesson) for lesson in lessons]

    def name_lessons(self, course_id: UUID, lesson_ids: Sequence[str]) -> list[Lesson]:
        """Describes these lessons. One without a title has the website's, else its id."""
        known = {lesson.id: lesson for lesson in self.lessons(course_id) or ()}
        found = [known.get(lesson_id) or Lesson(lesson_id, "") for lesson_id in lesson_ids]
        if all(lesson.title for lesson in found):
            return found
        titles = {lesson.id: lesson.title for lesson in self._list_website_lessons(course_id) or ()}
        return [
            lesson if lesson.title else replace(lesson, title=titles.get(lesson.id) or name_lesson(lesson.id))
            for lesson in found
        ]
