"""Measures one section: from a click to a certificate, and how many are issued and rendered in a second."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import asyncpg

from events.catalog import CatalogLesson, CoursePublished
from events.learners import LearnerDescribed
from events.models import CourseCompleted, LessonCompleted
from events.publisher import LessonEventPublisher
from tests.bench.bench import Bench, connected, query
from tests.bench.latency import percentile
from tests.bench.learners import START
from tests.bench.result import Figure, Result
from tests.catalogs import publish_versions
from tests.processes import WorkerProcess, eventually
from worker.certificates.certificate import Certificate
from worker.certificates.keys import create_key
from worker.certificates.people import describe_learners
from worker.certificates.plan import plan_certificates
from worker.certificates.rendering import Renderer
from worker.effects.settings import EffectsSettings
from worker.settings import Settings
from worker.stream.outcome import Occurrence

COURSE = UUID("0190a6e2-0000-7000-8000-00000000000a")
ISSUED_WITHIN_S = 600


async def certificates(bench: Bench) -> Result:
    """Each click completes a course of one lesson; one worker, and one process of effects with two effects at once.

    Click to certificate: from handing the event to the publisher until a listening session is told of the certificate's
    commit, at a steady rate. Issued: from a backlog that is planned already. Rendered: the PDF of one certificate after
    the other, two at once, in a process of their own. The harness does all this on the same cores.
    """
    result = Result("Certificates", ("what", "figure"))
    with TemporaryDirectory() as directory:
        key = Path(directory) / "key.pem"
        create_key(key)
        async with AsyncExitStack() as stack:
            settings = effects_settings(await stack.enter_async_context(emptied(bench)), key)
            users = [uuid4() for _ in range(bench.sizes.certificates)]
            await describe(settings, users)
            times = await click(bench, settings, users)
            p50, p99 = percentile(times, 50), percentile(times, 99)
            result.rows.append(("click to certificate, p50 and p99", f"{p50:.0f} and {p99:.0f} ms"))
            result.figures["p99 click to certificate"] = Figure(p99, f"p50 {p50:.0f} ms", "")
        async with AsyncExitStack() as stack:
            settings = effects_settings(await stack.enter_async_context(emptied(bench)), key)
            await describe(settings, users)
            rate = await drain(settings, users)
            result.rows.append(("issued from a backlog", f"{rate:.0f}/s"))
        rendered = await render(settings, min(bench.sizes.certificates, 300))
        result.rows.append(("rendered", f"{rendered:.0f}/s"))
    return result


@asynccontextmanager
async def emptied(bench: Bench) -> AsyncIterator[Settings]:
    """Yields settings with empty tables and topics, and a version of COURSE, which has one lesson."""
    async with bench.filled() as database, bench.topics(database) as settings:
        version = CoursePublished(
            course_id=COURSE, version=1, title="Statistics", lessons=(CatalogLesson(lesson_id="intro"),)
        )
        await publish_versions(settings, [(version, START)])
        yield settings


def effects_settings(settings: Settings, key: Path) -> EffectsSettings:
    return EffectsSettings(
        **settings.model_dump()
        | {
            "effects_group": f"{settings.consumer_group}-effects",
            "public_url": "https://bench.example",
            "certificate_key_files": str(key),
        }
    )


async def describe(settings: Settings, users: list[UUID]) -> None:
    """Stores a name for each learner, as if their descriptions had been read."""
    now = datetime.now(UTC)
    told = [Occurrence(now, LearnerDescribed(user_id=user, name=f"Learner {user}"), "learners", 0) for user in users]
    async with connected(settings) as connection, connection.transaction():
        await describe_learners(connection, told)


@asynccontextmanager
async def told_of_certificates(settings: Settings, seen: dict[UUID, float]) -> AsyncIterator[asyncpg.Connection]:
    """Notes when each learner's certificate is there, until the end of the block."""

    def note(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        seen[UUID(str(payload))] = time.perf_counter()

    async with connected(settings) as connection:
        await connection.execute(query("notify_certificates"))
        await connection.add_listener("bench_certificate", note)
        yield connection


async def click(bench: Bench, settings: EffectsSettings, users: list[UUID]) -> list[float]:
    """Has each learner complete the course at a steady rate. Returns the milliseconds until each certificate."""
    clicked: dict[UUID, float] = {}
    seen: dict[UUID, float] = {}
    number = max(5, int(bench.sizes.latency_s * bench.sizes.certificates_per_s))
    async with told_of_certificates(settings, seen):
        with WorkerProcess(settings) as worker, WorkerProcess(settings, module=("worker.cli", "effects")) as effects:
            for process in (worker, effects):

                async def ready(process: WorkerProcess = process) -> bool:
                    return (await process.get("/ready")).status_code == 200

                await eventually(ready)
            async with LessonEventPublisher(
                settings.kafka_bootstrap_servers, topic=settings.lesson_events_topic
            ) as publisher:
                for user in users[:number]:
                    clicked[user] = time.perf_counter()
                    await publisher.publish(LessonCompleted(user_id=user, course_id=COURSE, lesson_id="intro"))
                    await asyncio.sleep(1 / bench.sizes.certificates_per_s)

            async def all_there() -> bool:
                return seen.keys() >= clicked.keys()

            await eventually(all_there)
    return [1000 * (seen[user] - at) for user, at in clicked.items()]


async def drain(settings: EffectsSettings, users: list[UUID]) -> float:
    """Plans a certificate for each learner, and returns how many a process of effects then issues in a second."""
    now = datetime.now(UTC)
    completed = [
        CourseCompleted(
            user_id=user,
            course_id=COURSE,
            completed_at=now,
            started_at=now,
            completion_number=1,
            lessons_completed=1,
            total_lessons=1,
            course_version=1,
            title="Statistics",
        )
        for user in users
    ]
    told = [Occurrence(now, event, settings.course_events_topic, 0) for event in completed]
    seen: dict[UUID, float] = {}
    async with told_of_certificates(settings, seen) as connection:
        async with connection.transaction():
            await plan_certificates(connection, told)
        with WorkerProcess(settings, module=("worker.cli", "effects")):

            async def all_there() -> bool:
                return len(seen) == len(users)

            await eventually(all_there, ISSUED_WITHIN_S)
    times = sorted(seen.values())
    return (len(times) - 1) / (times[-1] - times[0])


async def render(settings: EffectsSettings, number: int) -> float:
    """Renders so many certificates, two at once, and returns how many in a second."""
    renderer = Renderer(settings)
    left = [f"Learner {n}" for n in range(number)]

    async def render_next() -> None:
        while left:
            name = left.pop()
            await renderer.render(
                Certificate(
                    code="k5xw63tfon2ca5dimuqgy2lomu",
                    user_id=COURSE,
                    course_id=COURSE,
                    course_version=1,
                    completion_number=1,
                    name=name,
                    title="Statistics",
                    completed_on=date(2026, 11, 23),
                    completed_at=START,
                    issued_at=START,
                ),
                None,
            )

    began = time.perf_counter()
    await asyncio.gather(render_next(), render_next())
    return number / (time.perf_counter() - began)
