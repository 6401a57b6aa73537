"""Kafka Connect with Debezium's JDBC sink: upserts the lesson row, and nothing else.

It has no count, no percentage, no completion and no outbox. The event that arrives last wins, not the later one.

It cannot read our records, because type and time are in headers and a sink needs a schema. So it reads a topic of its
own, into which the benchmark writes the same events (`records`): flat JSON with a lesson row's columns. Accesses are in
it too, and Connect's own Filter removes them by a header. The schema is configured once (`schema.content`, Kafka 4.2),
not sent in every record, where it would be larger than the data.

For speed it has batches as large as ours and removes duplicates within a batch (`use.reduction.buffer`), as Debezium's
post on batch support (2023-12-20) advises. It executes one statement per batch
(`dialect.postgres.unnest.insert.enabled`). It has one task, as ours is one worker.

A record that the converter refuses ends the task, because `errors.tolerance=none` is the default: nothing is lost, and
nothing moves until an operator acts, also after a restart. `REFUSED` is such a record; there is no `--fail-once`.

It writes no offsets to the database: `done` asks Kafka. Connect commits every quarter of a second here, not every
minute.
"""

import argparse
import json
import signal
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

from aiokafka.admin import NewTopic

from events.models import CourseAccessed, LessonCompleted, LessonEvent
from events.producer import OutgoingRecord
from tests.bench.peers.kafka_offsets import committed, end
from tests.bench.peers.sample import Happened
from worker.devstack import to_stderr
from worker.devstack.kafka_jars import find_jars, find_java, write_properties
from worker.devstack.process import find_free_ports, run_kept, scratch_directory
from worker.kafka.topics import admin_client
from worker.settings import Settings, settings

POM = Path(__file__).with_name("connect-pom.xml")
BATCH = 2000
CHUNK = 5000
REFUSED = b"not JSON"
UUID_TYPE = {"type": "string", "name": "io.debezium.data.Uuid"}
TIME_TYPE = {"type": "string", "name": "io.debezium.time.ZonedTimestamp"}
COLUMNS = {
    "user_id": UUID_TYPE,
    "course_id": UUID_TYPE,
    "lesson_id": {"type": "string"},
    "completed": {"type": "boolean"},
    "changed_at": TIME_TYPE,
    "completed_at": TIME_TYPE | {"optional": True},
    "uncompleted_at": TIME_TYPE | {"optional": True},
}
SCHEMA = {"type": "struct", "fields": [{"field": name} | kind for name, kind in COLUMNS.items()]}


def topic(settings: Settings) -> str:
    return f"{settings.lesson_events_topic}.rows"


def records(settings: Settings, happened: Iterable[Happened]) -> Iterator[OutgoingRecord]:
    """Yields what the benchmark writes to `topic`: one record per event, in chunks that begin with their accesses.

    Debezium's sink commits up to the last record that it received. If the last record of a partition were filtered out,
    the benchmark could not see that the sink is done.
    """
    remaining = iter(happened)
    while chunk := list(islice(remaining, CHUNK)):
        for event, at in sorted(chunk, key=lambda each: not isinstance(each[0], CourseAccessed)):
            yield record(settings, event, at)


def record(settings: Settings, event: LessonEvent, at: datetime) -> OutgoingRecord:
    completed = isinstance(event, LessonCompleted)
    row = {
        "user_id": str(event.user_id),
        "course_id": str(event.course_id),
        "lesson_id": event.lesson_id,
        "completed": completed,
        "changed_at": at.isoformat(),
        "completed_at": at.isoformat() if completed else None,
        "uncompleted_at": None if completed else at.isoformat(),
    }
    headers = [("accessed", b"")] if isinstance(event, CourseAccessed) else []
    return OutgoingRecord(topic(settings), row["user_id"].encode(), json.dumps(row).encode(), headers)


async def create_topic(settings: Settings) -> None:
    async with admin_client(settings) as admin:
        await admin.create_topics([NewTopic(topic(settings), settings.topic_partitions, 1)])


async def applied(settings: Settings) -> int:
    """Counts the records before Connect's committed offsets: they are in the table, or filtered out."""
    return await committed(settings, topic(settings))


async def done(settings: Settings) -> bool:
    """Tells whether every record of the topic is in the table."""
    return await applied(settings) == await end(settings, topic(settings))


def worker_properties(settings: Settings, directory: Path) -> dict[str, object]:
    (port,) = find_free_ports(1)
    return {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "header.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "true",
        "value.converter.schema.content": json.dumps(SCHEMA),
        "offset.storage.file.filename": directory / "offsets",
        "offset.flush.interval.ms": 250,
        "listeners": f"http://127.0.0.1:{port}",
        "plugin.discovery": "service_load",
    }


def sink_properties(settings: Settings) -> dict[str, object]:
    database = urlsplit(settings.database_url.get_secret_value())
    return {
        "name": "lesson-rows",
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": 1,
        "topics": topic(settings),
        "connection.url": f"jdbc:postgresql://{database.hostname}:{database.port}{database.path}",
        "connection.username": database.username,
        "connection.password": database.password or "",
        "insert.mode": "upsert",
        "primary.key.mode": "record_value",
        "primary.key.fields": "user_id,course_id,lesson_id",
        "collection.name.format": "lesson_progress",
        "schema.evolution": "none",
        "batch.size": BATCH,
        "use.reduction.buffer": "true",
        "dialect.postgres.unnest.insert.enabled": "true",
        "consumer.override.group.id": settings.consumer_group,
        "consumer.override.max.poll.records": BATCH,
        "transforms": "lessonsOnly",
        "transforms.lessonsOnly.type": "org.apache.kafka.connect.transforms.Filter",
        "transforms.lessonsOnly.predicate": "accessed",
        "predicates": "accessed",
        "predicates.accessed.type": "org.apache.kafka.connect.transforms.predicates.HasHeaderKey",
        "predicates.accessed.name": "accessed",
    }


def main(settings: Settings) -> None:
    """Blocks until SIGTERM, or until Connect ends by itself."""
    java, jars = find_java(), find_jars(to_stderr, POM)
    with scratch_directory("connect") as directory:
        files = [directory / "worker.properties", directory / "sink.properties"]
        write_properties(files[0], worker_properties(settings, directory))
        write_properties(files[1], sink_properties(settings))
        # G1 is the collector that the JVM would choose on a server-class machine.
        options = ["-Xmx1g", "-XX:+UseG1GC", "-XX:-UsePerfData", f"-Djava.io.tmpdir={directory}"]
        options += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{jars}/*"]
        command = [java, *options, "org.apache.kafka.connect.cli.ConnectStandalone", *map(str, files)]
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        with run_kept(command, directory) as connect:
            try:
                connect.keeper.wait()
            finally:
                to_stderr(connect.log.read_text(errors="replace"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--download", action="store_true", help="only fetch Kafka Connect, with Maven")
    if parser.parse_args().download:
        find_jars(to_stderr, POM)
    else:
        main(settings())
