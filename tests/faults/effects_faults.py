"""Plays what happens to `course-progress effects`: each certificate that is owed is issued, once and right."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from uuid import UUID

from aiokafka import TopicPartition

from events import LearnerDescribed, LearnerPublisher
from events.envelope import data_of, read
from events.models import COURSE_EVENTS, CertificateIssued, CourseEvent
from events.producer import OutgoingRecord, Producer
from tests.certificates.owed import find_owed
from tests.faults.catalog_faults import publish_versions, wait_until_known
from tests.faults.comparison import records_of
from tests.faults.fault import fault
from tests.faults.kafka_faults import create
from tests.faults.postgres_faults import full_disk
from tests.faults.proof import wait_until_said
from tests.faults.scene import RECOVERS_WITHIN_S, Scene
from tests.faults.supervised import SupervisedWorker
from tests.faults.worker_faults import wait_until_killed
from tests.processes import eventually
from worker.certificates.keys import create_key
from worker.effects.settings import EffectsSettings
from worker.stream.outcome import Record

DELIVERIES = 10
AWAY_S = 15
EFFECTS_WAIT = "effects wait"
WRITTEN = ("consumed_offset", "announced_completion", "effect", "certificate", "outbox", "badge_award")


def delivered_topic(scene: Scene) -> str:
    """Names the topic that effects read: the suite delivers there what workers have announced."""
    return f"{scene.settings.course_events_topic}-delivered"


def delivered_lessons(scene: Scene) -> str:
    """Names the topic of lesson events that effects read, which has what the suite delivers there."""
    return f"{scene.settings.lesson_events_topic}-delivered"


def start_effects(scene: Scene, *patch: str, number: int = 2) -> list[SupervisedWorker]:
    """Starts processes of effects with one key; with a patch, which lasts until they are started again."""
    key = scene.directory / "key.pem"
    if not key.exists():
        create_key(key)
    started = []
    url = scene.settings.database_url.get_secret_value()
    for _ in range(number):
        port = scene.choose_port()
        settings = EffectsSettings(
            **scene.settings.model_dump()
            | {
                "http_port": port,
                "database_url": url.replace("faults_worker", "faults_effects"),
                "effects_group": f"{scene.settings.consumer_group}-effects",
                "course_events_topic": delivered_topic(scene),
                "lesson_events_topic": delivered_lessons(scene),
                "public_url": "https://faults.example",
                "certificate_key_files": str(key),
                "certificate_grace_s": 0,
            }
        )
        process = SupervisedWorker(settings, scene.directory / f"effects-{port}.log", command="effects")
        process.expected |= {-signal.SIGKILL} if patch else set()
        process.start(("tests.faults.launch", *patch, "effects") if patch else ("worker.cli", "effects"))
        scene.tasks.append(asyncio.create_task(process.run(), name=str(process.log)))
        scene.workers.append(process)
        started.append(process)
    return started


async def describe_learners(scene: Scene, users: Iterable[UUID]) -> None:
    described = [(LearnerDescribed(user_id=user, name=f"Learner {user}"), scene.learners.now) for user in users]
    async with LearnerPublisher(scene.servers.kafka, topic=scene.settings.learners_topic) as publisher:
        await publisher.publish_many(described)


async def deliver(scene: Scene, copies: list[OutgoingRecord], victims: list[SupervisedWorker]) -> None:
    """Delivers these records in parts; after each part a process of effects is killed at a moment the seed chooses."""
    part = len(copies) // 6 + 1
    async with Producer(scene.servers.kafka) as producer:
        for start in range(0, len(copies), part):
            await producer.send_all(copies[start : start + part])
            await scene.pause(0.1, 1.5)
            await scene.rng.choice(victims).kill()
    scene.prove(True, "")


async def wait_until_performed(scene: Scene) -> None:
    """Waits until everything that was delivered is planned, and nothing that is planned can be performed."""
    topics = [delivered_topic(scene), delivered_lessons(scene)]
    ends = await scene.read_ends(topics[0]) | await scene.read_ends(topics[1])

    async def performed() -> bool:
        rows = await scene.sql(
            "select topic, partition, next_offset from consumed_offset where topic = any($1)", topics
        )
        stored = {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
        due = await scene.sql("select from effect where kind in ('certificate', 'badges', 'badge-scan')")
        return not due and all(stored.get(tp, 0) >= end for tp, end in ends.items())

    await eventually(performed, RECOVERS_WITHIN_S)


async def compare_certificates(scene: Scene, announced: list[CourseEvent]) -> list[tuple[object, ...]]:
    """Notes each certificate that is missing, wrong or not owed; returns them all."""
    rows = await scene.sql(
        "select user_id, course_id, course_version, completed_at, status, code, issue from certificate"
    )
    found = {tuple(row)[:3]: tuple(row)[3:5] for row in rows}
    owed = find_owed(announced)
    scene.unexpected += [
        f"certificate {key}: owed {owed.get(key)}, found {found.get(key)}"
        for key in owed.keys() | found.keys()
        if found.get(key) != owed.get(key) and (key in found or owed[key].status == "valid")
    ]
    scene.prove(any(owed[key].status == "valid" for key in found if key in owed), "no certificate was issued")
    return sorted(map(tuple, rows))


async def announce(scene: Scene) -> list[Record]:
    """Has workers announce completions of courses that have a version, and returns the records of course-events."""
    scene.start()
    scene.start()
    await scene.publish(at_most=800)
    await publish_versions(scene, 1)
    await wait_until_known(scene, 1)
    await scene.publish(at_most=4000)
    await scene.wait_until_recovered()
    await create(scene, delivered_topic(scene))
    await create(scene, delivered_lessons(scene))
    records = await records_of(scene.servers.kafka, scene.direct.course_events_topic)
    return [record for record in records if dict(record.headers)["ce_type"].startswith(b"Course")]


def read_events(records: Iterable[Record]) -> list[CourseEvent]:
    return [data_of(read(record.value, record.headers), COURSE_EVENTS) for record in records]


def copy(scene: Scene, records: Iterable[Record], times: int, topic: str | None = None) -> list[OutgoingRecord]:
    """Copies records for the topic that effects read, so many times each and in any order."""
    topic = topic or delivered_topic(scene)
    once = [OutgoingRecord(topic, record.key, record.value, list(record.headers)) for record in records]
    return scene.rng.sample(once * times, len(once) * times)


@fault(rounds=2)
async def certificates_delivered_ten_times(scene: Scene) -> None:
    """every course event ten times, in any order, to two killed processes of effects; then a rewind of all of it"""
    records = await announce(scene)
    announced = read_events(records)
    users = sorted({event.user_id for event in announced})
    await describe_learners(scene, users[::2])
    processes = start_effects(scene)
    await deliver(scene, copy(scene, records, DELIVERIES), processes)
    await describe_learners(scene, users)
    scene.mark_over()
    await wait_until_performed(scene)
    issued = await compare_certificates(scene, announced)
    await rewind_effects(scene, processes)
    again = await compare_certificates(scene, announced)
    if again != issued:
        scene.unexpected.append(f"a rewind changed certificates: {set(again) ^ set(issued)}")
    await require_each_announced_once(scene)


@fault(rounds=2)
async def killed_with_a_signed_certificate(scene: Scene) -> None:
    """effects SIGKILL between signing a certificate and its commit; it and a second process go on"""
    records = await announce(scene)
    announced = read_events(records)
    await describe_learners(scene, {event.user_id for event in announced})
    [victim] = start_effects(scene, f"kill-before-effect-commit:{scene.rng.randint(1, 5)}", number=1)
    async with Producer(scene.servers.kafka) as producer:
        await producer.send_all(copy(scene, records, 1))
    await wait_until_killed(scene, victim)
    scene.mark_over()
    start_effects(scene, number=1)
    await wait_until_performed(scene)
    await compare_certificates(scene, announced)
    await require_each_announced_once(scene)


@fault()
async def postgres_away_from_effects(scene: Scene) -> None:
    """PostgreSQL 15 s away while two processes of effects issue certificates"""
    async with issuing(scene):
        [[before]] = await scene.sql("select pg_postmaster_start_time()")
        await scene.run_blocking(scene.servers.database.stop, signal.SIGINT)
        await wait_until_said(scene, EFFECTS_WAIT)
        await asyncio.sleep(AWAY_S)
        await scene.run_blocking(scene.servers.database.start)
        [[after]] = await scene.sql("select pg_postmaster_start_time()")
        scene.prove(after > before, "PostgreSQL was not restarted")


@fault()
async def kafka_away_from_effects(scene: Scene) -> None:
    """Kafka 15 s away while two processes of effects issue certificates"""
    async with issuing(scene) as processes:
        await scene.run_blocking(scene.servers.broker.stop)

        async def unready() -> bool:
            return all([await process.ready() == 503 for process in processes])

        await scene.wait_for_proof(unready)
        await asyncio.sleep(AWAY_S)
        await scene.run_blocking(scene.servers.broker.start)


@fault()
async def disk_full_for_effects(scene: Scene) -> None:
    """PostgreSQL refuses whatever effects write as if its disk were full, for 8 s, while certificates are issued"""
    async with issuing(scene), full_disk(scene, *WRITTEN):
        await wait_until_said(scene, EFFECTS_WAIT)
        await asyncio.sleep(8)


@asynccontextmanager
async def issuing(scene: Scene) -> AsyncIterator[list[SupervisedWorker]]:
    """Has two processes of effects in the midst of what is owed during the block; more of it comes afterwards.

    In the end each certificate must be there, and right, and announced.
    """
    records = await announce(scene)
    announced = read_events(records)
    await describe_learners(scene, {event.user_id for event in announced})
    processes = start_effects(scene)
    await scene.wait_until_ready(*processes)
    copies = copy(scene, records, 2)
    async with Producer(scene.servers.kafka) as producer:
        await producer.send_all(copies[: len(copies) // 2])
    await wait_for_certificates(scene)
    yield processes
    scene.mark_over()
    async with Producer(scene.servers.kafka) as producer:
        await producer.send_all(copies[len(copies) // 2 :])
    await wait_until_performed(scene)
    await compare_certificates(scene, announced)
    await require_each_announced_once(scene)


async def wait_for_certificates(scene: Scene) -> None:
    """Waits for the first certificate; requires that then others are planned and not issued."""

    async def issued() -> bool:
        return bool(await scene.sql("select from certificate limit 1"))

    await eventually(issued)
    if not await scene.sql("select from effect where kind = 'certificate'"):
        scene.unexpected.append("all certificates were issued before the trouble began")


async def rewind_effects(scene: Scene, processes: list[SupervisedWorker]) -> None:
    """Stops effects, rewinds what they read to its start, and has two new processes do all of it again."""
    for process in processes:
        await process.stop()
    group = f"{scene.settings.consumer_group}-effects"
    await scene.rewind("--topic", delivered_topic(scene), "--group", group)
    await scene.rewind("--topic", delivered_lessons(scene), "--group", f"{group}-lessons")
    start_effects(scene)
    await wait_until_performed(scene)


async def require_each_announced_once(scene: Scene) -> None:
    """Requires that the workers have published one CertificateIssued for each issue of each certificate."""
    await scene.wait_until_recovered()
    events = read_events(await records_of(scene.servers.kafka, scene.direct.course_events_topic))
    told = Counter((event.code, event.issue) for event in events if isinstance(event, CertificateIssued))
    rows = await scene.sql("select code, issue from certificate")
    wanted = {(row["code"], issue) for row in rows for issue in range(1, row["issue"] + 1)}
    if told.keys() != wanted:
        scene.unexpected.append(f"announced and issued differ: {told.keys() ^ wanted}")
