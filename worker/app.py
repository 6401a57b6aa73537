"""Composes one worker: the whole data path, one direction, on one screen.

lesson-events -> intake's lanes (getmany -> decode -> batch) -> channel -> agent (dead letters -> sink) -> settled
the sink of lesson events: fold -> one statement (rows, stored offsets, outbox) -> relay -> course-events
course-catalog goes the same way; its sink stores the versions of courses -> recount of their progress rows
"""

import asyncio
from collections.abc import Sequence

from events.producer import Producer
from worker.agents import AgentApp, Handovers, add_agent
from worker.courses.catalog_sink import CatalogSink
from worker.courses.recount import Recount
from worker.deadletters.writer import DeadLetterWriter
from worker.decode import decode, decode_catalog
from worker.health.endpoints import create_health
from worker.health.heartbeat import Heartbeat
from worker.health.need import Need
from worker.health.until_idle import UntilIdle
from worker.intake.intake import Intake
from worker.intake.lane import LANES
from worker.kafka.client import client_arguments
from worker.kafka.permissions import PermissionWatch, require_access, worker_permissions
from worker.kafka.topic_settings import warn_of_topics
from worker.kafka.topics import LARGEST_REQUEST, require_topics
from worker.outbox.relay import Relay
from worker.progress.known_courses import KnownCourses
from worker.progress.store import Store
from worker.settings import Settings, settings
from worker.stream.stream import Stream
from worker.web.port import require_free_port, serve_health


class Worker(AgentApp):
    """Runs one worker: its services start in the order they stand here, and stop in the reverse."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.consumer_group, settings)
        self.settings = settings
        self.permissions = PermissionWatch(settings, worker_permissions(settings))
        self.to_course_events = Producer(**client_arguments(settings))
        # aiokafka measures a record before it is compressed, the broker as it comes.
        self.to_dead_letters = Producer(
            **client_arguments(settings), compression_type="gzip", max_request_size=LARGEST_REQUEST
        )
        self.relay = Relay(settings, self.to_course_events, owned=lambda: self.intake.owned)
        lesson_events = Stream(settings.lesson_events_topic, settings.consumer_group, decode)
        catalog = Stream(settings.course_catalog_topic, settings.catalog_group, decode_catalog)
        self.sinks: list[Store | CatalogSink] = []
        known = KnownCourses()
        self.intake = self._take(
            lesson_events,
            [Store(settings, lesson_events.group, known) for _ in range(LANES)],
            name="progress",
            description="Folds batches of lesson events into course_progress.",
        )
        self.intakes = [
            self.intake,
            self._take(
                catalog,
                [CatalogSink(settings, catalog.group)],
                name="catalog",
                description="Stores the versions of courses.",
            ),
        ]
        self.recount = Recount(settings, self.relay.nudge)
        self.heartbeat = Heartbeat(settings, self.intakes)
        self.need = Need(settings, self.intake)
        self.until_idle: UntilIdle | None = None
        self.topic_warnings: list[str] = []
        health = create_health(self.intakes, {"relay": self.relay}, settings, warnings=self.topic_warnings)
        serve_health(self, health, settings)

    def _take(self, stream: Stream, sinks: Sequence[Store | CatalogSink], *, name: str, description: str) -> Intake:
        """Composes what takes one stream: an agent, and an intake with one lane per sink."""
        handovers = Handovers(self)
        add_agent(
            self,
            name,
            handovers,
            DeadLetterWriter(self.settings, self.to_dead_letters, stream.group),
            lanes=len(sinks),
            description=description,
            on_announced=self.relay.nudge,
        )
        self.sinks += sinks
        return Intake(self.settings, stream, handovers.hand_over, sinks)

    async def on_start(self) -> None:
        await super().on_start()
        require_free_port(self.settings)
        await require_access(client_arguments(self.settings), worker_permissions(self.settings))
        await require_topics(self.settings, *worker_permissions(self.settings))
        self.topic_warnings += await warn_of_topics(self.settings)
        await self.add_async_context(self.to_course_events)
        await self.add_async_context(self.to_dead_letters)

    async def on_started_init_extra_services(self) -> None:
        await super().on_started_init_extra_services()
        await self.add_runtime_dependency(self.heartbeat)  # the last to stop: it reports the others until then
        await self.add_runtime_dependency(self.relay)
        await self.add_runtime_dependency(self.recount)
        for intake in self.intakes:
            await self.add_runtime_dependency(intake)
        await self.add_runtime_dependency(self.need)
        await self.add_runtime_dependency(self.permissions)
        if self.until_idle:
            await self.add_runtime_dependency(self.until_idle)

    async def on_shutdown(self) -> None:
        # Not in on_stop, which runs before the intake has drained.
        await asyncio.gather(*(sink.close() for sink in self.sinks))
        await super().on_shutdown()


app = Worker(settings())
