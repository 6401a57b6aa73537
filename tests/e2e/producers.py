"""Publishes lesson events with other clients than ours: confluent-kafka, KafkaJS in Node, Java's console producer."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import aiokafka.consumer.fetcher
import confluent_kafka
import pytest

from events.models import LessonEvent
from tests.factories import Happened
from tests.topics import records_of
from worker.devstack.kafka_jars import build_jvm_arguments, find_jars, find_java
from worker.kafka.inflation import BoundedRecords
from worker.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "producers.md").read_text()
KAFKAJS = Path(__file__).with_name("kafkajs.mjs")
# What the page tells to install.
PACKAGES = dict(re.findall(r"(\S+)@(\d[\d.]+)", re.findall(r"^ *npm install (.*)$", PAGE, re.MULTILINE)[0]))
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]  # at their numbers in a batch of records


class Record(NamedTuple):
    """Holds a record as every client takes it: all of it text."""

    key: str
    value: str
    headers: Mapping[str, str]


Batches = Mapping[str, Sequence[Record]]  # by codec
Form = Callable[[LessonEvent, Mapping[str, str]], Record]


def in_binary_mode(event: LessonEvent, attributes: Mapping[str, str]) -> Record:
    headers = {f"ce_{name}": text for name, text in attributes.items()}
    return Record(str(event.user_id), event.model_dump_json(), {**headers, "content-type": "application/json"})


def structured(event: LessonEvent, attributes: Mapping[str, str]) -> Record:
    value = json.dumps({**attributes, "data": json.loads(event.model_dump_json())}, ensure_ascii=False)
    return Record(str(event.user_id), value, {"content-type": "application/cloudevents+json; charset=UTF-8"})


def bare(event: LessonEvent, attributes: Mapping[str, str]) -> Record:
    value = json.dumps({**attributes, **json.loads(event.model_dump_json())}, ensure_ascii=False)
    return Record(str(event.user_id), value, {})


FORMS: list[Form] = [in_binary_mode, structured, bare]


def write(form: Form, happened: Happened) -> Record:
    """Writes an event in a form, with an id of its own."""
    event, at = happened
    attributes = {"specversion": "1.0", "id": str(uuid4()), "type": type(event).__name__, "source": "player"}
    return form(event, {**attributes, "time": at.isoformat()})


def find_snippet(language: str, holding: str) -> str:
    """Returns the block of code on the page that is in this language and holds this text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    [block] = [block for block in blocks if holding in block]
    return str(block)


def set_up(snippet: str, settings: Settings) -> str:
    """Returns a block of the page with this test's servers and topic in place of the page's."""
    for text, here in [
        ("localhost:9092", settings.kafka_bootstrap_servers),
        ("lesson-events", settings.lesson_events_topic),
    ]:
        assert text in snippet
        snippet = snippet.replace(text, here)
    return snippet


class Console:
    """Runs Java's console producer, which a shell finds as `kafka-console-producer.sh`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        jvm = [find_java(), "-XX:TieredStopAtLevel=1", *build_jvm_arguments(find_jars(print), directory)]
        script = directory / "kafka-console-producer.sh"
        script.write_text(f'#!/bin/sh\nexec {shlex.join([*jvm, "org.apache.kafka.tools.ConsoleProducer"])} "$@"\n')
        script.chmod(0o755)

    def run(self, script: str, given: str = "") -> None:
        """Runs a script of the shell. The console producer says on standard error what it could not send."""
        path = f"{self._directory}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-euc", script],
            env={**os.environ, "PATH": path, "LC_ALL": "C"},
            input=given.encode(),
            capture_output=True,
            timeout=100,
            check=False,
        )
        assert (done.returncode, done.stderr.decode()) == (0, "")

    def produce(self, settings: Settings, batches: Batches) -> None:
        """Sends each codec's records by a JVM of its own."""
        for codec, records in batches.items():
            lines = "".join(
                f"{','.join(f'{name}:{text}' for name, text in record.headers.items()) or 'NONE'}"
                f"\t{record.key}\t{record.value}\n"
                for record in records
            )
            self.run(
                f"kafka-console-producer.sh --bootstrap-server {settings.kafka_bootstrap_servers}"
                f" --topic {settings.lesson_events_topic} --compression-codec {codec}"
                " --property parse.headers=true --property parse.key=true --property null.marker=NONE",
                lines,
            )


def run_node(packages: Path, script: str, given: str = "") -> None:
    """Runs a script, a module of JavaScript, in Node with the packages of this directory."""
    # Read as an argument, the script finds its packages in the working directory.
    command = ["node", "--input-type=module", "--eval", script]
    environment = {**os.environ, "KAFKAJS_NO_PARTITIONER_WARNING": "1"}
    done = subprocess.run(
        command, cwd=packages, env=environment, input=given, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr


def produce_with_kafkajs(settings: Settings, packages: Path, batches: Batches) -> None:
    """Sends all records by one process of Node, with the codecs that the page registers."""
    given = {
        "servers": settings.kafka_bootstrap_servers,
        "topic": settings.lesson_events_topic,
        "batches": [
            {"codec": codec, "messages": [record._asdict() for record in records]} for codec, records in batches.items()
        ],
    }
    script = find_snippet("js", "CompressionCodecs[") + KAFKAJS.read_text()
    run_node(packages, script, json.dumps(given))


def produce_with_confluent(settings: Settings, batches: Batches) -> None:
    for codec, records in batches.items():
        producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": settings.kafka_bootstrap_servers,
                "enable.idempotence": True,
                "compression.type": codec,
                "linger.ms": 200,  # or each record is a batch, which is too small to become smaller
            }
        )
        for record in records:
            producer.produce(settings.lesson_events_topic, record.value, record.key, headers=dict(record.headers))
        assert producer.flush(60) == 0


class Stored(NamedTuple):
    """Says how Kafka has stored a record."""

    key: str
    partition: int
    codec: str


async def read_stored(settings: Settings, number: int) -> set[Stored]:
    """Reads how that many lesson events are stored, each in the codec of its batch."""
    stored: set[Stored] = set()

    class Noting(BoundedRecords):
        def _unpack_records(self) -> Iterator[Any]:
            for record in super()._unpack_records():
                codec = CODECS[self._records.last.compression_type]
                stored.add(Stored(record.key.decode(), record.partition, codec))
                yield record

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aiokafka.consumer.fetcher, "PartitionRecords", Noting)
        await records_of(settings, settings.lesson_events_topic, number)
    return stored
