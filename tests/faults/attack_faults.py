"""Plays attackers of workers and APIs while learners read and write: none may cost more than its own bytes."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from events.models import LessonCompleted
from events.producer import OutgoingRecord, Producer
from tests.attacks import ATTACKS, Attack, Target, hold_connections
from tests.faults.fault import fault
from tests.faults.input_faults import NO_BREAKER
from tests.faults.load import STAMPED, START, Learners, Sent, spoilt
from tests.faults.scene import Scene
from tests.faults.service_faults import come_to_rest
from tests.faults.website import Website, open_website
from worker.stream.cut_record import measure

ATTACK_S = 12  # longer than a server waits for a head
MOST_MEMORY_KB = 512 * 1024
COURSES, LESSONS = 30, 2_000  # of one learner
MOST_LESSONS = 1_000  # of a course, by calls
READY_WITHIN_S = 5  # a probe is asked several times before it counts
MB = 1_000_000


@fault(rounds=1, **NO_BREAKER)
async def under_attack(scene: Scene) -> None:
    """attacked while learners click: slow and unread connections, odd requests, a learner without measure, bombs"""
    await scene.start_two_workers()
    learner, courses = scene.learners.uuid(), [scene.learners.uuid() for _ in range(COURSES)]
    await send(scene, complete_much(scene.learners, learner, courses))
    async with open_website(scene, api_lessons_per_course=MOST_LESSONS) as (website, api):
        target = Target.of(api.address, website.issuer, learner, courses)
        async with website.clicking():
            for attack, proof in ATTACKS.items():
                async with under(scene, website, attack, target):
                    await asyncio.sleep(ATTACK_S)
                scene.prove(target.seen[proof] > 0, f"{attack.__name__}: {dict(target.seen)}")
            await attack_worker(scene, website, target)
            # In a thread, because all learners and workers reach Kafka through this process, and compressing takes it.
            bombs = send(scene, build_bombs(scene.learners), compression_type="gzip", max_request_size=200 * MB)
            await scene.run_blocking(asyncio.run, bombs)
            await scene.require('progress_dead_letters_total{kind="too-large"}')
            await website.wait_for_looks()
        pids = [api.pid, *(worker.process.pid for worker in scene.workers)]
        await scene.wait_until_applied()
        scene.unexpected += [
            f"process {pid} took {peak:,} kB, which is more than {MOST_MEMORY_KB:,}"
            for pid in pids
            if (peak := read_peak_kb(pid)) > MOST_MEMORY_KB
        ]
        await come_to_rest(scene, website)
    scene.unexpected += [f"{worker.log.name} ended with {worker.exits}" for worker in scene.workers if worker.exits]


@asynccontextmanager
async def under(scene: Scene, website: Website, attack: Attack, target: Target) -> AsyncIterator[None]:
    """Attacks during the block, and until learners have been served meanwhile."""
    attacking = asyncio.create_task(attack(target))
    try:
        yield
        await website.wait_for_looks()
        if attacking.done():
            scene.unexpected.append(f"{attack.__name__} ended: {attacking.exception()!r}")
    finally:
        attacking.cancel()
        await asyncio.gather(attacking, return_exceptions=True)


async def attack_worker(scene: Scene, website: Website, target: Target) -> None:
    """Holds connections to the port of a worker, which must go on to answer there."""
    [worker, *_] = scene.workers
    port = replace(target, port=worker.settings.http_port, seen=Counter())

    async def is_ready() -> bool:
        return await worker.ready() == 200

    async with under(scene, website, hold_connections, port):
        await asyncio.sleep(ATTACK_S)
        await scene.wait_for_proof(is_ready, READY_WITHIN_S)
    scene.prove(port.seen["ended"] > 0, f"the worker's port: {dict(port.seen)}")


def read_peak_kb(pid: int) -> int:
    """Reads the most memory that a process ever had."""
    [peak] = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(peak)


async def send(scene: Scene, sent: Iterable[Sent], **producer: object) -> None:
    """Publishes these, some megabytes at a time, and adds them to the load."""
    async with Producer(scene.servers.broker.address, **producer) as sending:
        for some in split(sent):
            await scene.load.send(sending, some)


def split(sent: Iterable[Sent]) -> Iterator[list[Sent]]:
    some: list[Sent] = []
    size = 0
    for one in sent:
        some.append(one)
        size += measure(one.record)
        if len(some) == 1_000 or size > 30 * MB:
            yield some
            some, size = [], 0
    yield some


def complete_much(learners: Learners, learner: UUID, courses: list[UUID]) -> Iterator[Sent]:
    """Yields the completions of a learner with very many lessons."""
    for course in courses:
        for number in range(LESSONS):
            event = LessonCompleted(
                user_id=learner, course_id=course, lesson_id=f"lesson-{number}", total_lessons=10_000
            )
            yield learners.build_sent(event, START + timedelta(seconds=number))


def build_bombs(learners: Learners) -> Iterator[Sent]:
    """Yields records that are small as Kafka stores them and large when they are inflated, and some with hostile times.

    Only those of less than 2 MiB are events that count.
    """
    topic = learners.topic
    for number in range(300):
        event = LessonCompleted(user_id=learners.uuid(), course_id=learners.uuid(), lesson_id="a", total_lessons=2)
        sent = learners.build_sent(event, START)
        padded = json.dumps(event.model_dump(mode="json")).encode() + b" " * (1_900_000 + number)
        yield Sent(OutgoingRecord(topic, sent.record.key, padded, sent.record.headers), sent.happened)
    yield Sent(OutgoingRecord(topic, b"value", b"x" * 150 * MB, [], STAMPED), None)
    for _ in range(10):
        yield Sent(OutgoingRecord(topic, b"k" * 20 * MB, b"{}", [], STAMPED), None)
        yield Sent(OutgoingRecord(topic, b"header", b"{}", [("h", b"x" * 20 * MB)], STAMPED), None)
        yield Sent(OutgoingRecord(topic, b"value", b"x" * 20 * MB, [], STAMPED), None)
        schema = "urn:course-progress:LessonCompleted:1." + "0" * 500_000
        yield Sent(OutgoingRecord(topic, b"schema", spoilt(dataschema=schema), [], STAMPED), None)
        for time in ("9999-12-31T23:59:59Z", (datetime.now(UTC) + timedelta(hours=1)).isoformat()):
            yield Sent(OutgoingRecord(topic, b"time", spoilt(time=time), [], -1), None)
