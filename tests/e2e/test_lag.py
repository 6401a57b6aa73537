"""The lag that whole workers report."""

from tests.factories import histories
from tests.processes import Workers, eventually
from tests.topics import publish
from worker.settings import Settings


async def test_a_worker_tells_the_lag_of_its_own_partitions_only(settings: Settings, workers: Workers) -> None:
    first = workers.start()
    await publish(settings, histories(learners=20, seed=41))

    async def told_of(worker: object = first) -> set[str]:
        values = await first.metric("progress_lag_events")
        return set(values) if sum(values.values()) == 0 else set()

    async def all_applied() -> bool:
        return len(await told_of()) == settings.topic_partitions

    async def half() -> bool:
        return len(await told_of()) == settings.topic_partitions // 2

    await eventually(all_applied)
    workers.start()
    await eventually(half)
    assert len(await first.metric("progress_lag_seconds")) == settings.topic_partitions // 2
