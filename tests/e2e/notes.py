"""A second stream, as small as one can be: notes, which a worker of its own counts in one table.

python -m tests.e2e.notes                  # with PROGRESS_LESSON_EVENTS_TOPIC naming the topic of notes
python -m tests.e2e.notes --until-idle
python -m tests.e2e.notes --both           # beside lesson events, in a topic and a consumer group of its own
"""

import asyncio
import sys
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
import uvloop
from faust.contrib.asgi import serve_asgi

from events.kinds import Kind
from events.producer import Producer
from worker.agents import AgentApp, Handovers, add_agent
from worker.cli.worker import run_app
from worker.deadletters.writer import DeadLetterWriter
from worker.health.endpoints import create_health
from worker.health.until_idle import UntilIdle
from worker.intake.intake import Intake
from worker.intake.lane import LANES
from worker.kafka.client import client_arguments
from worker.logs import configure
from worker.outbox.relay import Relay
from worker.postgres.stream_sink import TransactionSink
from worker.settings import Settings, settings
from worker.stream.batch import Batch
from worker.stream.outcome import Occurrence, Outcome, Record, Rejected, Skipped
from worker.stream.stream import Stream

UNTIL_IDLE = "--until-idle" in sys.argv
TABLE = "create table if not exists note (text text primary key, times integer not null)"


@dataclass(frozen=True)
class Note:
    text: str


def decode(record: Record) -> Outcome:
    if record.value is None:
        return Skipped("no value")
    if not record.value.startswith(b"note "):
        return Rejected(record, "not a note", Kind.SCHEMA)
    return Occurrence(datetime.now(UTC), Note(record.value.decode()), record.topic, record.partition)


class NotesSink(TransactionSink):
    """Counts how often each note was applied: twice would be once too often."""

    async def _write(self, connection: asyncpg.Connection, batch: Batch) -> int:
        await connection.executemany(
            "insert into note values ($1, 1) on conflict (text) do update set times = note.times + 1",
            [(occurrence.event.text,) for occurrence in batch.occurrences],
        )
        return 0


def add_notes(app: AgentApp, settings: Settings, stream: Stream, dead_letters: Producer) -> Intake:
    """Composes the stream: its sinks, its agent and its intake."""
    handovers = Handovers(app)
    letters = DeadLetterWriter(settings, dead_letters, stream.group)
    add_agent(app, "notes", handovers, letters, lanes=LANES, description="Counts notes.")
    return Intake(settings, stream, handovers.hand_over, [NotesSink(settings, stream.group) for _ in range(LANES)])


class NotesWorker(AgentApp):
    """A worker of this stream alone."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.consumer_group, settings)
        self.to_dead_letters = Producer(**client_arguments(settings))
        stream = Stream(settings.lesson_events_topic, settings.consumer_group, decode)
        self.intakes = [add_notes(self, settings, stream, self.to_dead_letters)]
        self.until_idle = UntilIdle(settings, self.intakes)
        relay = Relay(settings, self.to_dead_letters, owned=set)  # for /live alone; it has nothing to relay
        health = create_health(self.intakes, {"relay": relay}, settings)
        serve_asgi(self, health, host=settings.http_host, port=settings.http_port)

    async def on_start(self) -> None:
        await super().on_start()
        await self.add_async_context(self.to_dead_letters)

    async def on_started_init_extra_services(self) -> None:
        await super().on_started_init_extra_services()
        await self.add_runtime_dependency(self.intakes[0])
        if UNTIL_IDLE:
            await self.add_runtime_dependency(self.until_idle)


def notes_beside_lessons(settings: Settings) -> Stream:
    """Names the stream of notes in a worker that has lesson events too."""
    return Stream(f"{settings.lesson_events_topic}-notes", f"{settings.consumer_group}-notes", decode)


def build_both(settings: Settings) -> AgentApp:
    """Builds a worker of lesson events that takes notes too."""
    from worker.app import Worker

    class BothWorker(Worker):
        def __init__(self) -> None:
            super().__init__(settings)
            self.intakes.append(add_notes(self, settings, notes_beside_lessons(settings), self.to_dead_letters))
            self.until_idle = UntilIdle(settings, self.intakes) if UNTIL_IDLE else None

    return BothWorker()


def main() -> int:
    configure(settings())
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    app = build_both(settings()) if "--both" in sys.argv else NotesWorker(settings())
    return run_app(app, settings(), loop)


if __name__ == "__main__":
    sys.exit(main())
