"""Tests that the benchmark measures what it says. No test checks how fast anything is."""

import math
import os
import random
import re
import subprocess
import time
from collections.abc import AsyncIterator
from itertools import islice
from statistics import mean

import asyncpg
import psutil
import pytest

from tests.bench.ahead import ahead, allowed
from tests.bench.bench import Bench, connected
from tests.bench.catalog import publish_first_versions
from tests.bench.drain import drain
from tests.bench.floor import apply, recorded, scans
from tests.bench.learners import Rows, bursty, even
from tests.bench.report import page, with_sections
from tests.bench.result import Figure, Result
from tests.bench.sections import SECTIONS, Section
from tests.bench.shares import Shares
from tests.bench.sizes import QUICK, Sizes
from tests.bench.targets import TARGETS, Target, judged
from tests.catalogs import recount_all
from worker.devstack import Servers
from worker.intake.lane import LANES
from worker.postgres.connection import query
from worker.settings import Settings

FASTER = Target("speed", "ours/theirs", at_least=2)
# Peers have a test of their own, and need what not every machine has.
OURS_ALONE = [section for section in SECTIONS if section.name != "peers"]


@pytest.fixture
def bench(running: Servers) -> Bench:
    return Bench(running, QUICK, print)


@pytest.fixture
async def filled(bench: Bench) -> AsyncIterator[Settings]:
    async with bench.filled(Rows(40, per_user=5)) as database:
        yield database


async def rows_of(settings: Settings) -> list[asyncpg.Record]:
    async with connected(settings) as connection:
        return await connection.fetch(
            "select user_id, course_id, lessons_completed, last_lesson_id, last_accessed_at from course_progress_all"
            " order by 1, 2"
        )


@pytest.mark.timeout(240)
@pytest.mark.parametrize("section", OURS_ALONE, ids=lambda section: section.name)
async def test_every_section_yields_its_figures(bench: Bench, section: Section) -> None:
    result = await section.run(bench)

    assert section.text
    assert {len(row) for row in result.rows} == {len(result.columns)}
    assert all(math.isfinite(figure.value) and figure.value >= 0 for figure in result.figures.values())


async def test_sql_and_python_name_rows_alike(filled: Settings) -> None:
    there = {(row["user_id"], row["course_id"]) for row in await rows_of(filled)}

    assert there == {Rows(40, per_user=5).key(number) for number in range(40)}


async def test_rows_that_are_there_beforehand_are_what_their_lessons_say(filled: Settings) -> None:
    async with connected(filled) as connection:
        assert await connection.fetch(query("repair/recount"), 0, 10**6, None, None) == []
        assert await connection.fetchval("select count(*) from lesson_progress") == 40 * 20


async def test_rows_of_a_version_that_are_there_beforehand_are_what_a_recount_makes_of_them(bench: Bench) -> None:
    rows = Rows(40, per_user=5, courses=7, version=1)
    columns = "user_id, course_id, lessons_completed, total_lessons, completed_at, course_version, judged_by"
    async with bench.filled(rows) as database, connected(database) as connection:
        await publish_first_versions(database, rows)
        before = await connection.fetch(f"select {columns} from course_progress_all order by id")
        await connection.execute("update course_recount set finished_at = null")
        await recount_all(database)

        assert await connection.fetch(f"select {columns} from course_progress_all order by id") == before
        assert {row["judged_by"] for row in before} == {1}


async def test_the_floor_leaves_the_rows_that_a_worker_leaves(bench: Bench, filled: Settings) -> None:
    rows, events = Rows(40, per_user=5), 600
    async with (
        bench.backlog(filled, rows, events) as backlog,
        bench.copy(backlog) as of_floor,
        bench.copy(backlog) as of_worker,
    ):
        before = await rows_of(of_floor)
        await apply(of_floor, await recorded(backlog, LANES), events)
        await drain(of_worker, events)

        assert await rows_of(of_floor) == await rows_of(of_worker) != before


