"""Defines the commands of `course-progress catalog`: what courses consist of."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import click

from events.catalog import CatalogEvent, CourseDeleted, CoursePublished
from worker.cli.options import Group, WithExamples
from worker.cli.output import say
from worker.errors import SetupError, Unavailable
from worker.plain_text import escape, to_json
from worker.settings import Settings, settings

T = TypeVar("T")
FILE = click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
MOST_NAMED = 20  # courses


@click.group(
    cls=Group,
    short_help="Says what courses consist of: check, publish, delete, show, status.",
    epilog="course-progress catalog check statistics.yaml\ncourse-progress catalog publish statistics.yaml",
)
def catalog() -> None:
    """Says what courses consist of. A FILE describes a version of one course or of several (docs/catalog.md)."""


@catalog.command(
    cls=WithExamples,
    short_help="Says what publishing a version would change.",
    epilog="course-progress catalog check statistics.yaml\ncourse-progress catalog check statistics.yaml --json",
)
@FILE
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each version.")
def check(path: Path, as_json: bool) -> None:
    """Says what publishing the version would change, and changes nothing. Workers may run."""
    from worker.courses.catalog_file import read_versions

    for version in read_versions(path):
        say(asyncio.run(describe_version(settings(), version, as_json)))


@catalog.command(
    cls=WithExamples,
    short_help="Publishes a version of a course.",
    epilog="course-progress catalog publish statistics.yaml\ncourse-progress catalog publish statistics.yaml --yes",
)
@FILE
@click.option("--yes", is_flag=True, help="Do not ask.")
def publish(path: Path, yes: bool) -> None:
    """Publishes a version, after it has said what that changes and has asked. A version never changes afterwards.

    The first version of all also ends that learners may write over HTTP in courses without one, unless the API's
    PROGRESS_API_UNKNOWN_COURSES is trust. So it names those that were written to lately.
    """
    from worker.courses.catalog_file import read_versions

    versions = read_versions(path)
    asyncio.run(require_new_workers(settings()))
    for version in versions:
        say(asyncio.run(describe_version(settings(), version, as_json=False)))
    if not asyncio.run(has_version(settings())):
        say(asyncio.run(describe_courses_left(settings(), {version.course_id for version in versions})))
    if not yes:
        what = f"version {versions[0].version}" if len(versions) == 1 else f"{len(versions)} courses"
        click.confirm(f"Publish {what}?", abort=True, err=True)
    for version in versions:
        say(f"published: {asyncio.run(publish_event(settings(), version))}")


@catalog.command(
    cls=WithExamples,
    short_help="Says that a course is offered no longer.",
    epilog="course-progress catalog delete 0190a6e2-0000-7000-8000-00000000000a",
)
@click.argument("course_id", metavar="COURSE", type=click.UUID)
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(course_id: UUID, yes: bool) -> None:
    """Says that a course is offered no longer. Nothing is revoked, and a later version brings it back."""
    if not yes:
        click.confirm(f"Delete course {course_id}?", abort=True, err=True)
    say(f"published: {asyncio.run(publish_event(settings(), CourseDeleted(course_id=course_id)))}")


@catalog.command(
    cls=WithExamples,
    short_help="Prints the versions of a course.",
    epilog="course-progress catalog show 0190a6e2-0000-7000-8000-00000000000a | jq .version",
)
@click.argument("course_id", metavar="COURSE", type=click.UUID)
def show(course_id: UUID) -> None:
    """Prints each known version of a course as one JSON object, the newest last."""
    rows = asyncio.run(fetch(settings(), "courses/versions", course_id))
    if not rows:
        raise SetupError(f"course {course_id} has no version")
    for row in rows:
        say(row["version"])


@catalog.command(
    cls=WithExamples,
    short_help="Prints how far recounts are.",
    epilog="course-progress catalog status\ncourse-progress catalog status --json",
)
@click.option("--json", "as_json", is_flag=True, help="Print each course as one JSON object.")
def status(as_json: bool) -> None:
    """Prints, for each course with versions, how far its progress rows are recounted for the newest one."""
    for row in asyncio.run(fetch(settings(), "courses/recount_status")):
        say(to_json(dict(row)) if as_json else format_status(row))


def format_status(row: asyncpg.Record) -> str:
    about = f"about {row['rows_expected']:,}" if row["rows_expected"] is not None else "uncounted"
    state = "recounted" if row["finished_at"] else f"recounting: {row['rows_seen']:,} of {about} rows"
    return (
        f"course {row['course_id']} version {row['version']}: {state}; {row['rows_changed']:,} changed, "
        f"{row['completed']:,} completed, {row['revoked']:,} revoked"
    )


async def describe_version(settings: Settings, version: CoursePublished, as_json: bool) -> str:
    """Returns what publishing the version would change. Raises ValueRefused for a version that is known otherwise."""
    from worker.courses.dry_run import try_version

    run = partial(try_version, version=version, published_at=datetime.now(UTC), say=partial(say, err=True))
    found = await with_connection(settings, run)
    if as_json:
        return to_json({**vars_of(found), "vanished": [vars_of(lesson) for lesson in found.vanished]})
    known = await read_numbers(settings, version.course_id)
    if version.version in known:
        return f"version {version.version} of course {version.course_id} is known: publishing it again changes nothing"
    newest = max(known, default=0)
    lines = [
        *([f"the newest version is {newest}: is {newest + 1} meant?"] if version.version < newest else []),
        f"version {version.version} of course {version.course_id}: {len(version.required)} required lessons, "
        f"{version.needed} needed, {version.policy}",
        f"{found.learners:,} learners: {found.completed:,} would complete, {found.revoked:,} be revoked, "
        f"{found.grandfathered:,} stay complete under an earlier version",
        f"percentage: {found.raised:,} up, {found.lowered:,} down",
    ]
    for lesson in found.vanished:
        renamed = f"; renamed to {escape(lesson.renamed_to)}? Then add `replaces`" if lesson.renamed_to else ""
        lines.append(f"gone: {escape(lesson.lesson_id)}, completed by {lesson.completions:,}{renamed}")
    return "\n".join(lines)


async def read_numbers(settings: Settings, course_id: UUID) -> set[int]:
    """Reads the numbers of the course's known versions."""

    async def run(connection: asyncpg.Connection) -> set[int]:
        rows = await connection.fetch("select version from course_version where course_id = $1", course_id)
        return {row["version"] for row in rows}

    return await with_connection(settings, run)


