"""Compares what database, certificate service and dead letters have with what the demo published."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeAlias
from uuid import UUID

import asyncpg

from events import (
    CourseCompleted,
    CourseCompletionRevoked,
    CourseEvent,
    CoursePublished,
    LessonCompleted,
    LessonEvent,
    ProgressReset,
)
from worker.demo.author import list_versions
from worker.demo.parts import Parts
from worker.demo.traffic import Origin
from worker.postgres.connection import connect
from worker.postgres.failures import translate_errors
from worker.progress.fold import CourseKey
from worker.progress.reference import ProgressRow, expect_rows, find_wrong_rows, read_rows
from worker.progress.version_reference import find_standing
from worker.settings import Settings

# The versions of each course, by number, each with its publication.
Versions: TypeAlias = dict[UUID, dict[int, tuple[CoursePublished, datetime]]]
EventName: TypeAlias = tuple[str, UUID, UUID, int]  # type, user, course, completion number

COMPLETIONS = """
select user_id, course_id, completion_number, completed_at is not null as complete
from course_progress_all where user_id = any($1) and completion_number > 0
"""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Holds the result that `demo --json` prints. None means not compared, because the demo ran without a duration."""

    published: int
    applied: int
    rejected: int
    progress_rows: int | None = None
    lessons_completed: int | None = None
    completions: int | None = None
    course_completed_received: int
    wrong_rows: int | None = None
    seconds: int
    broker: str


class Completions(NamedTuple):
    """Says how often a user has completed a course, and whether the course is complete now."""

    user_id: UUID
    course_id: UUID
    number: int
    complete: bool


async def compare(settings: Settings, parts: Parts, seconds: int, broker: str) -> tuple[Report, list[str]]:
    """Builds the report, and a line for each difference. Reads only the learners of this demo."""
    traffic, observer = parts.traffic, parts.observer
    users = {event.user_id for event, _ in traffic.history}
    connection = await connect(settings)
    try:
        with translate_errors():
            found = {key: row for key, row in (await read_rows(connection)).items() if key[0] in users}
            completions = [Completions(*row) for row in await connection.fetch(COMPLETIONS, list(users))]
            versions = await read_versions(connection)
    finally:
        await connection.close()
    received = {id: event for id, event in parts.certificates.received.items() if event.user_id in users}
    wrong = find_wrong_rows(judge_rows(expect_rows(traffic.history), traffic.history, versions), found)
    own = traffic.good | traffic.bad
    rejected = observer.rejected & own
    applied = sum(offset < observer.offsets[topic, partition] for topic, partition, offset in own) - len(rejected)
    report = Report(
        published=traffic.published,
        applied=applied,
        rejected=len(rejected),
        progress_rows=len(found),
        lessons_completed=sum(row.lessons_completed for row in found.values()),
        completions=sum(c.number for c in completions),
        course_completed_received=sum(isinstance(event, CourseCompleted) for event in received.values()),
        wrong_rows=len(wrong),
        seconds=seconds,
        broker=broker,
    )
    differences = [
        *wrong,
        *find_missing_versions(traffic.versions, versions),
        *find_wrong_announcements(completions, received),
        *find_wrong_dead_letters(traffic.bad, traffic.good, observer.rejected),
    ]
    return report, differences


async def read_versions(connection: asyncpg.Connection) -> Versions:
    """Reads when the demo's versions were published: by this demo, or by one before on the same servers."""
    known = {(version.course_id, version.version): version for version in list_versions()}
    found: Versions = {}
    for course_id, number, at in await connection.fetch("select course_id, version, published_at from course_version"):
        if version := known.get((course_id, number)):
            found.setdefault(course_id, {})[number] = (version, at)
    return found


def find_missing_versions(published: Iterable[CoursePublished], found: Versions) -> list[str]:
    """Finds versions that were published and are not stored; a line each."""
    missing = [version for version in published if version.version not in found.get(version.course_id, {})]
    return [f"not stored: version {version.version} of {version.title}" for version in missing]


