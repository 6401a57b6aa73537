"""The lag that whole workers report."""

from tests.factories import histories
from tests.processes import Workers, eventually
from tests.topics import publish
from worker.settings import Settings


async def test_a_worker_tells_the_lag_of_its_own_partitions_only(settings: Settings, workers: Workers) -> None:
    first = workers.start()
    await publish(settings, histories(learners=20, seed=41))

    async def told_of(metric: str = "progress_lag_events") -> dict[str, float]:
        values = await first.metric(metric)
        return {
            labels: value for labels, value in values.items() if f'topic="{settings.lesson_events_topic}"' in labels
        }

    async def all_applied() -> bool:
        lag = await told_of()
        return len(lag) == settings.topic_partitions and sum(lag.values()) == 0

    async def half() -> bool:
        return len(await told_of()) == settings.topic_partitions // 2

    await eventually(all_applied)
    workers.start()
    await eventually(half)
    assert len(await told_of("progress_lag_seconds")) == settings.topic_partitions // 2
