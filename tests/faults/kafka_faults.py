"""Plays Kafka that restarts, goes away, lacks a topic, refuses writes, or has lost its log."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.faults.fault import fault
from tests.faults.postgres_faults import AWAY_S
from tests.faults.scene import PARTITIONS, Scene
from tests.processes import eventually
from worker.kafka.topics import DEAD_LETTERS


@fault()
async def broker_killed(scene: Scene) -> None:
    """Kafka SIGKILLed and started again"""
    await scene.restart(scene.servers.broker, signal.SIGKILL)


@fault()
async def broker_away(scene: Scene) -> None:
    """Kafka 30 s away"""
    await scene.restart(scene.servers.broker, signal.SIGTERM, AWAY_S)


@asynccontextmanager
async def admin(scene: Scene) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=scene.servers.broker.address)
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


async def missing_for_a_while(scene: Scene, topic: str) -> None:
    """Deletes the topic before anything is published to it, and creates it again when there is something."""
    scene.start()
    scene.start()
    await scene.wait_until_ready()
    await delete(scene, topic)
    scene.publish()
    await scene.pause(8, 12)
    await create(scene, topic)
    scene.mark_over()


@fault()
async def course_events_missing(scene: Scene) -> None:
    """course-events deleted, and created again after some 10 s"""
    await missing_for_a_while(scene, scene.settings.course_events_topic)


@fault()
async def dead_letter_topic_missing(scene: Scene) -> None:
    """the dead letter topic deleted, and created again after some 10 s"""
    await missing_for_a_while(scene, scene.settings.dead_letter_topic)


async def not_writable_for_a_while(scene: Scene, topic: str) -> None:
    """Requires two replicas for an acknowledgement, while the topic has one."""
    await scene.start_two_workers()
    async with admin(scene) as client:
        for replicas in ("2", "1"):
            # Kafka resets settings that are not named to their defaults, the retention of dead letters too.
            configs = DEAD_LETTERS | {"min.insync.replicas": replicas}
            await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])
            if replicas == "2":
                await scene.pause(8, 12)
    scene.mark_over()


@fault()
async def course_events_not_writable(scene: Scene) -> None:
    """course-events not writable for some 10 s"""
    await not_writable_for_a_while(scene, scene.settings.course_events_topic)


@fault()
async def dead_letter_topic_not_writable(scene: Scene) -> None:
    """the dead letter topic not writable for some 10 s"""
    await not_writable_for_a_while(scene, scene.settings.dead_letter_topic)


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

    await eventually(counted)


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
    if worker.exits[0] != 1:
        scene.unexpected.append("a worker did not notice that its topic was created again")
    await worker.stop()
    status, said = await scene.run("rewind", "--to", "earliest")
    if status:
        scene.unexpected.append(f"rewind: {said}")
    await scene.execute("delete from offsets_gone_back")  # in this fault they had to
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
    for worker in scene.workers:
        worker.expected.add(1)
    await asyncio.gather(*(worker.wait_for_exits() for worker in scene.workers))
    await asyncio.gather(*(worker.stop() for worker in scene.workers))
    status, said = await scene.run("rewind", "--to", "earliest")
    if status:
        scene.unexpected.append(f"rewind: {said}")
    await scene.execute("delete from offsets_gone_back")  # in this fault they had to
    scene.mark_over()
    scene.start()
    scene.start()
