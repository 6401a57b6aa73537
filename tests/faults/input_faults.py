"""Plays input that is bad, too much, too large, or from clocks and devices that disagree."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import chain, islice

from events.models import AHEAD_S, CourseAccessed, LessonCompleted
from events.producer import OutgoingRecord, Producer
from tests.faults.fault import fault
from tests.faults.garbage import garbage
from tests.faults.load import STAMPED, START, Learners, Sent
from tests.faults.scene import Scene

NO_BREAKER = {"breaker_share": 0, "breaker_consecutive": 0}


def mix(source: Iterator[Sent], others: Iterator[Sent], share: float, rng: random.Random) -> Iterator[Sent]:
    """Yields the source with some of the others in between; when these end, the source alone."""
    for sent in source:
        yield sent
        if rng.random() < share:
            yield from islice(others, 1)


@fault(**NO_BREAKER)
async def bad_input(scene: Scene) -> None:
    """every kind of bad input, mixed into good batches (a third)"""
    scene.learners.odd_share = 0.33
    await scene.start_two_workers()
    await scene.pause(4, 6)
    await scene.require("progress_dead_letters_total")


@fault()
async def flood(scene: Scene) -> None:
    """a flood of 5,000 bad events: the breaker opens, and the backlog waits until an operator lets it go on"""
    bad = iter(Learners(scene.settings.lesson_events_topic, scene.rng.getrandbits(32), odd_share=1))
    scene.load.source = chain(islice(scene.load.source, 1000), islice(bad, 5000), scene.load.source)
    scene.load.rate_s = 2000
    scene.publish()
    held = [scene.start() for _ in range(2)]

    async def open_everywhere() -> bool:
        return all([await worker.metric("progress_breaker_open") == 1 for worker in held])

    await scene.wait_for_proof(open_everywhere)
    for worker in held:
        if await worker.ready() != 503:
            scene.unexpected.append("ready, with an open breaker")
        await worker.stop()
    scene.start(**NO_BREAKER)
    await scene.wait_until_ready()


@fault()
async def value_refused(scene: Scene) -> None:
    """values that only the database refuses, one in fifty"""
    await scene.execute("alter table lesson_progress add constraint no_poison check (lesson_id <> 'poison')")
    scene.load.source = mix(scene.load.source, poison(scene.learners), 0.02, scene.rng)
    await scene.start_two_workers()
    await scene.pause(4, 6)
    await scene.require('progress_dead_letters_total{kind="refused"}')


def poison(learners: Learners) -> Iterator[Sent]:
    """Yields good events whose value the test's constraint refuses."""
    while True:
        event = LessonCompleted(user_id=learners.uuid(), course_id=learners.uuid(), lesson_id="poison", total_lessons=2)
        yield Sent(learners.build_sent(event, START).record, None)


@fault(**NO_BREAKER)
async def megabytes(scene: Scene) -> None:
    """values of 1 MB, good and bad"""
    scene.load.source = mix(scene.load.source, large(scene.learners), 0.02, scene.rng)
    await scene.start_two_workers()
    await scene.pause(4, 6)
    large_ones = [record for _, record in scene.load.bad if len(record.value or b"") >= 1_000_000]
    scene.prove(len(large_ones) > 0, "Kafka has taken no large value")


def large(learners: Learners) -> Iterator[Sent]:
    """Yields, in turn, an event with an unknown field, and a value that cannot be decoded."""
    topic = learners.topic
    while True:
        event = CourseAccessed(user_id=learners.uuid(), course_id=learners.uuid())
        sent = learners.build_sent(event, START)
        value = json.dumps({**event.model_dump(mode="json"), "notes": "x" * 1_000_000}).encode()
        yield Sent(replace(sent.record, value=value), sent.happened)
        yield Sent(OutgoingRecord(topic, b"large", learners.rng.randbytes(1_000_000), [], STAMPED), None)


@fault(**NO_BREAKER)
async def inflating(scene: Scene) -> None:
    """records of 20 kB that are 20 MB when they are unpacked"""
    await scene.start_two_workers()
    bombs = [
        Sent(OutgoingRecord(scene.settings.lesson_events_topic, b"%d" % n, b"x" * 20_000_000, [], STAMPED), None)
        for n in range(3)
    ]
    servers = scene.servers.broker.address
    async with Producer(servers, compression_type="gzip", max_request_size=30_000_000) as producer:
        await scene.load.send(producer, bombs)  # Kafka takes no more than 1 MB
    scene.prove(scene.load.acknowledged >= len(bombs), "Kafka has taken no such record")


@fault(rounds=1, batch_size=2000, **NO_BREAKER)
async def garbage_records(scene: Scene) -> None:
    """100,000 generated garbage records"""
    scene.load.source = garbage(scene.settings.lesson_events_topic, scene.rng)
    scene.load.rate_s, scene.load.chunk = 20_000, 500
    publishing = scene.publish(at_most=100_000)
    scene.start()
    scene.start()
    await publishing
    await scene.require("progress_dead_letters_total")


@fault()
async def clocks_apart(scene: Scene) -> None:
    """two publishers with clocks a day apart, one of them only in its events"""
    scene.load.source = set_clocks_apart(scene.learners, iter(scene.learners))
    await scene.start_two_workers()
    await scene.pause(4, 6)
    await scene.require("progress_clamped_events_total")


def set_clocks_apart(learners: Learners, source: Iterator[Sent]) -> Iterator[Sent]:
    """Yields the same learners' events from three clocks: a right one, one that is a day ahead, and one that is ahead
    only in its events, so that they are clamped to about the time of their records.
    """
    day, later = timedelta(days=1), timedelta(microseconds=86_400 - AHEAD_S)
    for sent in source:
        if sent.happened is None:
            yield sent
            continue
        event, at = sent.happened
        at = at.replace(microsecond=0)  # a record's timestamp has milliseconds
        ahead = at + day
        match learners.rng.randrange(3):
            case 0:
                yield learners.build_sent(event, at, stamped=at)
            case 1:
                yield learners.build_sent(event, ahead, stamped=ahead)
            case 2:
                yield replace(learners.build_sent(event, ahead, stamped=at), happened=(event, at + later))


@fault()
async def devices_offline(scene: Scene) -> None:
    """learners with two devices that were offline for a week, synced in any order"""
    weeks = list(islice(iter(scene.learners), 3000))
    devices: list[list[Sent]] = [weeks[::2], weeks[1::2]]
    scene.load.source = chain(sync(devices, scene.rng), scene.load.source)
    await scene.start_two_workers()

    async def both_synced() -> bool:
        return scene.load.acknowledged >= len(weeks)

    await scene.wait_for_proof(both_synced)


def sync(devices: list[list[Sent]], rng: random.Random) -> Iterator[Sent]:
    """Yields each device's events in their order or the newest first; device by device or interleaved."""
    queues = [list(reversed(device)) if rng.random() < 0.5 else list(device) for device in devices]
    stay = rng.choice([0.5, 0.99, 1.0])
    rng.shuffle(queues)
    while queues:
        yield queues[0].pop()
        queues = [queue for queue in queues if queue]
        if rng.random() > stay:
            queues.reverse()
