"""Operations says first whether the operator must act."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from events.kinds import Kind
from tests.factories import SNAPSHOT_AT as NOW
from tests.factories import status
from worker.deadletters.newest import NewestSummary
from worker.operations.advice import Advice
from worker.operations.lag_history import Delay, Point
from worker.operations.snapshot import DisagreeingTotal, Outbox, PartitionView, RecountStatus, Snapshot, WorkerView
from worker.web.pages.diagnosis import Level
from worker.web.pages.formatting import format_ranges
from worker.web.pages.operations import OperationsPage, build_operations_page, describe_state, format_latency

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
    dead_letters=NewestSummary(0, {}, ()),
    outbox=Outbox(0, 0),
    advice=Advice(1, "One is enough."),
)


def shown(delays: Mapping[int, Delay] | None = None, **changed: Any) -> OperationsPage:
    page = build_operations_page(replace(WELL, **changed), (), delays or {0: Delay(0)}, NOW + timedelta(seconds=1))
    assert page.level == page.findings[0].level
    return page


def said(**changed: Any) -> tuple[Level, str]:
    """Returns level and text of the worst finding."""
    page = shown(**changed)
    return page.level, page.findings[0].text


def first(page: OperationsPage) -> dict[str, tuple[str, str]]:
    return {figure.name: (figure.value, figure.note) for figure in page.first}


def test_all_is_well_says_so_in_one_line() -> None:
    assert said() == (Level.WELL, "1 worker keeps up with 50 events/s")


def test_dead_letters_are_mentioned_without_alarm() -> None:
    page = shown(dead_letters=NewestSummary(9, {Kind.SCHEMA: 3}, ()))

    assert page.level == Level.WELL
    assert page.findings[0].text.startswith("1 worker")
    assert page.findings[1].text == "3 open dead letters among the newest"


@pytest.mark.parametrize(
    ("changed", "level", "text"),
    [
        (
            {"missing": dict.fromkeys(("stored", "statuses", "outbox", "recounts"), "x")},
            Level.ACT,
            "PostgreSQL cannot be read",
        ),
        ({"missing": {"group": "x"}}, Level.ACT, "The consumer group cannot be read"),
        ({"breaker": "half of the last records"}, Level.ACT, "The breaker is open: half of the last records"),
        ({"workers": ()}, Level.ACT, "No worker is running"),
        ({"workers": (WorkerView("a", status("a", silent_s=61), None),)}, Level.ACT, "No worker is running"),
        (
            {"workers": (WorkerView("a", status("a", waiting_for="PostgreSQL"), None),)},
            Level.WATCH,
            "a waits: PostgreSQL",
        ),
        (
            {"workers": (WorkerView("a", status("a", waiting_for="PostgreSQL"), None),), "delays": {0: Delay(30)}},
            Level.ACT,
            "a waits: PostgreSQL",
        ),
        (
            {"partitions": (replace(PARTITION, applied_per_s=None),), "delays": {0: Delay(30)}},
            Level.WATCH,
            "10 events wait, some for 30 s",
        ),
        ({"partitions": (replace(PARTITION, owner=None),)}, Level.WATCH, "No worker reads partition 0"),
        (
            {"partitions": (replace(PARTITION, owner=None),), "delays": {0: Delay(30)}},
            Level.ACT,
            "No worker reads partition 0",
        ),
        (
            {"partitions": (replace(PARTITION, lag=90_000),), "lag": 90_000, "delays": {0: Delay(0, longer=True)}},
            Level.WATCH,
            "90,000 events wait, some for over 0 s",
        ),
        ({"advice": Advice(3, "")}, Level.WATCH, "3 workers would keep up, but 1 is running"),
        ({"lag": 90_000, "delays": {0: Delay(75)}}, Level.WATCH, "90,000 events wait, some for 75 s"),
        (
            {"partitions": (replace(PARTITION, applied_per_s=0.0),), "delays": {0: Delay(30)}},
            Level.ACT,
            "Partition 0 of a stands still",
        ),
        ({"visible_p99_s": 12.0}, Level.WATCH, "Events become visible after 12 seconds"),
        ({"outbox": Outbox(7, 90.0)}, Level.WATCH, "The outbox has been waiting for 1 minute"),
        ({"at": NOW - timedelta(minutes=5)}, Level.ACT, "These figures are 5 minutes old"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said_with_how_bad_it_is(changed: Mapping[str, Any], level: Level, text: str) -> None:
    assert said(**changed) == (level, text)


def test_the_worst_stands_first() -> None:
    page = shown(breaker="a flood", visible_p99_s=9.0)

    assert [finding.level for finding in page.findings] == [Level.ACT, Level.WATCH]


def test_every_alarm_says_what_to_do() -> None:
    changes: list[dict[str, Any]] = [
        {"missing": dict.fromkeys(("stored", "statuses", "outbox", "recounts"), "x")},
        {"missing": {"group": "x"}},
        {"breaker": "a flood"},
        {"workers": ()},
        {"workers": (WorkerView("a", status("a", waiting_for="PostgreSQL is away"), None),), "delays": {0: Delay(30)}},
        {"partitions": (replace(PARTITION, applied_per_s=0.0),), "delays": {0: Delay(75)}},
        {"at": NOW - timedelta(minutes=5)},
    ]
    pages = [shown(**change) for change in changes]

    assert all(page.findings[0].level == Level.ACT and page.findings[0].do for page in pages)


def test_how_far_behind_it_is_stands_first_in_seconds_with_the_partition_and_its_worker() -> None:
    two = (PARTITION, replace(PARTITION, partition=1, owner="b"))

    assert first(shown(lag=0))["Behind"] == ("0 s", "every partition is up to date")
    assert first(shown(lag=3))["Behind"] == ("0 s", "the waiting events have just come in")
    assert first(shown(partitions=two, delays={0: Delay(2), 1: Delay(41)}))["Behind"] == (
        "41 s",
        "partition 1, read by b",
    )
    assert first(shown(delays={0: Delay(900, longer=True)}))["Behind"] == (
        "over 900 s",
        "15 minutes: partition 0, read by a",
    )


def test_what_waits_is_worked_off_within_a_time_or_wants_more_workers() -> None:
    late, faster = {"lag": 6000, "delays": {0: Delay(75)}}, {"applied_per_s": 150.0}

    assert shown(**late, **faster).findings[0].do == "At this rate the backlog is gone in 1 minute."
    assert "start more workers" in shown(**late).findings[0].do


@pytest.mark.parametrize(("seconds", "level"), [(9, Level.WELL), (10, Level.WATCH), (30, Level.ACT)])
def test_a_worker_that_applies_nothing_is_never_said_to_keep_up_for_long(seconds: float, level: Level) -> None:
    stopped = (replace(PARTITION, applied_per_s=0.0),)

    page = shown(partitions=stopped, applied_per_s=0.0, lag=500, delays={0: Delay(seconds)})

    assert page.level == level


def test_slowness_that_is_over_is_said_to_be_over() -> None:
    assert "is over" in shown(visible_p99_s=60.0).findings[0].do
    assert "is over" not in shown(visible_p99_s=60.0, delays={0: Delay(4)}).findings[0].do


def test_a_worker_that_waits_is_not_said_to_stand_still() -> None:
    waits = (WorkerView("a", status("a", waiting_for="PostgreSQL is away"), None),)
    page = shown(workers=waits, partitions=(replace(PARTITION, applied_per_s=0.0),), delays={0: Delay(75)})

    assert [finding.text for finding in page.findings if finding.level == Level.ACT] == ["a waits: PostgreSQL is away"]


def test_many_workers_that_wait_for_one_thing_are_one_line() -> None:
    many = tuple(WorkerView(name, status(name, waiting_for="Kafka is away"), None) for name in "abc")

    assert said(workers=many) == (Level.WATCH, "3 workers wait: Kafka is away")


def test_a_worker_that_is_gone_stands_last_without_alarm() -> None:
    page = shown(workers=(WorkerView("0", status("0", silent_s=61), None), WORKER))

    assert [worker.view.name for worker in page.workers] == ["a", "0"]
    assert page.level == Level.WELL


def test_a_missing_part_does_not_count_as_no_workers() -> None:
    page = shown(workers=(), missing={"group": "x", "statuses": "x"})

    assert "No worker is running" not in [finding.text for finding in page.findings]


def test_every_level_has_a_word_and_a_shape_of_its_own() -> None:
    assert len({level.word for level in Level}) == len({level.shape for level in Level}) == len(Level)


def test_lag_of_each_partition_is_drawn_on_one_scale() -> None:
    history = [Point(NOW + timedelta(seconds=n), {0: 10 * n, 1: 5 * n}, 3.0, 2.0) for n in range(3)]

    page = build_operations_page(
        replace(WELL, partitions=(PARTITION, replace(PARTITION, partition=1))), history, {}, NOW
    )

    assert [line.spark.stretches[0].split()[-1] for line in page.partitions] == ["100.00,0.00", "100.00,50.00"]
    assert page.lag_chart.rows[-1] == ("00:00:02", "30")
    assert page.rate_chart.rows[-1] == ("00:00:02", "2", "3")


def test_what_is_not_known_is_a_dash() -> None:
    page = shown(lag=None, incoming_per_s=None, applied_per_s=None, outbox=None, dead_letters=None)

    assert {first(page)[name][0] for name in ("Behind", "Waiting events")} == {"—"}
    assert [figure.value for figure in page.details[2:]] == ["—", "—"]


@pytest.mark.parametrize(
    ("worker", "state"),
    [
        (WORKER, ("running", Level.WELL)),
        (WorkerView("a", status("a", silent_s=61), None), ("gone for 1 minute", None)),
        (WorkerView("a", status("a", breaker="a flood"), None), ("breaker open", Level.ACT)),
    ],
    ids=["running", "gone", "breaker"],
)
def test_a_worker_has_a_state_in_words(worker: WorkerView, state: tuple[str, Level | None]) -> None:
    assert describe_state(worker) == state


@pytest.mark.parametrize(
    ("numbers", "text"), [([], "—"), ([3], "3"), ([0, 1, 2], "0-2"), ([0, 1, 4, 7, 8], "0-1, 4, 7-8")], ids=str
)
def test_partitions_are_told_as_ranges(numbers: list[int], text: str) -> None:
    assert format_ranges(numbers) == text


def test_a_latency_is_as_precise_as_is_of_use() -> None:
    assert [format_latency(None), format_latency(0.0124), format_latency(2.345)] == ["—", "12 ms", "2.3 s"]


# What became of versions

ID = UUID("5f3b7a52-0d2f-4f0e-9f4e-1d2c3b4a5968")


@pytest.mark.parametrize(
    ("recount", "title", "percent", "rows"),
    [
        (RecountStatus(ID, "Statistics", 2, 0, None, NOW, None), "Statistics", None, "its rows are being counted"),
        (RecountStatus(ID, None, 2, 500, 2000, NOW, None), "Course 5f3b7a52", 25, "500 of about 2,000 rows"),
        (RecountStatus(ID, "Art", 2, 2100, 2000, NOW, None), "Art", 99, "2,100 of about 2,000 rows"),
        (RecountStatus(ID, "Art", 2, 0, 0, NOW, None), "Art", 0, "0 of about 0 rows"),
        (RecountStatus(ID, "Art", 2, 2100, 2000, NOW, NOW), "Art", 100, "2,100 rows"),
    ],
    ids=["not counted", "under way", "more than expected", "nothing to do", "done"],
)
def test_a_recount_is_shown_with_how_far_it_is(
    recount: RecountStatus, title: str, percent: int | None, rows: str
) -> None:
    page = shown(recounts=(recount,))

    [line] = page.recounts
    assert (line.id, line.title, line.version, line.percent, line.rows) == (ID, title, 2, percent, rows)
    assert line.when == f"{'ended' if recount.finished_at else 'began'} just now"
    assert page.level == Level.WELL
    assert any("is being recounted" in finding.text for finding in page.findings) == (recount.finished_at is None)


def test_courses_whose_events_say_another_total_are_shown_without_alarm() -> None:
    page = shown(disagreeing_totals=(DisagreeingTotal(ID, "Art", 12, 9, NOW - timedelta(minutes=5)),))

    [line] = page.totals
    assert (line.title, line.total, line.needed, line.ago) == ("Art", 12, 9, "5 minutes ago")
    assert (page.level, page.findings[1].text) == (
        Level.WELL,
        "Events of 1 course say another total than the newest version needs",
    )
