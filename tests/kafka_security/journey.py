"""A learner's way through a secured system."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg

from events import CourseCompleted, CourseEventSubscriber, LessonCompleted, LessonEventPublisher
from tests.kafka_security.users import COURSES, LESSONS, user
from tests.secured import Secured
from worker.kafka.client import client_arguments


async def complete_a_course(broker: Secured) -> UUID:
    """As a player. The learner."""
    learner = uuid4()
    event = LessonCompleted(user_id=learner, course_id=uuid4(), lesson_id="only", total_lessons=1)
    async with LessonEventPublisher(**client_arguments(user(broker, "player")), topic=LESSONS) as publisher:
        await publisher.publish(event, occurred_at=datetime.now(UTC))
    return learner


async def percentage(connection: asyncpg.Connection, learner: UUID) -> int | None:
    return await connection.fetchval("select progress_percentage from course_progress where user_id = $1", learner)


async def certificate_is_due(broker: Secured, learner: UUID) -> bool:
    """Whether a certificate service hears of it, in a group of its own."""
    reach = client_arguments(user(broker, "certificates"))
    async with (
        asyncio.timeout(30),
        CourseEventSubscriber(**reach, group_id=f"certificates-{uuid4()}", topic=COURSES) as subscriber,
    ):
        async for received in subscriber:
            if isinstance(received.event, CourseCompleted) and received.event.user_id == learner:
                return True
    return False
