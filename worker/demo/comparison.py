"""What the demo found, compared with what it published."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from events import CourseCompleted, CourseCompletionRevoked, CourseEvent, course_event_id
from worker.demo.parts import Parts
from worker.demo.traffic import Origin
from worker.postgres.connection import connect
from worker.postgres.failures import translate_errors
from worker.progress.reference import expected, stored, wrong_rows
from worker.settings import Settings

COMPLETIONS = """
select user_id, course_id, completion_number, completed_at is not null as complete
from course_progress_all where user_id = any($1) and completion_number > 0
"""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `demo --json` prints. None: not compared, because the demo was to run until it is stopped."""

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
    """How often a user has completed a course, and whether it is complete now."""

    user_id: UUID
    course_id: UUID
    number: int
    complete: bool


async def compare(settings: Settings, parts: Parts, seconds: int, broker: str) -> tuple[Report, list[str]]:
    """The report, and a line for each difference. Looks only at the learners of this demo."""
    traffic, observer = parts.traffic, parts.observer
    wanted = expected(traffic.history)
    users = {event.user_id for event, _ in traffic.history}
    connection = await connect(settings)
    try:
        with translate_errors():
            found = {key: row for key, row in (await stored(connection)).items() if key[0] in users}
            completions = [Completions(*row) for row in await connection.fetch(COMPLETIONS, list(users))]
    finally:
        await connection.close()
    received = {id: event for id, event in parts.certificates.received.items() if event.user_id in users}
    wrong = wrong_rows(wanted, found)
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
    """The report of an endless demo, which has remembered nothing that could be compared."""
    return Report(
        published=parts.traffic.published,
        applied=parts.observer.applied - parts.observer.dead_letters,
        rejected=parts.observer.dead_letters,
        course_completed_received=parts.certificates.issued,
        seconds=seconds,
        broker=broker,
    )


def find_wrong_announcements(completions: Iterable[Completions], received: Mapping[str, CourseEvent]) -> list[str]:
    """One line per course event that was not received although it happened, or the other way round."""
    happened = list_expected_events(completions)
    missing = [f"not received: {happened[id]}" for id in happened.keys() - received.keys()]
    return missing + [f"never happened: {received[id]!r}" for id in received.keys() - happened.keys()]


def list_expected_events(completions: Iterable[Completions]) -> dict[str, str]:
    """Every completion and revocation that the rows' numbers tell of, by the id it is published under."""
    return {
        str(course_event_id(kind.__name__, c.user_id, c.course_id, number)): f"{kind.__name__} {number} of {c}"
        for c in completions
        for kind in (CourseCompleted, CourseCompletionRevoked)
        # Each completion but the last was taken back, and the last if the course is not complete now.
        for number in range(1, c.number + (kind is CourseCompleted or not c.complete))
    }


def find_wrong_dead_letters(bad: set[Origin], good: set[Origin], found: set[Origin]) -> list[str]:
    """One line per bad record that is no dead letter, or good one that is. A record that Kafka stored without
    acknowledging it is in neither, and may be either.
    """
    missing = [f"bad, and no dead letter: {origin}" for origin in sorted(bad - found)]
    return missing + [f"good, and a dead letter: {origin}" for origin in sorted(good & found)]