async def test_a_plan_that_scans_a_table_is_reported(bench: Bench, filled: Settings) -> None:
    async with bench.backlog(filled, Rows(40, per_user=5), 200) as backlog:
        [[call, *_]] = await recorded(backlog)
        async with connected(filled) as connection:
            await connection.execute("alter table lesson_progress drop constraint lesson_progress_pkey")

        assert "Seq Scan on lesson_progress" in await scans(backlog, call)


def test_evenly_spread_events_are_of_all_rows_before_they_are_of_one_again() -> None:
    events = list(islice(even(Rows(500), random.Random(1)), 1000))

    for round in (events[:500], events[500:]):
        assert len({(event.user_id, event.course_id) for event in round}) == 500


def test_bursts_are_of_as_many_rows_as_real_learners_have() -> None:
    events = list(islice(bursty(Rows(50_000), random.Random(1)), 20_000))

    touched = [len({event.user_id for event in events[start : start + 2000]}) for start in range(0, 20_000, 2000)]

    assert 706 <= mean(touched) <= 802


def test_a_process_that_has_the_cores_is_named_with_its_share() -> None:
    shares, began = Shares(postgres=None), time.process_time()

    while time.process_time() - began < 0.2:
        pass

    described = re.fullmatch(r"busy (\d+) % of all cores: harness (\d+) %, taken by the host \d+ %", shares.describe())
    assert described
    assert all(0 < int(percent) <= 100 for percent in described.groups())


@pytest.mark.processes
def test_some_processes_go_before_others_in_their_order_and_then_no_more() -> None:
    with subprocess.Popen(["sleep", "60"]) as api, subprocess.Popen(["sleep", "60"]) as database:
        processes = [psutil.Process(), psutil.Process(api.pid), psutil.Process(database.pid)]
        try:
            if not allowed(*processes):
                pytest.skip("it takes CAP_SYS_NICE")
            with ahead(*processes):
                priorities = [os.sched_getparam(process.pid).sched_priority for process in processes]
                policies = {os.sched_getscheduler(process.pid) for process in processes}
            behind = {os.sched_getscheduler(process.pid) for process in processes}
        finally:
            api.kill()
            database.kill()

    assert (policies, behind, priorities) == ({os.SCHED_RR}, {os.SCHED_OTHER}, [3, 2, 1])


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (Figure(2.0), "met"),
        (Figure(1.9, bound="the disk"), "**missed**: the disk"),
        (Figure(1.9), "**missed**"),
        (Figure(math.nan), "**missed**"),
        (None, ""),
    ],
)
def test_a_target_is_met_or_missed_with_what_bounds_it(figure: Figure | None, verdict: str) -> None:
    figures = {FASTER.figure: figure} if figure else {}

    assert judged(FASTER, figures)[-1] == verdict


def test_a_section_measured_by_itself_takes_its_place_in_the_page_and_its_targets() -> None:
    api, reads = (next(section for section in SECTIONS if section.name == name) for name in ("api", "reads"))
    before = {
        api: Result("HTTP API", ("a",), [("old",)], {"GET, ahead none": Figure(70)}, (1, 2)),
        reads: Result("Reads", ("a",), [("kept",)], {"get_progress_stats": Figure(1.5)}, (3, 4)),
    }
    written = page(before, "a machine", 30)
    new = Result("HTTP API", ("a",), [("new",)], {"GET, ahead none": Figure(50)}, (5, 6))

    then = with_sections(written, {api: new}, "another machine.")

    assert "| new |" in then
    assert "| old |" not in then
    assert "another machine. The loop took 5 ms" in then
    changed = [line for line in then.splitlines() if line not in written.splitlines()]
    assert len(changed) == 3
    assert "| 50 ms |" in changed[0]
    assert with_sections(then, {api: new}, "another machine.") == then
    with pytest.raises(KeyError):
        with_sections(written, {api: Result("Nowhere", ("a",))}, "")


def test_the_page_has_every_target_and_every_section() -> None:
    results = {section: Result(section.name, ("a", "b")) for section in SECTIONS}

    written = page(results, "a machine", Sizes().longest_drain_s)

    assert [target.what for target in TARGETS if f"| {target.what} |" not in written] == []
    assert [section.name for section in SECTIONS if f"## {section.name}\n\n{section.text}" not in written] == []