def vars_of(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


async def require_new_workers(settings: Settings) -> None:
    """Raises WorkersTooOld while a worker runs that does not know versions: it would count by totals."""
    from worker.courses import publishing

    rows = await fetch(settings, "courses/old_workers", settings.consumer_group, publishing.GONE_AFTER_S)
    publishing.refuse_old_workers(rows)


async def has_version(settings: Settings) -> bool:
    """Tells whether any course has a version."""

    async def run(connection: asyncpg.Connection) -> bool:
        return bool(await connection.fetchval("select exists (select from course_version)"))

    return await with_connection(settings, run)


async def describe_courses_left(settings: Settings, published: set[UUID]) -> str:
    """Names the courses that websites wrote to lately and that would have no version beside those `published`."""
    from worker.courses.recent_writes import LATELY, find_written_courses

    first = "no course has had a version. From now on calls over HTTP write only in courses that have one"
    lately = f"in the last {LATELY.days} days"
    try:
        written = await find_written_courses(settings)
    except (SetupError, Unavailable) as error:
        return f"{first}. Which other courses they wrote to {lately} is not known: {error}"
    left = [str(course) for course, _ in written.most_common() if course not in published]
    if not left:
        return f"{first}; they wrote to no other {lately}"
    more = f" and {len(left) - MOST_NAMED:,} more" if len(left) > MOST_NAMED else ""
    return f"{first}. Without a version, and written to {lately}: {', '.join(left[:MOST_NAMED])}{more}"


async def publish_event(settings: Settings, event: CatalogEvent) -> str:
    """Publishes the event, which is durable on return, and returns where it is. Raises PublishFailed."""
    from events import CourseCatalogPublisher
    from worker.kafka.client import client_arguments

    topic = settings.course_catalog_topic
    async with CourseCatalogPublisher(
        **client_arguments(settings), topic=topic, source="command-line", timeout_s=10
    ) as publisher:
        receipt = await publisher.publish(event)
    return f"{receipt.topic} partition {receipt.partition} offset {receipt.offset} id {receipt.event_id}"


async def fetch(settings: Settings, name: str, *arguments: Any) -> list[asyncpg.Record]:
    from worker.postgres.connection import query

    async def run(connection: asyncpg.Connection) -> list[asyncpg.Record]:
        return await connection.fetch(query(name), *arguments)

    return await with_connection(settings, run)


async def with_connection(settings: Settings, run: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """Calls `run` with a connection. Raises DatabaseUnavailable or SetupError."""
    from worker.postgres.connection import close, connect
    from worker.postgres.failures import translate_errors

    connection = await connect(settings, plan_cache_mode="force_custom_plan", enable_seqscan="off", jit="off")
    try:
        with translate_errors(connection):
            return await run(connection)
    finally:
        await close(connection)
