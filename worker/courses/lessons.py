"""Works out which lessons a course has: by its newest version, or else from learners' events."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import asyncpg
from cachetools import TTLCache

from worker.courses.anonymity import K
from worker.courses.catalog import Lesson
from worker.postgres.connection import query, with_time_limit
from worker.postgres.pool import connect_pool
from worker.settings import Settings

LONGEST_S = 5.0

SAMPLED_LEARNERS = 200  # per course: some 10 ms, also for a course of thousands
SAMPLED_LESSONS = 1000  # per sampled learner
MOST_PUBLICATIONS = 12
MOST_LESSONS = 300  # of a course that are listed: this learner's own, and as many common ones
KEPT_BYTES, KEPT_S = 16 * 1024 * 1024, 60  # common lessons that are cached, and as much of versions


@dataclass(frozen=True, slots=True)
class LessonState:
    """Describes a lesson of a course, and when the learner completed it; None: not, or no longer."""

    lesson_id: str
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class CourseLessons:
    """Lists the known lessons of a course, in the order in which learners complete them.

    `lessons` are the learner's own and those that enough other learners completed: often fewer than `total_lessons`,
    which is the latest event's, and sometimes more. Of a course with very many, some are left out: MOST_LESSONS.
    """

    total_lessons: int | None  # None: no event has said it yet
    lessons: tuple[LessonState, ...]


@dataclass(frozen=True, slots=True)
class NewestVersion:
    """Describes the newest version of a course. A lesson without a title has an empty one."""

    version: int
    title: str | None
    needed: int  # how many of the required lessons complete the course
    lessons: tuple[Lesson, ...]


@dataclass(frozen=True, slots=True)
class Publication:
    """Says when a version of a course was published."""

    version: int
    published_at: datetime


class KnownLessons:
    """Reads the lessons of a learner's courses. An async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = with_time_limit(settings, LONGEST_S)
        self._common: TTLCache[UUID, tuple[str, ...]] = TTLCache(KEPT_BYTES, KEPT_S, getsizeof=measure)
        self._of_versions: TTLCache[tuple[UUID, int], tuple[Lesson, ...]] = TTLCache(
            KEPT_BYTES, KEPT_S, getsizeof=measure_lessons
        )

    async def __aenter__(self) -> Self:
        self._pool = await connect_pool(self._settings, max_size=5)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._pool.close()

    async def read_lessons(self, user_id: UUID, course_ids: Collection[UUID]) -> dict[UUID, CourseLessons]:
        """Returns lessons by course id; courses in which the learner has no progress are missing.

        Other learners' lessons are at most KEPT_S old. Raises DatabaseUnavailable.
        """
        totals: dict[UUID, int | None] = {}
        own: dict[UUID, list[LessonState]] = defaultdict(list)
        for row in await self._fetch("courses/lessons_of_learner", user_id, list(course_ids), MOST_LESSONS):
            totals[row["course_id"]] = row["total_lessons"]
            if row["lesson_id"] is not None:
                own[row["course_id"]].append(LessonState(row["lesson_id"], row["completed_at"]))
        common = await asyncio.gather(*map(self._read_common_lessons, totals))
        return {
            course_id: CourseLessons(total, merge_lessons(own[course_id], known))
            for (course_id, total), known in zip(totals.items(), common, strict=True)
        }

    async def read_versions(self, course_ids: Collection[UUID]) -> dict[UUID, NewestVersion]:
        """Returns the newest version by course id; courses without one are missing. Raises DatabaseUnavailable.

        One course after the other, so that none with thousands of lessons takes the event loop for long.
        """
        newest = await self._fetch("courses/newest_versions", list(course_ids))
        return {
            row["course_id"]: NewestVersion(
                row["version"],
                row["title"],
                row["needed"],
                await self._read_lessons_of_version(row["course_id"], row["version"]),
            )
            for row in newest
        }

    async def read_publications(self, course_id: UUID, since: datetime) -> list[Publication]:
        """Returns the newest version and those published since then, the newest first; MOST_PUBLICATIONS at most.

        Raises DatabaseUnavailable.
        """
        rows = await self._fetch("courses/publications", course_id, since, MOST_PUBLICATIONS)
        return [Publication(row["version"], row["published_at"]) for row in rows]

    async def count_added(self, user_id: UUID, course_ids: Collection[UUID]) -> dict[UUID, int]:
        """Counts, by course id, the lessons added since the learner completed it and not met since; none is missing.

        Raises DatabaseUnavailable.
        """
        rows = await self._fetch("courses/added_lessons", user_id, list(course_ids)) if course_ids else []
        return {row["course_id"]: row["added"] for row in rows}

    async def read_waived(self, user_id: UUID, course_ids: Collection[UUID]) -> dict[UUID, set[str]]:
        """Returns, by course id, the lessons that the learner need not complete. Raises DatabaseUnavailable."""
        found: dict[UUID, set[str]] = {}
        for row in await self._fetch("courses/waived_lessons", user_id, list(course_ids)) if course_ids else []:
            found.setdefault(row["course_id"], set()).add(row["lesson_id"])
        return found

    async def _read_lessons_of_version(self, course_id: UUID, version: int) -> tuple[Lesson, ...]:
        known = self._of_versions.get((course_id, version))
        if known is None:
            rows = await self._fetch("courses/lessons_of_version", course_id, version)
            known = tuple(map(build_lesson, rows))
            with suppress(ValueError):  # larger than the cache
                self._of_versions[course_id, version] = known
        return known

    async def _read_common_lessons(self, course_id: UUID) -> tuple[str, ...]:
        known = self._common.get(course_id)
        if known is None:
            sample = (SAMPLED_LEARNERS, SAMPLED_LESSONS, MOST_LESSONS)
            rows = await self._fetch("courses/common_lessons", course_id, K, *sample)
            known = self._common[course_id] = tuple(row["lesson_id"] for row in rows)
        return known

    async def _fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        return await self._pool.fetch(query(name), *arguments)


def build_lesson(row: asyncpg.Record) -> Lesson:
    """Builds a lesson from a row of `lessons_of_version.sql`."""
    return Lesson(
        id=row["lesson_id"],
        title=row["title"] or "",
        href=row["href"],
        required=row["required"],
        replaces=tuple(row["replaces"]),
        section=row["section"],
        requires=tuple(row["requires"]),
    )


def measure(lessons: tuple[str, ...]) -> int:
    """Returns about how many bytes these ids take in memory, and the entry of a cache around them."""
    return 500 + sum(60 + 4 * len(lesson_id) for lesson_id in lessons)


def measure_lessons(lessons: tuple[Lesson, ...]) -> int:
    """Returns about how many bytes these lessons take in memory, and the entry of a cache around them."""
    texts = (
        text
        for lesson in lessons
        for text in (
            lesson.id,
            lesson.title,
            lesson.href or "",
            lesson.section or "",
            *lesson.replaces,
            *lesson.requires,
        )
    )
    return 500 + sum(60 + 4 * len(text) for text in texts) + 100 * len(lessons)


def merge_lessons(own: Iterable[LessonState], common: Iterable[str]) -> tuple[LessonState, ...]:
    """Returns the common lessons in their order, then those that only this learner has."""
    left = {state.lesson_id: state for state in own}
    first = [left.pop(lesson_id, LessonState(lesson_id, None)) for lesson_id in common]
    return (*first, *left.values())
