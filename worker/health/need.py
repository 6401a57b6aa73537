"""Reports how many workers the load takes: each worker its share, for an autoscaler that adds the shares up."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiokafka import TopicPartition
from mode import Service

from worker.intake.intake import Intake
from worker.metrics import prometheus as metrics
from worker.metrics.throughput import ThroughputSummary
from worker.operations.advice import bound_capacity, count_needed
from worker.operations.lag_history import RATE_S, LagHistory, Sample
from worker.settings import Settings

MEASURE_EVERY_S = 2.0
Positions = Mapping[TopicPartition, tuple[int, int]]  # what is applied, and where the log ends


class Share:
    """Computes how many workers the partitions of this worker take. Pure: callers pass the times.

    It is 1 until more is known. It stays as it is while the worker stands still, because more workers would not help,
    and while its partitions are new, because their rates are not known.
    """

    def __init__(self) -> None:
        self.workers = 1.0
        self._history = LagHistory(RATE_S)
        self._partitions: set[int] = set()

    def note(self, at: datetime, positions: Positions, throughput: ThroughputSummary, waits: str | None) -> None:
        """Notes a look at the partitions. `waits` is why the worker stands still, None while it does not."""
        by_number = {tp.partition: position for tp, position in positions.items()}
        if waits or by_number.keys() != self._partitions:
            self._history, self._partitions = LagHistory(RATE_S), set(by_number)
        if waits:
            return
        ends = {partition: end for partition, (_, end) in by_number.items()}
        sample = Sample(at, ends, {partition: applied for partition, (applied, _) in by_number.items()})
        self._history.add(sample)
        if rates := self._history.rates():
            self.workers = _count(sum(rates.incoming.values()), sum(sample.lag.values()), throughput)


def _count(incoming_per_s: float, lag: int, throughput: ThroughputSummary) -> float:
    if throughput.capacity_per_s:
        return count_needed(incoming_per_s, lag, throughput.capacity_per_s)
    if at_least := bound_capacity(throughput.events_per_s, throughput.busy):  # which never shows that more are needed
        return min(1.0, count_needed(incoming_per_s, lag, at_least))
    return 1.0 if incoming_per_s or lag else 0.0


class Need(Service):
    """Measures the share of this worker every MEASURE_EVERY_S. `intake` is that of lesson events."""

    def __init__(self, settings: Settings, intake: Intake, **service: Any) -> None:
        super().__init__(**service)
        self._metric = metrics.WORKERS_NEEDED.labels(settings.consumer_group)
        self._intake = intake
        self._share = Share()

    @Service.task
    async def _measure_periodically(self) -> None:
        while not self.should_stop:
            throughput = metrics.THROUGHPUT.summary(time.monotonic())
            self._share.note(datetime.now(UTC), self._intake.positions, throughput, self._intake.waiting_for)
            self._metric.set(self._share.workers)
            await self.sleep(MEASURE_EVERY_S)
