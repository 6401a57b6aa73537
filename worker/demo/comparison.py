"""Compares what database, certificate service and dead letters have with what the demo published."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias
from uuid import UUID

from events import CourseCompleted, CourseCompletionRevoked, CourseEvent
from worker.demo.parts import Parts
from worker.demo.traffic import Origin
from worker.postgres.connection import connect
from worker.postgres.failures import translate_errors
from worker.progress.reference import expect_rows, find_wrong_rows, read_rows
from worker.settings import Settings

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
    wanted = expect_rows(traffic.history)
    users = {event.user_id for event, _ in traffic.history}
    connection = await connect(settings)
    try:
        with translate_errors():
            found = {key: row for key, row in (await read_rows(connection)).items() if key[0] in users}
            completions = [Completions(*row) for row in await connection.fetch(COMPLETIONS, list(users))]
    finally:
        await connection.close()
    received = {id: event for id, event in parts.certificates.received.items() if event.user_id in users}
    wrong = find_wrong_rows(wanted, found)
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
        *find_wrong_announcements(completions, received),
        *find_wrong_dead_letters(traffic.bad, traffic.good, observer.rejected),
    ]
    return report, differences


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
    heard = {name_event(event): event for event in received.values()}
    missing = [f"not received: {happened[name]}" for name in happened.keys() - heard.keys()]
    return missing + [f"never happened: {heard[name]!r}" for name in heard.keys() - happened.keys()]


def name_event(event: CourseEvent) -> EventName:
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
