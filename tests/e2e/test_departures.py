"""Who leaves the consumer group when it stops, and who keeps its place in it."""

import pytest

from tests.processes import WorkerProcess, Workers, eventually
from worker.operations.cluster import Cluster
from worker.settings import Settings


async def members(settings: Settings, group: str) -> set[str]:
    """Returns the client ids of a group's members."""
    cluster = Cluster(settings.model_copy(update={"consumer_group": group}))
    await cluster.connect()
    try:
        return {member.client_id for member in (await cluster.read_group()).members}
    finally:
        await cluster.close()


async def wait_until_ready(worker: WorkerProcess) -> None:
    async def ready() -> bool:
        return (await worker.get("/ready")).status_code == 200

    await eventually(ready)


@pytest.mark.parametrize(("by", "left"), [("always", set()), ("never", {"one"}), ("auto", {"one"})])
async def test_a_static_worker_that_stops_leaves_its_groups_if_it_is_told_to(
    settings: Settings, workers: Workers, by: str, left: set[str]
) -> None:
    """`auto` knows of no place that is gone here; the session is as long as the broker allows, so it does not end."""
    worker = workers.start(group_instance_id="one", leave_on_stop=by, session_timeout_s=1800)
    await wait_until_ready(worker)

    assert worker.stop() == 0

    assert await members(settings, settings.consumer_group) == left
    assert await members(settings, settings.catalog_group) == left
    assert "Traceback" not in worker.log


async def test_a_worker_without_a_static_id_always_leaves(settings: Settings, workers: Workers) -> None:
    worker = workers.start(leave_on_stop="never", session_timeout_s=1800)
    await wait_until_ready(worker)

    assert worker.stop() == 0

    assert await members(settings, settings.consumer_group) == set()


async def test_a_static_worker_that_comes_back_disturbs_nobody(settings: Settings, workers: Workers) -> None:
    both = [workers.start(group_instance_id=name, session_timeout_s=60) for name in ("one", "two")]
    for worker in both:
        await wait_until_ready(worker)

    async def shared() -> bool:
        owned = [(await worker.get("/ready")).json()["partitions"] for worker in both]
        return all(owned) and sum(map(len, owned)) == settings.topic_partitions

    await eventually(shared)
    topics = (settings.lesson_events_topic, settings.course_catalog_topic)
    before = [both[1].count_assignments(topic) for topic in topics]

    assert both[0].stop() == 0
    both[0] = workers.start(group_instance_id="one", session_timeout_s=60)
    await wait_until_ready(both[0])
    await eventually(shared)

    assert [both[1].count_assignments(topic) for topic in topics] == before
