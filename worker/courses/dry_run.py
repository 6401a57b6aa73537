"""Says what publishing a version of a course would change, and changes nothing.

It stores the version in a transaction that it rolls back, and asks the function with which a recount judges progress.
So a dry run and the recount agree, on one snapshot of the rows.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from events.catalog import CatalogLesson, CoursePublished
from worker.courses.catalog_sink import store_version
from worker.errors import DatabaseUnavailable, TookTooLong, TooMuchToCompare
from worker.postgres.connection import close, connect, fetch_one, query, with_time_limit
from worker.postgres.failures import translate_errors
from worker.settings import Settings

CHUNK = 5_000  # progress rows
LONGEST_S = 30.0
PLANS = {"plan_cache_mode": "force_custom_plan", "enable_seqscan": "off", "jit": "off"}  # of a session that judges


@dataclass(frozen=True, slots=True)
class VanishedLesson:
    """Describes a lesson that the version has no more, with how many learners have completed it."""

    lesson_id: str
    title: str | None
    completions: int
    renamed_to: str | None  # a new lesson with the same title, or in its place, which does not say `replaces`


@dataclass(slots=True)
class DryRun:
    """Counts the learners for whom something would change."""

    learners: int = 0
    completed: int = 0
    revoked: int = 0
    grandfathered: int = 0  # who stay complete under an earlier version
    raised: int = 0  # percentages
    lowered: int = 0
    vanished: list[VanishedLesson] = field(default_factory=list)

    def add(self, counts: asyncpg.Record) -> None:
        for name, number in counts.items():
            setattr(self, name, getattr(self, name) + number)


async def try_version(
    connection: asyncpg.Connection,
    version: CoursePublished,
    published_at: datetime,
    say: Callable[[str], None] = lambda _: None,
) -> DryRun:
    """Compares the progress rows of a course with what they would be with this version, all in one snapshot.

    Raises ValueRefused for a version that is known with another content, DatabaseUnavailable to be repeated.
    """
    found = DryRun()
    with translate_errors(connection):
        transaction = connection.transaction(isolation="repeatable_read")
        await transaction.start()
        try:
            found.vanished = await _find_vanished(connection, version)
            await store_version(connection, version, published_at)
            await connection.execute(query("courses/close_replacements"), version.course_id)
            after: UUID | None = None
            while users := await _next_users(connection, version.course_id, after):
                found.add(await fetch_one(connection, "courses/compare_version", version.course_id, users))
                after = users[-1]
                say(f"{found.learners:,} learners compared")
        finally:
            await transaction.rollback()
    return found


async def try_version_in_time(settings: Settings, version: CoursePublished) -> DryRun:
    """Does what `try_version` does, over a connection of its own that ends after LONGEST_S, also while it is used.

    Raises TooMuchToCompare when that was too early.
    """
    connection = await connect(with_time_limit(settings, LONGEST_S), **PLANS)
    loop = asyncio.get_running_loop()
    end = loop.call_later(LONGEST_S, connection.terminate)
    try:
        return await try_version(connection, version, datetime.now(UTC))
    except DatabaseUnavailable as error:
        if isinstance(error, TookTooLong) or loop.time() >= end.when():
            raise TooMuchToCompare(f"a dry run took longer than {LONGEST_S:g} s") from error
        raise
    finally:
        end.cancel()
        await close(connection)


async def _next_users(connection: asyncpg.Connection, course_id: UUID, after: UUID | None) -> list[UUID]:
    rows = await connection.fetch(query("courses/recount_chunk"), course_id, after, CHUNK)
    return [row["user_id"] for row in rows]


async def _find_vanished(connection: asyncpg.Connection, version: CoursePublished) -> list[VanishedLesson]:
    kept = {id for lesson in version.lessons for id in (lesson.lesson_id, *lesson.replaces)}
    vanished = await connection.fetch(query("courses/vanished_lessons"), version.course_id, sorted(kept))
    if not vanished:
        return []
    known = await connection.fetch(
        "select lesson_id from course_lesson where course_id = $1 and version < $2", version.course_id, version.version
    )
    before = {row["lesson_id"] for row in known}
    added = {place: lesson for place, lesson in enumerate(version.lessons, 1) if lesson.lesson_id not in before}
    return [
        VanishedLesson(
            row["lesson_id"], row["title"], row["completions"], find_rename(row["position"], row["title"], added)
        )
        for row in vanished
    ]


def find_rename(position: int, title: str | None, added: dict[int, CatalogLesson]) -> str | None:
    """Returns the new lesson that a vanished one may have become: of the same title, else in the same place."""
    same = [lesson.lesson_id for lesson in added.values() if title and lesson.title == title]
    here = [added[position].lesson_id] if position in added else []
    return next(iter([*same, *here]), None)
