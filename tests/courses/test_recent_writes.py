"""The courses that websites wrote to lately are found in lesson-events, and those of other producers are not."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from events import CourseAccessed, LessonEventPublisher
from events.producer import OutgoingRecord, Producer
from worker.courses import recent_writes
from worker.courses.recent_writes import LATELY, find_written_courses
from worker.errors import KafkaUnavailable
from worker.learners.service import SOURCE
from worker.settings import Settings


async def publish(settings: Settings, source: str, *courses: UUID) -> None:
    async with LessonEventPublisher(
        settings.kafka_bootstrap_servers, topic=settings.lesson_events_topic, source=source
    ) as publisher:
        for course in courses:
            await publisher.publish(CourseAccessed(user_id=uuid4(), course_id=course))


async def publish_long_ago(settings: Settings, course: UUID) -> None:
    headers = [(f"ce_{name}", text.encode()) for name, text in {
        "specversion": "1.0", "id": "1", "type": "CourseAccessed", "source": SOURCE, "time": "2026-01-01T00:00:00Z"
    }.items()]  # fmt: skip
    value = f'{{"user_id": "{uuid4()}", "course_id": "{course}"}}'.encode()
    then_ms = int((datetime.now(UTC) - LATELY - timedelta(days=1)).timestamp() * 1000)
    async with Producer(settings.kafka_bootstrap_servers) as producer:
        await producer.send_all([OutgoingRecord(settings.lesson_events_topic, b"k", value, headers, then_ms)])


async def test_courses_of_websites_are_counted_by_their_late_events(settings: Settings) -> None:
    one, other, players, old = (uuid4() for _ in range(4))
    await publish_long_ago(settings, old)
    await publish(settings, SOURCE, one, other, one)
    await publish(settings, "course-player", players)

    assert await find_written_courses(settings) == Counter({one: 2, other: 1})


async def test_of_each_partition_the_newest_records_are_read(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent_writes, "MOST_RECORDS", 1)
    courses = [uuid4() for _ in range(12)]
    await publish(settings, SOURCE, *courses)

    found = await find_written_courses(settings)

    assert courses[-1] in found
    assert len(found) <= settings.topic_partitions


async def test_without_events_there_is_none(settings: Settings) -> None:
    assert not await find_written_courses(settings)


async def test_kafka_that_is_away_is_told(settings: Settings) -> None:
    with pytest.raises(KafkaUnavailable):
        await find_written_courses(settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"}))
