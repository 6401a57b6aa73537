"""From lessons to badges, by whole processes: a worker and two of effects, with every event ten times in any order."""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta, timezone
from uuid import UUID, uuid4

import asyncpg
import pytest

from events.envelope import data_of, read
from events.models import COURSE_EVENTS, BadgeEarned, LessonCompleted, ProgressMilestoneReached
from events.producer import OutgoingRecord, Producer
from tests.factories import NOW
from tests.processes import WorkerProcess, Workers, eventually
from tests.topics import record, records_in, records_of
from worker.effects.settings import EffectsSettings
from worker.errors import SetupError
from worker.repair.rewind import rewind
from worker.settings import Settings

TIMES = 10
LEARNERS = 5
COURSE = uuid4()
BERLIN = timezone(timedelta(hours=1))


@pytest.fixture
def effects_settings(settings: Settings) -> EffectsSettings:
    return EffectsSettings(**settings.model_dump() | {"effects_group": f"{settings.consumer_group}-effects"})


@pytest.fixture
def effects(effects_settings: EffectsSettings) -> Iterator[list[WorkerProcess]]:
    with Workers(effects_settings) as started:
        yield [started.start(module=("worker.cli", "effects")) for _ in range(2)]


def study(settings: Settings, user: UUID) -> list[OutgoingRecord]:
    """Has a learner complete a course of eight lessons, on eight days in a row; half of them are told in UTC."""
    days = [NOW.replace(hour=10) - timedelta(days=n) for n in range(8)]
    return [
        record(
            settings,
            LessonCompleted(user_id=user, course_id=COURSE, lesson_id=f"l{n}", total_lessons=8),
            at if n % 2 else at.astimezone(BERLIN),
        )
        for n, at in enumerate(days)
    ]


async def test_each_badge_is_awarded_once_under_one_id(
    settings: Settings,
    effects_settings: EffectsSettings,
    workers: Workers,
    effects: list[WorkerProcess],
    connection: asyncpg.Connection,
) -> None:
    users = [uuid4() for _ in range(LEARNERS)]
    once = [each for user in users for each in study(settings, user)]
    workers.start()
    async with Producer(settings.kafka_bootstrap_servers) as producer:
        await producer.send_all(random.Random(24).sample(once * TIMES, len(once) * TIMES))

    await wait_for_awards(connection, 2 * LEARNERS)
    assert [process.stop() for process in effects] == [0, 0]
    await rewind_effects(effects_settings)
    await connection.execute("truncate active_day, active_instant, studied_lesson")
    with Workers(effects_settings) as again:
        again.start(module=("worker.cli", "effects"))
        await eventually(lambda: has(connection, "select count(*) from studied_lesson", len(once)))
        await wait_for_awards(connection, 2 * LEARNERS)
    await eventually(lambda: has(connection, "select count(*) from outbox", 0))

    number = await records_in(settings, settings.course_events_topic)
    records = await records_of(settings, settings.course_events_topic, number)
    events = [(dict(r.headers)["ce_id"], data_of(read(r.value, r.headers), COURSE_EVENTS)) for r in records]
    earned = Counter((event.user_id, event.badge) for _, event in events if isinstance(event, BadgeEarned))
    assert earned == Counter((user, badge) for user in users for badge in ("first-course", "streak-7"))
    reached = Counter((e.user_id, e.milestone) for _, e in events if isinstance(e, ProgressMilestoneReached))
    assert reached == Counter((user, milestone) for user in users for milestone in (25, 50, 75))
    assert len({id for id, _ in events}) == len(events)


async def wait_for_awards(connection: asyncpg.Connection, number: int) -> None:
    await eventually(lambda: has(connection, "select count(*) from badge_award", number))
    await eventually(lambda: has(connection, "select count(*) from effect where kind like 'badge%'", 0))


async def has(connection: asyncpg.Connection, query: str, wanted: int) -> bool:
    return bool(await connection.fetchval(query) == wanted)


async def rewind_effects(settings: EffectsSettings) -> None:
    for topic, group in (
        (settings.lesson_events_topic, settings.lessons_group),
        (settings.course_events_topic, settings.effects_group),
    ):

        async def nobody_has_it(topic: str = topic, group: str = group) -> bool:
            try:
                return bool(await rewind(settings, "earliest", [], topic=topic, group=group))
            except SetupError:  # Kafka counts a member that has left for a moment
                return False

        await eventually(nobody_has_it)
