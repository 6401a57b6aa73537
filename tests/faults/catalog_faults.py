"""Plays versions of courses that are published while learners learn: under kills, in any order, and on a new topic."""

from collections import Counter
from datetime import datetime, timedelta

from events import CourseCatalogPublisher, CoursePublished
from events.envelope import binary
from events.producer import OutgoingRecord, Producer
from tests.catalogs import draw_version
from tests.faults.fault import fault
from tests.faults.kafka_faults import create, delete
from tests.faults.load import Sent, lessons_of
from tests.faults.scene import Scene
from tests.faults.worker_faults import wait_until_killed
from worker.settings import Settings


async def publish_versions(scene: Scene, number: int, at: datetime | None = None) -> None:
    """Publishes this version of each of the load's courses, in force since the learners' present."""
    drawn = [draw_version(scene.rng, course, number, lessons_of(course)) for course in scene.learners.courses]
    await publish(scene, drawn, at or scene.learners.now)


async def publish(scene: Scene, versions: list[CoursePublished], at: datetime) -> None:
    topic = scene.settings.course_catalog_topic
    async with CourseCatalogPublisher(scene.servers.kafka, topic=topic) as publisher:
        await publisher.publish_many([(version, at) for version in versions])
    scene.load.versions += [(version, at) for version in versions]


async def read_versions(scene: Scene) -> Counter[int]:
    """Counts the courses of which each version is known."""
    rows = await scene.sql("select version from course_version")
    return Counter(row["version"] for row in rows)


async def wait_until_known(scene: Scene, number: int) -> None:
    """Waits until this version of every course is known, which is a proof."""

    async def known() -> bool:
        return (await read_versions(scene))[number] == len(scene.learners.courses)

    await scene.wait_for_proof(known)


@fault(rounds=3)
async def killed_in_recount(scene: Scene) -> None:
    """worker SIGKILL in the middle of a recount, with a chunk that is not committed; it and a second one go on"""
    scene.publish()
    victim = scene.start(f"kill-in-recount:{scene.rng.randint(2, 10)}")
    await scene.wait_until_ready(victim)
    await scene.pause(2, 4)  # until courses have more learners than a chunk
    await publish_versions(scene, 1)
    await wait_until_killed(scene, victim)
    half = await scene.sql("select from course_recount where after_user is not null and finished_at is null")
    scene.prove(len(half) > 0, "no recount was half done")
    scene.mark_over()
    scene.start()
    await scene.wait_until_ready()
    await publish_versions(scene, 2)
    await scene.pause()


@fault(rounds=3)
async def versions_published_under_load(scene: Scene) -> None:
    """three versions of every course, one after the other, while learners learn and two workers run"""
    await publish_under_load(scene)


async def publish_under_load(scene: Scene, *patch: str) -> None:
    scene.publish()
    for _ in range(2):
        scene.start(*patch)
    await scene.wait_until_ready()
    for number in (1, 2, 3):
        await scene.pause()
        await publish_versions(scene, number)
        await wait_until_known(scene, number)
        before = scene.load.acknowledged

        async def learners_go_on(before: int = before) -> bool:
            return scene.load.acknowledged > before + 200

        await scene.wait_for_proof(learners_go_on)
    scene.mark_over()
    await scene.require("progress_recounted_rows_total")


@fault()
async def versions_and_lessons_in_either_order(scene: Scene) -> None:
    """lessons before their versions and after, the second version before the first, workers stopped in between"""
    await scene.publish(at_most=800)
    first_at = scene.learners.now
    await scene.publish(at_most=1600)
    await publish_versions(scene, 2)
    await scene.publish(at_most=2400)
    worker = scene.start()
    await scene.wait_until_recovered()
    await worker.stop()
    known = await read_versions(scene)
    scene.prove(known.keys() == {2}, f"known are the versions {known}")
    await publish_versions(scene, 1, first_at)
    await publish_versions(scene, 3, scene.learners.now + timedelta(hours=1))  # before the lessons that count by it
    await scene.publish(at_most=4000)
    scene.mark_over()
    scene.publish()
    scene.start()
    scene.start()
    await wait_until_known(scene, 1)
    await wait_until_known(scene, 3)


@fault()
async def catalog_topic_recreated(scene: Scene) -> None:
    """course-catalog deleted and created again under two workers; then its `rewind`, and all versions once more"""
    topic = scene.settings.course_catalog_topic
    await scene.start_two_workers()
    await publish_versions(scene, 1)
    await wait_until_known(scene, 1)
    versions = [version for version, _ in scene.load.versions]
    await delete(scene, topic)
    await create(scene, topic)
    await scene.require_new_topic_noticed()
    await scene.rewind(*rewind_options(scene.settings))
    scene.mark_over()
    await publish(scene, versions, scene.learners.now)  # the same contents: nothing changes
    await publish_refused(scene, versions[0].model_copy(update={"title": "another content"}))
    await publish_versions(scene, 2)
    scene.start()
    scene.start()
    await wait_until_known(scene, 2)
    known = await read_versions(scene)
    scene.prove(known == {1: len(versions), 2: len(versions)}, f"known are the versions {known}")


def rewind_options(settings: Settings) -> list[str]:
    return ["--topic", settings.course_catalog_topic, "--group", settings.catalog_group]


async def publish_refused(scene: Scene, version: CoursePublished) -> None:
    """Publishes a version whose number has another content, so that it must become a dead letter."""
    headers, value = binary(version, id=str(scene.learners.uuid()), time=scene.learners.now, source="faults")
    key = str(version.course_id).encode()
    record = OutgoingRecord(scene.settings.course_catalog_topic, key, value, headers)
    async with Producer(scene.servers.kafka) as producer:
        await scene.load.send(producer, [Sent(record, None)])
