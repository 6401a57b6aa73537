"""What the Operations page says first: whether somebody must do something."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from events.kinds import Kind
from tests.test_ops import NOW, status
from worker.advice import Advice
from worker.letter_tail import DeadLetters
from worker.ops import Outbox, PartitionView, Snapshot, WorkerView
from worker.pages.operations import Level, operations, ranges, seconds, worker_state
from worker.trail import Point

PARTITION = PartitionView(0, 100, 90, 10, 50.0, 50.0, "a")
WORKER = WorkerView("a", status("a"), None)
WELL = Snapshot(
    at=NOW,
    missing={},
    partitions=(PARTITION,),
    lag=10,
    incoming_per_s=50.0,
    applied_per_s=50.0,
    group_state="Stable",
    workers=(WORKER,),
    breaker=None,
    visible_p50_s=0.012,
    visible_p99_s=0.034,
    dead_letters=DeadLetters(0, {}, ()),
    outbox=Outbox(0, 0),
    advice=Advice(1, "One is enough."),
)


def said(**changed: Any) -> tuple[Level, str]:
    """The worst that is said."""
    page = operations(replace(WELL, **changed), (), NOW + timedelta(seconds=1))
    assert page.level == page.findings[0].level
    return page.level, page.findings[0].text


def test_all_is_well_says_so_in_one_line() -> None:
    assert said() == (Level.WELL, "1 worker keeps up with 50 events/s")


def test_dead_letters_are_mentioned_and_no_alarm() -> None:
    page = operations(replace(WELL, dead_letters=DeadLetters(9, {Kind.SCHEMA: 3}, ())), (), NOW)

    assert page.level == Level.WELL
    assert page.findings[0].text.startswith("1 worker")
    assert page.findings[1].text == "3 open dead letters among the newest"


@pytest.mark.parametrize(
    ("changed", "level", "text"),
    [
        ({"missing": dict.fromkeys(("stored", "statuses", "outbox"), "x")}, Level.ACT, "PostgreSQL cannot be read"),
        ({"missing": {"group": "x"}}, Level.ACT, "The consumer group cannot be read"),
        ({"breaker": "half of the last records"}, Level.ACT, "The breaker is open: half of the last records"),
        ({"workers": ()}, Level.ACT, "No worker runs"),
        ({"workers": (WorkerView("a", status("a", silent_s=61), None),)}, Level.ACT, "No worker runs"),
        (
            {"workers": (WorkerView("a", status("a", waiting_for="PostgreSQL"), None),)},
            Level.ACT,
            "a waits for PostgreSQL",
        ),
        ({"partitions": (replace(PARTITION, owner=None),)}, Level.WATCH, "Nobody reads 1 partition: 0"),
        ({"advice": Advice(3, "")}, Level.WATCH, "3 workers would keep up, 1 run"),
        ({"lag": 90_000}, Level.WATCH, "90,000 events wait, 50/s are applied"),
        ({"lag": 90_000, "applied_per_s": 0.0}, Level.ACT, "90,000 events wait, 0/s are applied"),
        ({"visible_p99_s": 12.0}, Level.WATCH, "Events are seen after 12 seconds"),
        ({"outbox": Outbox(7, 90.0)}, Level.WATCH, "The outbox has waited for 1 minute"),
        ({"at": NOW - timedelta(minutes=5)}, Level.ACT, "These figures are 5 minutes old"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said_with_how_bad_it_is(changed: Mapping[str, Any], level: Level, text: str) -> None:
    assert said(**changed) == (level, text)


def test_the_worst_stands_first() -> None:
    page = operations(replace(WELL, breaker="a flood", visible_p99_s=9.0), (), NOW)

    assert [finding.level for finding in page.findings] == [Level.ACT, Level.WATCH]


def test_a_part_that_is_missing_is_no_worker_that_does_not_run() -> None:
    page = operations(replace(WELL, workers=(), missing={"group": "x", "statuses": "x"}), (), NOW)

    assert "No worker runs" not in [finding.text for finding in page.findings]


def test_every_level_has_a_word_and_a_shape_of_its_own() -> None:
    assert len({level.word for level in Level}) == len({level.shape for level in Level}) == len(Level)


def test_lag_of_each_partition_is_drawn_on_one_scale() -> None:
    history = [Point(NOW + timedelta(seconds=n), {0: 10 * n, 1: 5 * n}, 3.0, 2.0) for n in range(3)]

    page = operations(replace(WELL, partitions=(PARTITION, replace(PARTITION, partition=1))), history, NOW)

    assert [line.spark.points.split()[-1] for line in page.partitions] == ["100.00,0.00", "100.00,50.00"]
    assert page.lag_chart.rows[-1] == ("00:00:02", "30")
    assert page.rate_chart.rows[-1] == ("00:00:02", "2", "3")


def test_what_is_not_known_is_a_dash() -> None:
    unknown = operations(
        replace(WELL, lag=None, incoming_per_s=None, applied_per_s=None, outbox=None, dead_letters=None), (), NOW
    )

    assert {unknown.lag, unknown.incoming, unknown.applied, unknown.outbox} == {"—"}
    assert unknown.open_letters is None


@pytest.mark.parametrize(
    ("worker", "state"),
    [
        (WORKER, ("runs", Level.WELL)),
        (WorkerView("a", status("a", silent_s=61), None), ("gone", Level.ACT)),
        (WorkerView("a", status("a", breaker="a flood"), None), ("breaker open", Level.ACT)),
    ],
    ids=["runs", "gone", "breaker"],
)
def test_a_worker_has_a_state_in_words(worker: WorkerView, state: tuple[str, Level]) -> None:
    assert worker_state(worker) == state


@pytest.mark.parametrize(
    ("numbers", "text"), [([], "—"), ([3], "3"), ([0, 1, 2], "0-2"), ([0, 1, 4, 7, 8], "0-1, 4, 7-8")], ids=str
)
def test_partitions_are_told_as_ranges(numbers: list[int], text: str) -> None:
    assert ranges(numbers) == text


def test_a_latency_is_as_precise_as_is_of_use() -> None:
    assert [seconds(None), seconds(0.0124), seconds(2.345)] == ["—", "12 ms", "2.3 s"]
