"""Plays Kafka that restarts, goes away, lacks a topic, or has lost its log or a part of it."""

import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from tests.faults.fault import fault
from tests.faults.postgres_faults import AWAY_S
from tests.faults.proof import wait_until_said
from tests.faults.scene import PARTITIONS, Scene
from tests.processes import eventually
from worker.kafka.topics import DEAD_LETTERS


@fault()
async def broker_killed(scene: Scene) -> None:
    """Kafka SIGKILLed and started again"""
    await scene.restart(scene.servers.broker, signal.SIGKILL)
    await wait_until_said(scene, "waiting for Kafka")


@fault()
async def broker_away(scene: Scene) -> None:
    """Kafka 30 s away"""
    await scene.restart(scene.servers.broker, signal.SIGTERM, AWAY_S)
    await wait_until_said(scene, "waiting for Kafka")


@asynccontextmanager
async def admin(scene: Scene) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=scene.servers.kafka)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def delete(scene: Scene, topic: str) -> None:
    async with admin(scene) as client:
        await client.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await client.list_topics()

        await eventually(gone)


async def create(scene: Scene, topic: str) -> None:
    configs = DEAD_LETTERS if topic == scene.settings.dead_letter_topic else {}
    async with admin(scene) as client:
        await client.create_topics([NewTopic(topic, PARTITIONS, 1, topic_configs=configs)])


async def missing_until_noticed(scene: Scene, topic: str, said: str) -> None:
    """Deletes the topic before anything is published to it, and creates it again once a worker has said this."""
    scene.start()
    scene.start()
    await scene.wait_until_ready()
    await delete(scene, topic)
    scene.publish()
    await wait_until_said(scene, said)
    await create(scene, topic)
    scene.mark_over()


@fault()
async def course_events_missing(scene: Scene) -> None:
    """course-events deleted, and created again once a worker has given up a write"""
    await missing_until_noticed(scene, scene.settings.course_events_topic, "course events cannot be published")
    await scene.require("progress_outbox_failures_total")


@fault()
async def dead_letter_topic_missing(scene: Scene) -> None:
    """the dead letter topic deleted, and created again once a worker has given up a write"""
    await missing_until_noticed(scene, scene.settings.dead_letter_topic, "dead letters cannot be written")
    await scene.require("progress_retries_total")


@fault()
async def log_truncated(scene: Scene) -> None:
    """the log truncated by retention beneath the stored offset, while no worker runs"""
    scene.publish()
    worker = scene.start()
    await scene.wait_until_ready()
    await scene.pause()
    await worker.stop()
    stored = await scene.read_stored_offsets()
    await scene.pause()
    partition = scene.rng.choice(sorted(stored))
    tp = TopicPartition(scene.settings.lesson_events_topic, partition)
    end = (await scene.read_ends())[tp]
    gone = range(stored[partition], stored[partition] + scene.rng.randint(1, end - stored[partition]))
    async with admin(scene) as client:
        await client.delete_records({tp: RecordsToDelete(before_offset=gone.stop)})
    acknowledged = [origin for origin, _ in [*scene.load.good, *scene.load.bad]]
    scene.deleted = {origin for origin in acknowledged if origin[1] == partition and origin[2] in gone}
    scene.lost_with_reason = (
        "deleted by Kafka before a worker had read them: `progress_events_missing_total` counts them"
    )
    scene.mark_over()
    successor = scene.start()

    async def counted() -> bool:
        return await successor.metric("progress_events_missing_total") == len(gone)

    await scene.wait_for_proof(counted)


@fault()
async def topic_recreated(scene: Scene) -> None:
    """the topic deleted and created again, grown past the stored offsets; then `rewind --to earliest`"""
    topic = scene.settings.lesson_events_topic
    await scene.publish(at_most=2000)
    worker = scene.start()
    await scene.wait_until_recovered()
    await worker.stop()
    await delete(scene, topic)
    await create(scene, topic)
    scene.load.recreated = True
    await scene.publish(at_most=5000)
    worker = scene.start()
    worker.expected.add(1)
    await worker.wait_for_exits()
    scene.prove(worker.exits[0] == 1, "the worker did not notice that its topic was created again")
    await worker.stop()
    await scene.rewind()
    scene.start()
    await scene.wait_until_ready()


