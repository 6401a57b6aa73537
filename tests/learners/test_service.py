"""What the service refuses, and what it does while a server is away."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest

from worker.errors import (
    DatabaseUnavailable,
    InvalidCourseId,
    InvalidLesson,
    InvalidTime,
    InvalidUserId,
    KafkaUnavailable,
)
from worker.learners.service import Accepted, ProgressService
from worker.settings import Settings


@pytest.fixture
async def service(database_settings: Settings) -> AsyncIterator[ProgressService]:
    async with ProgressService(database_settings) as service:
        yield service


@pytest.fixture
def user() -> UUID:
    return uuid4()


@pytest.fixture
def course() -> UUID:
    return uuid4()


class TestErrors:
    async def test_an_invalid_user_id_is_named(self, service: ProgressService, course: UUID) -> None:
        with pytest.raises(InvalidUserId, match="'nobody'"):
            await service.get_course_progress("nobody", course)

    async def test_an_invalid_course_id_is_named(self, service: ProgressService, user: UUID) -> None:
        with pytest.raises(InvalidCourseId, match="'nothing'"):
            await service.mark_lesson_complete(user, "nothing", "a", 1)

    @pytest.mark.parametrize(("lesson", "total"), [("", 1), ("x" * 256, 1), ("a\0", 1), ("a", 0), ("a", 10_001)])
    async def test_what_no_event_can_carry_is_refused(
        self, service: ProgressService, user: UUID, course: UUID, lesson: str, total: int
    ) -> None:
        with pytest.raises(InvalidLesson):
            await service.mark_lesson_complete(user, course, lesson, total)

    @pytest.mark.parametrize("at", [datetime(1999, 12, 31, tzinfo=UTC), datetime(2026, 1, 1)])
    async def test_a_time_that_no_event_can_carry_is_refused(
        self, service: ProgressService, user: UUID, course: UUID, at: datetime
    ) -> None:
        with pytest.raises(InvalidTime):
            await service.update_last_accessed(user, course, occurred_at=at)

    @pytest.mark.parametrize("lesson", ["a\0", "\ud800"])
    async def test_a_lesson_that_cannot_be_is_not_completed(
        self, service: ProgressService, user: UUID, course: UUID, lesson: str
    ) -> None:
        assert await service.is_lesson_completed(user, course, lesson) is False

    async def test_a_database_that_is_away_is_unavailable(self, user: UUID, course: UUID) -> None:
        settings = Settings(database_url="postgresql://postgres@127.0.0.1:1/none")
        async with ProgressService(settings) as service:
            with pytest.raises(DatabaseUnavailable):
                await service.get_course_progress(user, course)

    async def test_reads_go_on_while_kafka_is_away(self, database_settings: Settings, user: UUID, course: UUID) -> None:
        async with ProgressService(database_settings) as service:
            assert await service.get_course_progress(user, course) is None
            with pytest.raises(KafkaUnavailable):
                await service.update_last_accessed(user, course)

    async def test_what_is_not_applied_in_time_is_accepted(self, settings: Settings, user: UUID, course: UUID) -> None:
        impatient = settings.model_copy(update={"apply_deadline_s": 0.05})
        async with ProgressService(impatient) as service:  # no worker runs on these topics
            assert isinstance(await service.mark_lesson_complete(user, course, "a", 1), Accepted)
            assert isinstance(await service.reset_course_progress(user, course), Accepted)  # not dropped
            assert isinstance(await service.mark_lesson_incomplete(user, course, "a", 1), Accepted)  # nor this

    async def test_nothing_is_applied_of_a_topic_that_was_created_again(
        self, settings: Settings, connection: asyncpg.Connection, user: UUID, course: UUID
    ) -> None:
        impatient = settings.model_copy(update={"apply_deadline_s": 0.05})
        where = (settings.consumer_group, settings.lesson_events_topic)
        await connection.execute(
            "insert into consumed_offset (consumer_group, topic, partition, next_offset)"
            " select $1, $2, partition, 1000 from generate_series(0, 9) as partition",
            *where,
        )
        async with ProgressService(impatient) as service:
            assert await service.reset_course_progress(user, course) is False  # 1,000 are applied in each partition
            await connection.execute("insert into known_topic values ($1, $2, $3)", *where, uuid4())

            assert isinstance(await service.mark_lesson_complete(user, course, "a", 1), Accepted)
            assert isinstance(await service.reset_course_progress(user, course), Accepted)