def judge_rows(
    rows: Mapping[CourseKey, ProgressRow], history: Iterable[tuple[LessonEvent, datetime]], versions: Versions
) -> dict[CourseKey, ProgressRow]:
    """Returns the rows as they must be by the versions of their courses (rules 8 to 11)."""
    dates = find_dates(history)
    return {
        key: judge_row(row, dates.get(key, {}), versions[key[1]]) if key[1] in versions else row
        for key, row in rows.items()
    }


def find_dates(history: Iterable[tuple[LessonEvent, datetime]]) -> dict[CourseKey, dict[str, datetime]]:
    """Finds when each lesson was completed first since the last reset of its course."""
    events = sorted(history, key=lambda happened: happened[1])
    dates: dict[CourseKey, dict[str, datetime]] = {}
    for event, at in events:
        key = (event.user_id, event.course_id)
        match event:
            case ProgressReset():
                dates.pop(key, None)
            case LessonCompleted(lesson_id=lesson_id):
                dates.setdefault(key, {}).setdefault(lesson_id, at)
    return dates


def judge_row(
    row: ProgressRow, dates: Mapping[str, datetime], versions: Mapping[int, tuple[CoursePublished, datetime]]
) -> ProgressRow:
    standing = find_standing(versions, {id: at for id, at in dates.items() if id in row.completed_lessons})
    complete, total = standing.completed_at is not None, standing.total_lessons
    nearest = (200 * standing.lessons_completed + total) // (2 * total)
    return row._replace(
        lessons_completed=standing.lessons_completed,
        total_lessons=total,
        progress_percentage=100 if complete else min(99, nearest),
        complete=complete,
    )


def build_uncompared_report(parts: Parts, seconds: int, broker: str) -> Report:
    """Builds the report of a demo without a duration, which keeps nothing to compare with."""
    return Report(
        published=parts.traffic.published,
        applied=parts.observer.applied - parts.observer.dead_letters,
        rejected=parts.observer.dead_letters,
        course_completed_received=parts.certificates.issued,
        seconds=seconds,
        broker=broker,
    )


def find_wrong_announcements(completions: Iterable[Completions], received: Mapping[str, CourseEvent]) -> list[str]:
    """Finds course events that the database implies and the service did not receive, or the reverse; a line each."""
    happened = list_expected_events(completions)
    about = (CourseCompleted, CourseCompletionRevoked)
    heard = {name_event(event): event for event in received.values() if isinstance(event, about)}
    missing = [f"not received: {happened[name]}" for name in happened.keys() - heard.keys()]
    return missing + [f"never happened: {heard[name]!r}" for name in heard.keys() - happened.keys()]


def name_event(event: CourseCompleted | CourseCompletionRevoked) -> EventName:
    """Names a course event by what it is about, without the time that its id has too."""
    return type(event).__name__, event.user_id, event.course_id, event.completion_number


def list_expected_events(completions: Iterable[Completions]) -> dict[EventName, str]:
    """Describes every completion and revocation that the rows' completion numbers imply, by the event's name."""
    return {
        (kind.__name__, c.user_id, c.course_id, number): f"{kind.__name__} {number} of {c}"
        for c in completions
        for kind in (CourseCompleted, CourseCompletionRevoked)
        # Each completion except the last was revoked; the last was, too, if the course is not complete now.
        for number in range(1, c.number + (kind is CourseCompleted or not c.complete))
    }


def find_wrong_dead_letters(bad: set[Origin], good: set[Origin], found: set[Origin]) -> list[str]:
    """Finds bad records that are not dead letters, and good records that are; a line for each.

    A record that Kafka stored without acknowledging it is in neither set, so it may be a dead letter or not.
    """
    missing = [f"bad, but not a dead letter: {origin}" for origin in sorted(bad - found)]
    return missing + [f"good, but a dead letter: {origin}" for origin in sorted(good & found)]
