"""Plays a broker whose machine fails it: a full disk, a quota, a clock that is stepped."""

import resource
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.faults.fault import fault
from tests.faults.kafka_faults import admin
from tests.faults.proof import read_clock_ahead, read_throttle_s, require_refusal, wait_until_said
from tests.faults.quota import limit_reads
from tests.faults.scene import Scene
from tests.faults.servers import Broker
from tests.processes import eventually

# Debian's package libfaketime. Its variant for threads fakes the clock of a JVM.
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
NO_FAKETIME = "" if FAKETIME else "no libfaketime: install the Debian package of that name"


@fault()
async def kafka_disk_full(scene: Scene) -> None:
    """Kafka's disk full: a write fails half-way and the broker ends; there is room, and it starts, some 10 s later"""
    broker = scene.servers.broker
    await scene.start_two_workers()
    limit_files(broker, f"{scene.settings.lesson_events_topic}-*/*.log")

    async def ended() -> bool:
        return not broker.runs

    await eventually(ended)
    scene.prove("File too large" in broker.log, "Kafka ended for another reason than a full disk")
    await scene.run_blocking(broker.close)
    await scene.pause(8, 12)
    await scene.run_blocking(broker.start)
    scene.mark_over()
    await wait_until_said(scene, "waiting for Kafka")


def limit_files(broker: Broker, files: str) -> None:
    """Lets no file of the running broker grow beyond its largest one of these, as if the disk were full."""
    sizes = [file.stat().st_size for file in (broker.home / "data").glob(files)]
    room_for_log = len(broker.log) + 100_000  # in which it says why it ends
    _, hard = resource.prlimit(broker.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (max(*sizes, room_for_log), hard))


@fault()
async def quota_exceeded(scene: Scene) -> None:
    """a client quota lets the workers read only 20 kB/s, until 2,000 events wait"""
    names = [f"{scene.settings.consumer_group}-{number}" for number in range(2)]
    scene.publish()
    for name in names:
        scene.start(group_instance_id=name)  # which is the client's id, too
    await scene.wait_until_ready()
    await limit_reads(scene.servers.kafka, names, 20_000)

    async def held_down() -> bool:
        ends, stored = await scene.read_ends(), await scene.read_stored_offsets()
        return sum(ends.values()) - sum(stored.values()) > 2000

    await eventually(held_down)
    for name in names:
        topic = scene.settings.lesson_events_topic
        throttled_s = await scene.run_blocking(read_throttle_s, scene.servers.kafka, name, topic)
        scene.prove(throttled_s > 0, f"Kafka does not throttle {name}")
    await limit_reads(scene.servers.kafka, names, None)
    scene.mark_over()


@asynccontextmanager
async def fake_clock(scene: Scene) -> AsyncIterator[Path]:
    """Restarts Kafka with a clock that is ahead of the machine's by what this file says; at the end, with that one."""
    clock = scene.directory / "clock"
    step(clock, "+0")
    fake = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",  # seconds until the file is read again
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # or a JVM's waits end at once, and it does nothing else
        "FAKETIME_DISABLE_SHM": "1",
    }
    exports = shlex.join(f"{name}={value}" for name, value in fake.items())
    broker = scene.servers.broker
    await scene.run_blocking(broker.stop)
    await scene.run_blocking(broker.start, f"export {exports}")
    try:
        yield clock
    finally:
        await scene.run_blocking(broker.stop)
        await scene.run_blocking(broker.start)


def step(clock: Path, to: str) -> None:
    """Sets the offset, at once: libfaketime must never read half of it."""
    new = clock.with_suffix(".new")
    new.write_text(f"{to}\n")
    new.replace(clock)


@fault(missing=NO_FAKETIME)
async def broker_clock_ahead(scene: Scene) -> None:
    """Kafka's clock stepped two days ahead and back, while Kafka stamps the events itself"""
    topic = scene.settings.lesson_events_topic
    scene.learners.odd_share = 0  # a dead letter has to keep its producer's stamp
    async with admin(scene) as client:
        configs = {"message.timestamp.type": "LogAppendTime"}
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])

    async def ahead() -> bool:
        return await scene.run_blocking(read_clock_ahead, scene.servers.kafka, topic) > timedelta(days=1)

    async with fake_clock(scene) as clock:
        await scene.start_two_workers()
        step(clock, "+2d")
        await scene.wait_for_proof(ahead)
        await scene.pause(4, 6)
    if await ahead():
        scene.unexpected.append("the fault did not end: Kafka's clock is still ahead")
    scene.mark_over()


@fault(missing=NO_FAKETIME)
async def broker_clock_behind(scene: Scene) -> None:
    """Kafka's clock stepped two hours back for some 10 s: it refuses records with the right time"""
    async with fake_clock(scene) as clock:
        await scene.start_two_workers()
        for worker in scene.workers:
            worker.expected.add(1)  # to a worker Kafka's settings seem to refuse its records: it stops and says so
        step(clock, "-2h")
        await scene.pause(2, 3)  # libfaketime reads the file once a second
        await require_refusal(scene, scene.settings.lesson_events_topic, "INVALID_TIMESTAMP")
        await scene.pause(8, 12)
    scene.mark_over()
