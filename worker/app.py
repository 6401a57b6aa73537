"""The composition root: the whole data path, one direction, on one screen.

intake's lanes (getmany -> decode -> batch) -> channel -> agent (dead letters -> fold -> one statement) -> settled
outbox -> relay -> course-events
"""

import socket
import tempfile

import faust
from faust.app import BootStrategy
from faust.contrib.asgi import serve_asgi

from events.producer import Producer
from worker.agents import Batches, add_agents
from worker.deadletters.writer import DeadLetterWriter
from worker.errors import SetupError
from worker.health.endpoints import create_health
from worker.health.heartbeat import Heartbeat
from worker.health.until_idle import UntilIdle
from worker.intake.intake import Intake
from worker.intake.lane import LANES
from worker.kafka.client import client_arguments
from worker.kafka.permissions import PermissionWatch, require_access, worker_permissions
from worker.kafka.topics import LARGEST_INFLATED, require_topics
from worker.logs import logging_config
from worker.outbox.relay import Relay
from worker.progress.store import Store
from worker.settings import Settings, settings


class Boot(BootStrategy):
    """Faust's own Kafka is off: its consumer acknowledges what failed (docs/decisions/0001)."""

    enable_kafka = False


class Worker(faust.App):
    """One worker: a Faust app whose services start in the order they stand here, and stop in the reverse."""

    BootStrategy = Boot

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            settings.consumer_group,
            broker=f"kafka://{settings.kafka_bootstrap_servers}",
            autodiscover=False,
            datadir=tempfile.gettempdir(),
            logging_config=logging_config(settings),
            web_enabled=True,
            worker_redirect_stdouts=False,
        )
        self.settings = settings
        self.access = PermissionWatch(settings)
        self.to_course_events = Producer(**client_arguments(settings))
        # aiokafka measures a record before it is compressed, as it was rejected; the broker measures it as it comes.
        self.to_dead_letters = Producer(
            **client_arguments(settings), compression_type="gzip", max_request_size=LARGEST_INFLATED
        )
        self.stores = [Store(settings) for _ in range(LANES)]
        self.batches = Batches(self)
        self.intake = Intake(settings, self.batches, self.stores)
        self.relay = Relay(settings, self.to_course_events, owned=lambda: self.intake.owned)
        self.status = Heartbeat(settings, self.intake)
        dead_letters = DeadLetterWriter(settings, self.to_dead_letters)
        add_agents(self, self.batches, self.stores, dead_letters, on_transitions=self.relay.nudge)
        self.until_idle: UntilIdle | None = None
        health = create_health(self.intake, self.relay, settings)
        serve_asgi(self, health, host=settings.http_host, port=settings.http_port, access_log=False)

    async def start(self) -> None:
        try:
            await super().start()
        except Exception as error:
            self.crash_reason = error  # which mode keeps only for what fails later
            raise

    async def on_start(self) -> None:
        await super().on_start()
        require_free_port(self.settings)
        await require_access(client_arguments(self.settings), worker_permissions(self.settings))
        await require_topics(self.settings)
        # In-memory channels deliver nothing before this, and Faust's consumer, which would do it, is off.
        self.flow_control.resume()
        await self.add_async_context(self.to_course_events)
        await self.add_async_context(self.to_dead_letters)

    async def on_started_init_extra_services(self) -> None:
        await super().on_started_init_extra_services()
        await self.add_runtime_dependency(self.status)  # so the last to stop: it tells of the others till then
        await self.add_runtime_dependency(self.relay)
        await self.add_runtime_dependency(self.intake)
        await self.add_runtime_dependency(self.access)
        if self.until_idle:
            await self.add_runtime_dependency(self.until_idle)

    async def on_shutdown(self) -> None:
        # Not in on_stop, which runs before the intake has drained.
        for store in self.stores:
            await store.close()
        await super().on_shutdown()


def require_free_port(settings: Settings) -> None:
    """Raises SetupError before this worker joins the group, whose others would be disturbed in vain."""
    try:
        socket.create_server((settings.http_host, settings.http_port)).close()
    except OSError as error:
        where = f"{settings.http_host}:{settings.http_port}"
        raise SetupError(
            f"{where} cannot be listened on ({error.strerror}): set PROGRESS_HTTP_PORT, 0 is any"
        ) from error


app = Worker(settings())
