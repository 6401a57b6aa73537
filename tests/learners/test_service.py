"""What the service refuses, and what it does while a server is away."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest

from events.models import CourseAccessed, LessonCompleted, LessonUncompleted
from tests.processes import eventually
from tests.topics import records_of, recreate
from worker.decode import decode
from worker.errors import (
    DatabaseUnavailable,
    InvalidCourseId,
    InvalidLesson,
    InvalidTime,
    InvalidUserId,
    KafkaUnavailable,
)
from worker.kafka.topic_id import fetch_topic_id
from worker.kafka.topics import admin_client
from worker.learners import current_topic
from worker.learners.service import Accepted, ProgressService
from worker.settings import Settings
from worker.stream.outcome import Occurrence

OFFSET = "insert into consumed_offset (consumer_group, topic, partition, next_offset) values ($1, $2, $3, 1000)"


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

    async def test_what_may_be_on_its_way_is_taken_back(self, settings: Settings, user: UUID, course: UUID) -> None:
        impatient = settings.model_copy(update={"apply_deadline_s": 0.05})
        async with ProgressService(impatient) as service:  # no worker runs on these topics
            done = await service.mark_lesson_complete(user, course, "a", 1)
            taken_back = await service.mark_lesson_incomplete(user, course, "a", 1)

        assert isinstance(done, Accepted)
        assert isinstance(taken_back, Accepted)
        outcomes = [decode(record) for record in await records_of(settings, settings.lesson_events_topic, 2)]
        events = [outcome.event for outcome in outcomes if isinstance(outcome, Occurrence)]
        assert [type(event) for event in events] == [LessonCompleted, LessonUncompleted]


@pytest.fixture
async def beyond(
    settings: Settings, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ProgressService]:
    """Provides a service without a worker, over stored offsets beyond every record. It asks for the id every time."""
    monkeypatch.setattr(current_topic, "ASK_EVERY_S", 0)
    for partition in range(settings.topic_partitions):
        await connection.execute(OFFSET, *names(settings), partition)
    async with ProgressService(settings.model_copy(update={"apply_deadline_s": 30})) as service:
        yield service


def names(settings: Settings) -> tuple[str, str]:
    return settings.consumer_group, settings.lesson_events_topic


async def know(connection: asyncpg.Connection, settings: Settings, topic_id: UUID | None) -> None:
    """Notes in which topic the stored offsets count, as a worker's start and `rewind` do."""
    statement = """insert into known_topic values ($1, $2, $3)
        on conflict (consumer_group, topic) do update set topic_id = excluded.topic_id"""
    await connection.execute(statement, *names(settings), topic_id)


async def ask_for_id(settings: Settings) -> UUID | None:
    async with admin_client(settings) as admin:
        return await fetch_topic_id(admin._client, settings.lesson_events_topic)


async def reset(service: ProgressService) -> bool | Accepted:
    return await service.reset_course_progress(uuid4(), uuid4())


def wait_for(service: ProgressService, seconds: float) -> None:
    service._applied._settings = service._settings.model_copy(update={"apply_deadline_s": seconds})


class TestRecreatedTopic:
    """A reset of nothing is False once the stored offset has passed it."""

    async def test_offsets_of_this_topic_count(
        self, settings: Settings, beyond: ProgressService, connection: asyncpg.Connection
    ) -> None:
        assert await reset(beyond) is False  # nobody has noted a topic
        await know(connection, settings, await ask_for_id(settings))

        assert await reset(beyond) is False

    async def test_offsets_of_a_deleted_topic_do_not(
        self, settings: Settings, beyond: ProgressService, connection: asyncpg.Connection, user: UUID, course: UUID
    ) -> None:
        await know(connection, settings, uuid4())
        wait_for(beyond, seconds=0.3)

        assert isinstance(await reset(beyond), Accepted)
        assert isinstance(await beyond.mark_lesson_complete(user, course, "a", 2), Accepted)
        assert isinstance(await beyond.mark_lesson_incomplete(user, course, "a", 2), Accepted)
        visit = CourseAccessed(user_id=user, course_id=course)
        assert (await beyond.publish_and_wait([(visit, datetime.now(UTC))]))[1] is False

    async def test_a_running_service_notices_and_goes_on_after_the_rewind(
        self, settings: Settings, beyond: ProgressService, connection: asyncpg.Connection
    ) -> None:
        await know(connection, settings, await ask_for_id(settings))
        assert await reset(beyond) is False
        await recreate(settings)
        wait_for(beyond, seconds=0.3)

        async def notices() -> bool:  # the broker learns of the new topic a moment later
            return isinstance(await reset(beyond), Accepted)

        await eventually(notices)
        await know(connection, settings, await ask_for_id(settings))
        wait_for(beyond, seconds=30)
        assert await reset(beyond) is False

    async def test_a_broker_without_ids_is_believed(
        self,
        settings: Settings,
        beyond: ProgressService,
        connection: asyncpg.Connection,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async def none(*_: object) -> None: ...

        monkeypatch.setattr(current_topic, "fetch_topic_id", none)
        await know(connection, settings, uuid4())

        assert await reset(beyond) is False
