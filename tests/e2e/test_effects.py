"""From the lesson to the certificate and back, by whole processes: a worker, two of effects, and the commands."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from events import (
    CatalogLesson,
    CertificateIssued,
    CertificateRevoked,
    CourseCatalogPublisher,
    CoursePublished,
    LearnerDescribed,
    LearnerPublisher,
    LessonCompleted,
    LessonUncompleted,
)
from events.envelope import data_of, read
from events.models import COURSE_EVENTS
from tests.command_line import run
from tests.factories import NOW
from tests.processes import WorkerProcess, Workers, environment, eventually
from tests.topics import publish, records_of
from worker.certificates.keys import create_key
from worker.effects.settings import EffectsSettings
from worker.settings import Settings

COURSE = uuid4()


@pytest.fixture
def effects_settings(settings: Settings, tmp_path: Path) -> EffectsSettings:
    """Returns settings of effects, which lack only the file of their key."""
    own = {
        "effects_group": f"{settings.consumer_group}-effects",
        "public_url": "https://learn.example",
        "certificate_key_files": str(tmp_path / "key.pem"),
        "certificate_grace_s": 0,
    }
    return EffectsSettings(**settings.model_dump() | own)


@pytest.fixture
def effects(effects_settings: EffectsSettings) -> Iterator[list[WorkerProcess]]:
    """Runs two processes of effects."""
    with Workers(effects_settings) as started:
        yield [started.start(module=("worker.cli", "effects")) for _ in range(2)]


@pytest.fixture
async def course(settings: Settings, workers: Workers) -> UUID:
    """Publishes the first version of a course of one lesson, and starts a worker."""
    version = CoursePublished(course_id=COURSE, version=1, title="Knots", lessons=(CatalogLesson(lesson_id="bowline"),))
    topic = settings.course_catalog_topic
    async with CourseCatalogPublisher(settings.kafka_bootstrap_servers, topic=topic) as publisher:
        await publisher.publish(version, occurred_at=NOW - timedelta(days=2))
    workers.start()
    return COURSE


async def describe(settings: Settings, user: UUID, name: str) -> None:
    async with LearnerPublisher(settings.kafka_bootstrap_servers, topic=settings.learners_topic) as publisher:
        await publisher.publish(LearnerDescribed(user_id=user, name=name, timezone="Pacific/Auckland"))


async def wait_for(connection: asyncpg.Connection, statement: str, wanted: object) -> None:
    async def is_so() -> bool:
        return bool(await connection.fetchval(statement) == wanted)

    is_so.__name__ = f"{statement}: {wanted}"
    await eventually(is_so)


async def test_a_completion_has_a_certificate_until_it_is_taken_back(
    settings: Settings,
    effects_settings: EffectsSettings,
    effects: list[WorkerProcess],
    course: UUID,
    connection: asyncpg.Connection,
) -> None:
    """It waits for the key, then for the name; what becomes of it is announced; a hand's revocation is for good."""
    user, at = uuid4(), NOW - timedelta(hours=1)
    await publish(settings, [(LessonCompleted(user_id=user, course_id=course, lesson_id="bowline"), at)])
    await wait_for(connection, "select reason like 'no name%' from effect where kind = 'certificate'", True)
    await describe(settings, user, "Ada Lovelace")
    await wait_for(connection, "select reason like '%key.pem%' from effect where kind = 'certificate'", True)
    create_key(Path(effects_settings.certificate_key_files))
    await wait_for(connection, "select name || ', ' || title from certificate", "Ada Lovelace, Knots")

    taken_back = LessonUncompleted(user_id=user, course_id=course, lesson_id="bowline")
    await publish(settings, [(taken_back, at + timedelta(minutes=1))])
    await wait_for(connection, "select status from certificate", "revoked")
    again = LessonCompleted(user_id=user, course_id=course, lesson_id="bowline")
    await publish(settings, [(again, at + timedelta(minutes=2))])
    await wait_for(connection, "select status || issue from certificate", "valid2")

    code = await connection.fetchval("select code from certificate")
    variables = environment(effects_settings)
    status, _, errors = run("certificates", "revoke", code, "--reason", "copied", **variables)
    assert status == 0, errors
    await wait_for(connection, "select status || ': ' || reason from certificate", "revoked: copied")
    assert json.loads(run("certificates", "show", code, **variables)[1])["status"] == "revoked"

    records = await records_of(settings, settings.course_events_topic, 11)  # with three milestones and a badge
    events = [data_of(read(record.value, record.headers), COURSE_EVENTS) for record in records]
    told = [(type(e).__name__, e.issue) for e in events if isinstance(e, CertificateIssued | CertificateRevoked)]
    issued, taken = "CertificateIssued", "CertificateRevoked"
    assert told == [(issued, 1), (taken, 1), (issued, 2), (taken, 2)]
    assert [process.stop() for process in effects] == [0, 0]
