"""Builds test data: events, records, dead letters, statuses."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from aiokafka.structs import ConsumerRecord

from events.envelope import binary
from events.models import CourseAccessed, LessonCompleted, LessonEvent, LessonUncompleted, ProgressReset
from worker.deadletters.letter import Letter, Position, read_entry
from worker.operations.snapshot import WorkerStatus

# Events of many learners

NOW = datetime.now(UTC).replace(microsecond=0)
Happened = tuple[LessonEvent, datetime]


def histories(learners: int, seed: int) -> list[Happened]:
    """Builds events of many learners: late, out of order and repeated, with un-completions and resets."""
    rng = random.Random(seed)
    courses = {UUID(int=rng.getrandbits(128)): rng.choice([1, 2, 5]) for _ in range(4)}
    happened: list[Happened] = []
    for _ in range(learners):
        user, course = UUID(int=rng.getrandbits(128)), rng.choice(list(courses))
        for _ in range(rng.randint(1, 20)):
            happened.append((an_event(rng, user, course, courses[course]), NOW - timedelta(hours=rng.randint(0, 99))))
    happened += rng.sample(happened, len(happened) // 5)
    rng.shuffle(happened)
    return happened


def an_event(rng: random.Random, user: UUID, course: UUID, total: int) -> LessonEvent:
    lesson = f"lesson-{rng.randrange(total)}"
    kind = rng.choices([LessonCompleted, LessonUncompleted, CourseAccessed, ProgressReset], [70, 8, 20, 2])[0]
    if kind is CourseAccessed:
        return CourseAccessed(user_id=user, course_id=course, lesson_id=lesson)
    if kind is ProgressReset:
        return ProgressReset(user_id=user, course_id=course)
    return kind(user_id=user, course_id=course, lesson_id=lesson, total_lessons=total)


# Events of one learner in one course, at hours of one day

START = datetime(2026, 1, 1, tzinfo=UTC)
USER, OTHER_USER, COURSE = uuid4(), uuid4(), uuid4()


def at(hour: int) -> datetime:
    return START + timedelta(hours=hour)


def completed(lesson: str, hour: int, total: int = 2) -> tuple[LessonEvent, datetime]:
    return LessonCompleted(user_id=USER, course_id=COURSE, lesson_id=lesson, total_lessons=total), at(hour)


def uncompleted(lesson: str, hour: int, total: int = 2) -> tuple[LessonEvent, datetime]:
    return LessonUncompleted(user_id=USER, course_id=COURSE, lesson_id=lesson, total_lessons=total), at(hour)


def reset(hour: int) -> tuple[LessonEvent, datetime]:
    return ProgressReset(user_id=USER, course_id=COURSE), at(hour)


def accesses(number: int) -> list[Happened]:
    """Builds accesses of USER, all of one partition, each to a course of its own."""
    return [(CourseAccessed(user_id=USER, course_id=uuid4()), NOW) for _ in range(number)]


# Records of lesson events, as the consumer gets them

APPENDED = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EVENT = CourseAccessed(user_id=uuid4(), course_id=uuid4())


def record(at: datetime = APPENDED, **changed: Any) -> ConsumerRecord:
    headers, value = binary(EVENT, id="1", time=at, source="tests")
    fields = {
        "topic": "lesson-events",
        "partition": 3,
        "offset": 7,
        "timestamp": int(APPENDED.timestamp() * 1000),
        "timestamp_type": 0,
        "key": None,
        "value": value,
        "checksum": None,
        "serialized_key_size": 0,
        "serialized_value_size": 0,
        "headers": headers,
    }
    return ConsumerRecord(**fields | changed)


# Dead letters

AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
LETTER_POSITION = Position(0, 7)
DLQ_HEADERS = {
    "dlq_topic": "lesson-events",
    "dlq_partition": "2",
    "dlq_offset": "41",
    "dlq_kind": "schema",
    "dlq_reason": "user_id: Field required",
    "dlq_rejected_at": AT.isoformat(),
    "dlq_consumer_group": "course-progress",
    "dlq_attempts": "3",
}


def letter_record(position: Position, *, without: str = "", value: bytes = b"{}", **ours: str) -> ConsumerRecord:
    """Builds a record of the dead letter topic, as a worker writes it."""
    added = [(name, text.encode()) for name, text in (DLQ_HEADERS | ours).items() if name != without]
    headers = [*record().headers, *added]
    return record(
        topic="dlq", partition=position.partition, offset=position.offset, value=value, headers=tuple(headers)
    )


def letter(position: Position = LETTER_POSITION, **changed: Any) -> Letter:
    found = read_entry(letter_record(position, **changed))
    assert isinstance(found, Letter)
    return found


# The status that a worker reports

SNAPSHOT_AT = datetime(2026, 11, 25, tzinfo=UTC)


def status(worker: str = "a", **changed: object) -> WorkerStatus:
    usual = {
        "host": "h", "version": "1", "started_at": SNAPSHOT_AT, "partitions": [0], "events_per_s": 10.0, "busy": 0.5,
        "capacity_per_s": 1000.0, "visible_p50_s": 0.01, "visible_p99_s": 0.02, "dead_letters": 0, "breaker": None,
        "waiting_for": None, "silent_s": 1.0,
    }  # fmt: skip
    return WorkerStatus(worker, **usual | changed)
