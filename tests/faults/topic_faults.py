"""Plays topics that change under the workers, publishers with transactions, and repairs that run beside the load."""

import asyncio
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewPartitions, NewTopic

from events.models import LessonCompleted
from events.producer import Producer
from tests.faults.fault import fault
from tests.faults.kafka_faults import admin, delete
from tests.faults.load import START, Sent, place
from tests.faults.scene import PARTITIONS, Scene
from tests.processes import eventually


@fault()
async def partitions_added(scene: Scene) -> None:
    """lesson-events gets twice as many partitions, while learners learn and two workers run"""
    publishing = scene.publish(at_most=1500)
    scene.start()
    scene.start()
    await publishing
    async with admin(scene) as client:
        await client.create_partitions({scene.settings.lesson_events_topic: NewPartitions(total_count=2 * PARTITIONS)})
    scene.publish()  # a publisher that knows them; learners change their partition

    async def all_are_read() -> bool:
        return len(await scene.read_stored_offsets()) == 2 * PARTITIONS

    await scene.wait_for_proof(all_are_read)
    scene.mark_over()


@fault()
async def recreated_with_fewer_partitions(scene: Scene) -> None:
    """the topic created again with half its partitions while course events wait; then `rewind --to earliest`"""
    topic, half = scene.settings.lesson_events_topic, PARTITIONS // 2
    worker = scene.start("keep-in-outbox:0")
    await scene.publish(at_most=2000)
    await scene.wait_until_applied()
    await worker.stop()
    waiting = await scene.sql("select from outbox where source_partition >= $1", half)
    scene.prove(len(waiting) > 0, "nothing waits of the partitions that go")
    await delete(scene, topic)
    async with admin(scene) as client:
        await client.create_topics([NewTopic(topic, half, 1)])
    scene.load.recreated = True
    await scene.rewind()
    await scene.publish(at_most=3000)
    scene.mark_over()
    scene.start()
    scene.start()


@fault()
async def transactions_with_aborts(scene: Scene) -> None:
    """a publisher with transactions, half of them aborted, in partitions that nobody else writes to"""
    scene.load.source = place(iter(scene.learners), choose_of_the_first_two)
    await scene.start_two_workers()
    async with AIOKafkaProducer(
        bootstrap_servers=scene.servers.kafka, transactional_id=f"faults-{uuid4()}"
    ) as producer:
        for number in range(20):
            await producer.begin_transaction()
            for partition in range(2, PARTITIONS):
                # Without a value, so that a worker skips it.
                await producer.send(scene.settings.lesson_events_topic, None, b"learner", partition)
            await (producer.abort_transaction() if number % 2 else producer.commit_transaction())
            await asyncio.sleep(0.2)
    ends = await scene.read_ends()
    scene.prove(all(end >= 40 for tp, end in ends.items() if tp.partition >= 2), f"{ends}")
    scene.mark_over()

    async def are_passed() -> bool:  # while the other partitions are busy
        stored = await scene.read_stored_offsets()
        return all(stored.get(tp.partition) == end for tp, end in ends.items() if tp.partition >= 2)

    await eventually(are_passed, 30)
    async with asyncio.timeout(60):
        status, said = await scene.run("worker", "--until-idle")
    if status:
        scene.unexpected.append(f"worker --until-idle: {said}")


def choose_of_the_first_two(sent: Sent) -> int:
    return sent.happened[0].user_id.int % 2 if sent.happened else 0


@fault()
async def repaired_under_load(scene: Scene) -> None:
    """`verify --fix` and `rewind` beside two workers and the load; then `rewind` while they are stopped"""
    await scene.start_two_workers()
    await repair_one_row(scene)
    for _ in range(3):
        status, said = await scene.run("verify", "--fix")
        if status:
            scene.unexpected.append(f"verify --fix beside workers: {said}")
        status, said = await scene.run("rewind", "--to", "earliest")
        if status != 1 or "stop the workers first" not in said:
            scene.unexpected.append(f"rewind did not refuse: {said}")
    await asyncio.gather(*(worker.stop() for worker in scene.workers))
    before = sum((await scene.read_stored_offsets()).values())
    await scene.rewind()
    scene.prove(sum((await scene.read_stored_offsets()).values()) < before, "no stored offset went back")
    scene.mark_over()
    scene.start()
    scene.start()


async def repair_one_row(scene: Scene) -> None:
    """Miscounts the row of a learner who does not learn any more, and has `verify --fix` repair it, and no other."""
    ids = {"user_id": scene.learners.uuid(), "course_id": scene.learners.uuid()}
    event = LessonCompleted(**ids, lesson_id="one-of-three", total_lessons=3)
    async with Producer(scene.servers.kafka) as producer:
        await scene.load.send(producer, [scene.learners.build_sent(event, START)])
    miscount = "update course_progress_all set lessons_completed = 2 where user_id = $1 returning user_id"

    async def miscounted() -> bool:
        return bool(await scene.sql(miscount, event.user_id))

    await eventually(miscounted)
    status, said = await scene.run("verify", "--fix")
    scene.prove(status == 1 and "1 repaired" in said, f"verify --fix: {said}")
