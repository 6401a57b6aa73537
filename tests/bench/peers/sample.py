"""Generates known events for the peers' own test: what many learners do, without resets."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from events.envelope import binary
from events.models import CourseAccessed, LessonCompleted, LessonEvent, LessonUncompleted
from events.producer import OutgoingRecord
from worker.settings import Settings

Happened = tuple[LessonEvent, datetime]
START = datetime(2026, 1, 1, tzinfo=UTC)


def happened(events: int, rows: int, lessons: int) -> Iterator[Happened]:
    """Yields 70 % completed, 25 % accessed, 5 % un-completed, spread evenly over the rows; always the same."""
    rng = random.Random(1)
    keys = [(UUID(int=rng.getrandbits(128)), UUID(int=rng.getrandbits(128))) for _ in range(rows)]
    for _ in range(events):
        at = START + timedelta(seconds=rng.randrange(10**7))
        yield an_event(rng, *rng.choice(keys), lessons), at


def an_event(rng: random.Random, user: UUID, course: UUID, lessons: int) -> LessonEvent:
    lesson = f"lesson-{rng.randrange(lessons):029}"
    kind = rng.choices([LessonCompleted, CourseAccessed, LessonUncompleted], [70, 25, 5])[0]
    if kind is CourseAccessed:
        return CourseAccessed(user_id=user, course_id=course, lesson_id=lesson)
    return kind(user_id=user, course_id=course, lesson_id=lesson, total_lessons=lessons)


def lessons_completed(events: int) -> Iterator[Happened]:
    """Yields events that each write a lesson row of their own: each missing row is a missing event."""
    for number in range(events):
        key = {"user_id": uuid4(), "course_id": UUID(int=number % 20)}
        yield LessonCompleted(**key, lesson_id=f"lesson-{number}", total_lessons=40), START + timedelta(seconds=number)


def record(settings: Settings, event: LessonEvent, at: datetime) -> OutgoingRecord:
    headers, value = binary(event, id=str(uuid4()), time=at, source="bench")
    return OutgoingRecord(settings.lesson_events_topic, str(event.user_id).encode(), value, headers)