@fault()
async def topic_recreated_under_workers(scene: Scene) -> None:
    """the topic deleted and created again under two workers; then `rewind --to earliest`"""
    topic = scene.settings.lesson_events_topic
    publishing = scene.publish(at_most=2000)
    scene.start()
    scene.start()
    await publishing
    await scene.wait_until_recovered()  # the deleted records have been applied
    await delete(scene, topic)
    await create(scene, topic)
    scene.load.recreated = True
    scene.publish()
    await scene.require_new_topic_noticed()
    await scene.rewind()
    scene.mark_over()
    scene.start()
    scene.start()


async def replace_directory(scene: Scene, old: Path, copied: Path) -> None:
    """Puts a copy of a directory into another's place, while Kafka is stopped."""
    await scene.run_blocking(scene.servers.broker.stop)
    shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(copied, old)
    await scene.run_blocking(scene.servers.broker.start)


def log_directory(scene: Scene, partition: int) -> Path:
    return scene.servers.broker.home / "data" / f"{scene.settings.lesson_events_topic}-{partition}"


async def keep_log(scene: Scene, partition: int) -> Path:
    """Publishes the load's first records, and keeps a snapshot of the partition's log as it is then."""
    scene.load.rate_s, scene.load.recreated = 1000, True
    await scene.publish(at_most=1000)
    kept = scene.directory / "snapshot"
    await replace_directory(scene, kept, copied=log_directory(scene, partition))
    return kept


async def go_back_and_grow(scene: Scene, partition: int, kept: Path, stored: int) -> None:
    """Puts the snapshot in the log's place, and publishes until the log reaches beyond the stored offset."""
    await replace_directory(scene, log_directory(scene, partition), copied=kept)
    tp = TopicPartition(scene.settings.lesson_events_topic, partition)
    end = (await scene.read_ends())[tp]
    scene.prove(end < stored, f"the log ends at {end}, and {stored} is stored")
    while end <= stored:
        await scene.publish(at_most=scene.load.acknowledged + 1000)
        end = (await scene.read_ends())[tp]


async def wait_until_gone_back(scene: Scene, partition: int) -> None:
    """Waits until a worker has noticed, and has applied what it had passed over."""

    await scene.require("progress_log_went_back_total")
    await scene.wait_until_recovered()
    await scene.sql("delete from offsets_gone_back where partition = $1", partition)  # in this fault it had to


@fault()
async def log_went_back(scene: Scene) -> None:
    """the log of a partition goes back and grows beyond the stored offset again, while no worker runs"""
    partition = scene.rng.randrange(PARTITIONS)
    kept = await keep_log(scene, partition)
    worker = scene.start()
    await scene.publish(at_most=2000)
    await scene.wait_until_recovered()
    await worker.stop()
    stored = (await scene.read_stored_offsets())[partition]
    await scene.publish(at_most=2500)
    lose_unread(scene, partition, stored)
    await go_back_and_grow(scene, partition, kept, stored)
    scene.mark_over()
    scene.start()
    await wait_until_gone_back(scene, partition)


def lose_unread(scene: Scene, partition: int, stored: int) -> None:
    """Takes out of the load what Kafka is about to lose before a worker has read it."""
    load = scene.load
    acknowledged = [origin for origin, _ in [*load.good, *load.bad]]
    unread = {origin for origin in acknowledged if origin[1] == partition and origin[2] >= stored}
    load.good = [entry for entry in load.good if entry[0] not in unread]
    load.bad = [entry for entry in load.bad if entry[0] not in unread]
    # Under another name, because later records get the same offsets.
    scene.deleted = {(f"{topic}, as it was", partition, offset) for topic, _, offset in unread}
    scene.lost_with_reason = (
        "acknowledged, and lost by Kafka itself with the end of its log before a worker had read them"
    )


@fault(session_timeout_s=20)
async def log_went_back_under_workers(scene: Scene) -> None:
    """the log of a partition goes back and grows beyond the stored offset again, while two workers are cut off"""
    partition = scene.rng.randrange(PARTITIONS)
    kept = await keep_log(scene, partition)
    scene.start()
    scene.start()
    await scene.publish(at_most=2000)
    await scene.wait_until_recovered()
    stored = (await scene.read_stored_offsets())[partition]
    scene.kafka.cut()  # for less than the session timeout: no rebalance has them read their offsets again
    await go_back_and_grow(scene, partition, kept, stored)
    scene.kafka.heal()
    scene.mark_over()
    await wait_until_gone_back(scene, partition)
