"""Plays three brokers of which one or two are away, so that in-sync replicas are missing."""

import asyncio

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.faults.cluster import BROKERS, Cluster
from tests.faults.fault import fault
from tests.faults.kafka_faults import admin
from tests.faults.proof import require_refusal, wait_until_said
from tests.faults.scene import Scene
from tests.processes import eventually
from worker.kafka.topics import DEAD_LETTERS

REFUSED = "NOT_ENOUGH_REPLICAS"


def cluster_of(scene: Scene) -> Cluster:
    assert scene.servers.cluster is not None, "the fault needs brokers=3"
    return scene.servers.cluster


async def wait_for_in_sync(scene: Scene, brokers: int) -> None:
    """Waits until each partition of the lesson events has exactly so many replicas in sync."""

    async def as_wanted() -> bool:
        async with admin(scene) as client:
            [topic] = await client.describe_topics([scene.settings.lesson_events_topic])
        return all(len(partition["isr"]) == brokers for partition in topic["partitions"])

    await scene.wait_for_proof(as_wanted)


@fault(brokers=BROKERS)
async def brokers_restarted_in_turn(scene: Scene) -> None:
    """each of three brokers restarted in turn under load; the other two go on"""
    await scene.start_two_workers()
    for node in cluster_of(scene).nodes:
        await scene.run_blocking(node.stop)
        await wait_for_in_sync(scene, BROKERS - 1)
        before = scene.load.acknowledged

        async def goes_on(before: int = before) -> bool:
            return scene.load.acknowledged > before

        await eventually(goes_on)
        await scene.pause()
        await scene.run_blocking(node.start)
        await wait_for_in_sync(scene, BROKERS)


@fault(brokers=BROKERS)
async def in_sync_replicas_not_met(scene: Scene) -> None:
    """two of three brokers stopped for some 10 s, where a write needs two: Kafka refuses every event"""
    await scene.start_two_workers()
    cluster = cluster_of(scene)
    # It stays, because it takes the others' partitions over when they stop.
    controller = cluster.read_controller()
    stopped = [node for node in cluster.nodes if node is not controller]
    for node in stopped:
        await scene.run_blocking(node.stop)
    await require_refusal(scene, scene.settings.lesson_events_topic, REFUSED)
    before = scene.load.acknowledged
    await scene.pause(8, 12)
    scene.prove(scene.load.acknowledged == before, "Kafka acknowledged events in the meantime")
    await asyncio.gather(*(scene.run_blocking(node.start) for node in stopped))
    scene.mark_over()


async def not_writable_until_noticed(scene: Scene, topic: str, said: str) -> None:
    """Requires three replicas for an acknowledgement in this topic, and stops a broker until a worker has said this.

    Lesson events need two, so that they go on.
    """
    kept = DEAD_LETTERS if topic == scene.settings.dead_letter_topic else {}  # Kafka resets what is not named
    async with admin(scene) as client:
        configs = kept | {"min.insync.replicas": str(BROKERS)}
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])
    await scene.start_two_workers()
    node = scene.rng.choice(cluster_of(scene).nodes)
    await scene.run_blocking(node.stop)
    await require_refusal(scene, topic, REFUSED)
    await wait_until_said(scene, said)
    await require_refusal(scene, topic, REFUSED)
    await scene.run_blocking(node.start)
    scene.mark_over()


@fault(brokers=BROKERS)
async def course_events_not_writable(scene: Scene) -> None:
    """course-events not writable because an in-sync replica is missing, until a worker has given up a write"""
    await not_writable_until_noticed(scene, scene.settings.course_events_topic, "course events cannot be published")
    await scene.require("progress_outbox_failures_total")


@fault(brokers=BROKERS)
async def dead_letter_topic_not_writable(scene: Scene) -> None:
    """the dead letter topic not writable because an in-sync replica is missing, until a worker has given up a write"""
    await not_writable_until_noticed(scene, scene.settings.dead_letter_topic, "dead letters cannot be written")
    await scene.require("progress_retries_total")
