"""Reads what the cards of "My learning" show."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from worker.courses.catalog import Catalog
from worker.courses.lessons import CourseLessons, KnownLessons
from worker.courses.outlines import Outlines
from worker.learners.reads import MOST_LESSONS, CourseProgress, ProgressReader, ReadResult
from worker.web.certificates import CertificateService
from worker.web.pages.catalog import CourseCatalog
from worker.web.pages.certificates import add_certificates
from worker.web.pages.learning import CourseCard, build_cards, choose_shown, fill_cards


@dataclass(frozen=True, slots=True)
class PageCatalog:
    """Reads what is known of a learner's courses: by their newest versions, else by the website's catalog."""

    website: Catalog
    reads: ProgressReader
    lessons: KnownLessons
    outlines: Outlines

    async def read(self, user_id: UUID, rows: list[CourseProgress]) -> CourseCatalog:
        return await self._read(user_id, [row.course_id for row in rows])

    async def read_course(self, user_id: UUID, course_id: UUID) -> CourseCatalog:
        return await self._read(user_id, [course_id])

    async def _read(self, user_id: UUID, course_ids: list[UUID]) -> CourseCatalog:
        versions = await self.lessons.read_versions(course_ids) if course_ids else {}
        if not versions:
            return CourseCatalog(self.website)
        added, waived, outlines = await asyncio.gather(
            self.lessons.count_added(user_id, versions),
            self.lessons.read_waived(user_id, versions),
            self.outlines.read_outlines(self.reads, user_id, versions),
        )
        return CourseCatalog(self.website, versions, added, waived, outlines.value)


async def find_lessons(
    known: KnownLessons, user_id: UUID, rows: list[CourseProgress], catalog: CourseCatalog
) -> Mapping[UUID, CourseLessons]:
    """Returns the lessons that events name, for the courses that the catalog does not know."""
    unknown = [row.course_id for row in rows if catalog.lessons(row.course_id) is None]
    return await known.read_lessons(user_id, unknown) if unknown else {}


async def read_cards(
    reads: ProgressReader,
    lessons: KnownLessons,
    user_id: UUID,
    page: ReadResult[list[CourseProgress]],
    catalog: CourseCatalog,
) -> tuple[CourseCard, ...]:
    """Builds the cards. Of courses whose list of completed lessons is cut, it asks which of the shown are completed."""
    rows = page.value
    known = await find_lessons(lessons, user_id, rows, catalog)
    # Of a course with versions the number of completed lessons does not tell whether all of them are listed.
    full = sum(len(row.completed_lessons) for row in rows) >= MOST_LESSONS
    cut = {row.course_id: set[str]() for row in rows if row.more_lessons or (full and catalog.version(row.course_id))}
    if not cut:
        return build_cards(rows, catalog, known, page.as_of)
    shown = choose_shown(rows, catalog, known)
    asked = [
        (course_id, lesson_id)
        for course_id in cut
        for lesson in shown[course_id].lessons
        for lesson_id in (lesson.id, *lesson.replaces)
    ]
    completed = cut | await reads.find_completed(user_id, asked) if asked else cut
    return fill_cards(rows, catalog, shown, page.as_of, completed)


async def read_certificates(
    service: CertificateService, user_id: UUID, cards: tuple[CourseCard, ...], catalog: CourseCatalog, now: datetime
) -> tuple[CourseCard, ...]:
    """Adds the learner's certificates to these cards."""
    if not cards:
        return cards
    _, found = await service.reads.read_of_learner(user_id, [card.id for card in cards])
    everywhere = service.settings.certificates_without_catalog
    return add_certificates(
        cards, found, service.build_link, lambda course: everywhere or catalog.version(course) is not None, now
    )
