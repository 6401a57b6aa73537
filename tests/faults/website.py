"""Has learners click through a website of several processes, and looks at once at what one of them called done."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

import httpx

from events.envelope import data_of, read
from events.models import LESSON_EVENTS
from tests.callers import Issuer, api_settings, authorized
from tests.faults.comparison import records_of
from tests.faults.scene import Scene
from tests.processes import WorkerProcess, eventually
from worker.devstack.process import find_free_ports
from worker.errors import Unavailable
from worker.learners.service import Accepted, ProgressService
from worker.settings import Settings

AT_ONCE = 12  # learners
LESSONS = 5000  # more than a learner completes in a round
APPLY_DEADLINE_S = 2


@dataclass
class Learner:
    """Holds a learner, and which lessons must be completed in the end: Kafka has their events."""

    user: UUID
    course: UUID
    token: str
    lessons: list[str] = field(default_factory=list)


class Way(Protocol):
    """Offers one of the ways in which a learner's click reaches Kafka."""

    async def complete(self, learner: Learner, lesson: str) -> bool | None:
        """Tells whether the lesson was called done; False: accepted. None: it did not say, and may be either."""

    async def read(self, learner: Learner) -> frozenset[str] | None:
        """Returns the completed lessons; None while they cannot be read."""


class ThroughService:
    """Calls ProgressService in this process."""

    def __init__(self, service: ProgressService) -> None:
        self._service = service

    async def complete(self, learner: Learner, lesson: str) -> bool | None:
        try:
            answer = await self._service.mark_lesson_complete(learner.user, learner.course, lesson, LESSONS)
        except Unavailable:
            return None
        return not isinstance(answer, Accepted)

    async def read(self, learner: Learner) -> frozenset[str] | None:
        try:
            row = await self._service.get_course_progress(learner.user, learner.course)
        except Unavailable:
            return None
        return frozenset(row.completed_lessons) if row else frozenset()


class ThroughApi:
    """Calls an API process over HTTP, which may be killed."""

    def __init__(self, settings: Settings, issuer: Issuer, **changed: object) -> None:
        [port] = find_free_ports(1)
        made = api_settings(settings, issuer, api_port=port, apply_deadline_s=APPLY_DEADLINE_S, **changed)
        self.address = ("127.0.0.1", port)
        self._process = WorkerProcess(made, module=("worker.cli", "api"))
        self._client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60)
        self._under_way = 0
        self.cut_off = 0  # clicks that had no answer yet when the process was killed

    @property
    def pid(self) -> int:
        return self._process.process.pid

    async def wait_until_ready(self) -> None:
        async def ready() -> bool:
            with suppress(httpx.TransportError):
                return (await self._client.get("/ready")).status_code == 200
            return False

        await eventually(ready)

    async def complete(self, learner: Learner, lesson: str) -> bool | None:
        body = {"courseId": str(learner.course), "lessonId": lesson, "totalLessons": LESSONS}
        self._under_way += 1
        try:
            url = "/api/progress/complete"
            answer = await self._client.post(url, json=body, headers=authorized(learner.token))
        except httpx.TransportError:
            return None
        finally:
            self._under_way -= 1
        assert answer.status_code in (200, 202, 503), answer.text
        return None if answer.status_code == 503 else answer.status_code == 200

    async def read(self, learner: Learner) -> frozenset[str] | None:
        try:
            answer = await self._client.get(f"/api/progress/{learner.course}", headers=authorized(learner.token))
        except httpx.TransportError:
            return None
        assert answer.status_code in (200, 404, 503), answer.text
        shown = answer.json()["progress"]["completedLessons"] if answer.status_code == 200 else []
        return None if answer.status_code == 503 else frozenset(shown)

    async def kill(self) -> None:
        """Kills the process while clicks are on their way through it."""

        async def clicked() -> bool:
            return self._under_way > 0

        await eventually(clicked)
        self.cut_off = self._under_way
        self._process.kill()

    async def close(self) -> None:
        self._process.kill()
        self._process.close()
        await self._client.aclose()


