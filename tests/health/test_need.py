"""A worker's share of the workers that the load takes."""

from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import TopicPartition

from worker.health.need import Share
from worker.metrics.throughput import ThroughputSummary
from worker.operations.advice import CATCH_UP_S, HEADROOM

START = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def throughput(capacity_per_s: float | None, events_per_s: float = 0, busy: float = 0) -> ThroughputSummary:
    return ThroughputSummary(events_per_s, busy, capacity_per_s, None, None, 0)


KNOWN = throughput(1000)


def look(
    share: Share, second: int, *positions: tuple[int, int], of: ThroughputSummary = KNOWN, waits: str = ""
) -> float:
    """Notes a look at partitions 0, 1, …, each with what is applied and where its log ends."""
    by_partition = {TopicPartition("lesson-events", n): position for n, position in enumerate(positions)}
    share.note(START + timedelta(seconds=second), by_partition, of, waits or None)
    return share.workers


def test_it_is_one_until_the_rates_are_known() -> None:
    share = Share()

    assert look(share, 0, (0, 0)) == 1
    assert look(share, 2, (0, 0)) == 0


def test_it_is_what_comes_in_and_what_waits_by_what_a_worker_is_planned_to_do() -> None:
    share = Share()
    look(share, 0, (0, 0), (0, 0))

    assert look(share, 2, (700, 1000), (1000, 1000)) == pytest.approx((1000 + 300 / CATCH_UP_S) / (1000 * HEADROOM))


def test_new_partitions_change_nothing_before_their_rates_are_known() -> None:
    share = Share()
    look(share, 0, (0, 0))
    before = look(share, 2, (1400, 1400))

    assert look(share, 4, (2800, 2800), (10**6, 10**6)) == before == 1
    assert look(share, 6, (4200, 4200), (10**6, 10**6)) == 1
    assert look(share, 8, (5600, 5600), (10**6 + 1400, 10**6 + 1400)) == pytest.approx(1.5)


def test_standing_still_changes_nothing_and_neither_does_what_came_in_meanwhile() -> None:
    share = Share()
    look(share, 0, (0, 0))
    look(share, 2, (1400, 1400))

    assert look(share, 4, (1400, 10**6), waits="PostgreSQL does not answer") == 1
    assert look(share, 6, (1400, 10**6)) == 1


@pytest.mark.parametrize(
    ("of", "workers"),
    [
        (throughput(None), 1),
        (throughput(None, 100, 0.1), 700 / 1000 / HEADROOM),
        (throughput(None, 100, 1), 1),
    ],
)
def test_while_no_capacity_is_known_it_is_never_more_than_one(of: ThroughputSummary, workers: float) -> None:
    share = Share()
    look(share, 0, (0, 0), of=of)

    assert look(share, 2, (1400, 1400), of=of) == pytest.approx(workers)
