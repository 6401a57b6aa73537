"""A snapshot of whole workers tells their lag, their partitions and their rates."""

from tests.factories import histories
from tests.operations.polling import until
from tests.processes import Workers, eventually
from tests.topics import publish
from worker.operations.watch import Operations
from worker.settings import Settings


async def test_a_snapshot_tells_lag_owners_and_rates(settings: Settings, workers: Workers) -> None:
    everything = histories(learners=60, seed=3)
    async with Operations(settings) as operations:
        await eventually(until(operations, lambda s: (s.missing, s.lag) == ({}, 0)))
        await publish(settings, everything)
        await eventually(until(operations, lambda s: s.lag == len(everything) and bool(s.incoming_per_s)))

        workers.start(group_instance_id="one")

        await eventually(until(operations, lambda s: s.lag == 0 and bool(s.applied_per_s)))
        await eventually(until(operations, lambda s: bool(s.visible_p99_s)))
        taken = await operations.snapshot()
        assert taken.group_state == "Stable"
        assert {p.owner for p in taken.partitions} == {"one"}
        [worker] = taken.workers
        assert worker.status is not None
        assert worker.member is not None
        assert (taken.advice.workers, taken.breaker) == (1, None)
        assert max(sum(point.lag.values()) for point in operations.history(every_s=0)) == len(everything)