class Website:
    """Lets learners click: each completes one lesson after the other, any of the ways, until nobody clicks any more."""

    def __init__(self, scene: Scene, issuer: Issuer, ways: list[Way]) -> None:
        self._scene = scene
        self.issuer = issuer
        self.ways = ways
        self.looked = 0  # lessons that were called done, and looked at
        ids = [(scene.learners.uuid(), scene.learners.uuid()) for _ in range(AT_ONCE)]
        self._learners = [Learner(user, course, issuer.token(user)) for user, course in ids]

    @asynccontextmanager
    async def clicking(self) -> AsyncIterator[None]:
        """Has all learners click during the block, and returns when each has its last answer."""
        ended = asyncio.Event()
        async with asyncio.TaskGroup() as clicks:
            for learner in self._learners:
                clicks.create_task(self._click(learner, ended))
            try:
                yield
            finally:
                ended.set()

    async def _click(self, learner: Learner, ended: asyncio.Event) -> None:
        while not ended.is_set():
            await self._scene.pause(0.05, 0.3)
            lesson = f"lesson-{self._scene.rng.getrandbits(64)}"
            done = await self._scene.rng.choice(self.ways).complete(learner, lesson)
            if done is None:
                continue
            learner.lessons.append(lesson)
            if done:
                await self._look(learner, lesson)

    async def _look(self, learner: Learner, lesson: str) -> None:
        """Looks at a lesson that was called done, another way perhaps."""
        found = await self._scene.rng.choice(self.ways).read(learner)
        if found is None:
            return
        self.looked += 1
        if lesson not in found:
            self._scene.unexpected.append(f"called done, and not in the row then: {lesson} of {learner.user}")

    async def wait_for_looks(self, number: int = 30) -> None:
        """Waits until so many more lessons were called done, which proves that the website works then."""
        goal = self.looked + number

        async def looked() -> bool:
            return self.looked >= goal

        await self._scene.wait_for_proof(looked)

    async def adopt(self) -> None:
        """Adds the website's events, as the topic has them, to what must be applied."""
        topic = self._scene.settings.lesson_events_topic
        for record in await records_of(self._scene.servers.kafka, topic):
            if dict(record.headers).get("ce_source") == b"progress-service":
                envelope = read(record.value, record.headers)
                origin = (record.topic, record.partition, record.offset)
                self._scene.load.good.append((origin, (data_of(envelope, LESSON_EVENTS), envelope.time)))

    async def require_lessons(self) -> None:
        """Requires each lesson in the rows that was called done or accepted. The scene must be at rest."""
        for learner in self._learners:
            rows = await self._scene.sql("select lesson_id from lesson_progress where user_id = $1", learner.user)
            missing = set(learner.lessons) - {row["lesson_id"] for row in rows}
            self._scene.unexpected += [f"called done or accepted, and not in the row: {lesson}" for lesson in missing]


@asynccontextmanager
async def open_website(scene: Scene, **changed: object) -> AsyncIterator[tuple[Website, ThroughApi]]:
    """Opens ProgressService and two API processes behind the scene's proxies, and yields one of these to be killed.

    `changed` are settings of the APIs.
    """
    url = scene.servers.database.url(scene.database, scene.servers.database_proxy_port)
    settings = scene.settings.model_copy(
        update={"database_url": type(scene.settings.database_url)(url), "apply_deadline_s": APPLY_DEADLINE_S}
    )
    issuer = Issuer(scene.directory)
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(ProgressService(settings))
        apis = [ThroughApi(settings, issuer, **changed) for _ in range(2)]
        for api in apis:
            stack.push_async_callback(api.close)
        await asyncio.gather(*(api.wait_until_ready() for api in apis))
        yield Website(scene, issuer, [ThroughService(service), *apis]), apis[0]
