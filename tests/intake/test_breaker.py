"""The breaker: a flood of bad records stops the worker's intake before it becomes a flood of dead letters."""

import dataclasses
import re
from itertools import pairwise
from uuid import uuid4

import asyncpg
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from events.kinds import Kind
from events.models import CourseAccessed
from events.producer import OutgoingRecord, Producer
from tests.factories import NOW, histories
from tests.processes import WorkerProcess, Workers, eventually
from tests.topics import PARTITIONS, publish, record, records_in, records_of
from worker.intake.breaker import Breaker, Flood
from worker.progress.reference import expected, stored, wrong_rows
from worker.settings import Settings
from worker.stream.outcome import Outcome, Record, Rejected, Skipped


def entry(offset: int, rejected: bool) -> tuple[Record, Outcome]:
    one = ConsumerRecord("t", 0, offset, 0, 0, None, b"", None, -1, 0, ())
    return one, Rejected(one, "bad", Kind.SCHEMA) if rejected else Skipped("")


def first_over(fates: list[bool], window: int, share: int, consecutive: int) -> int | None:
    """What the breaker promises, said plainly: the first rejected record at which it opens."""
    for n in range(1, len(fates) + 1):
        in_a_row = consecutive and n >= consecutive and all(fates[n - consecutive : n])
        last = fates[max(0, n - window) : n]
        if fates[n - 1] and (in_a_row or (share and len(last) == window and sum(last) * 100 >= share * window)):
            return n - 1
    return None


limits = st.fixed_dictionaries(
    {"window": st.integers(1, 8), "share_percent": st.integers(0, 100), "consecutive": st.integers(0, 6)}
)


@given(st.lists(st.booleans(), max_size=40), st.sets(st.integers(0, 40)), limits)
def test_it_opens_at_the_batch_with_the_first_record_too_many_however_records_are_batched(
    fates: list[bool], cuts: set[int], limits: dict[str, int]
) -> None:
    breaker = Breaker(**limits)
    entries = [entry(n, rejected) for n, rejected in enumerate(fates)]
    over = first_over(fates, limits["window"], limits["share_percent"], limits["consecutive"])
    edges = [0, *sorted(cut for cut in cuts if cut < len(fates)), len(fates)]

    opened = None
    for start, end in pairwise(edges):
        flood = breaker.flood(entries[start:end])
        if flood:
            opened = (start, end)
            assert start <= flood.first.record.offset <= (over or 0)
            assert flood.rejected <= flood.of
            break
        breaker.count(entries[start:end])

    assert (opened is None) == (over is None)
    if opened and over is not None:
        assert opened[0] <= over < opened[1]


@given(st.lists(st.lists(st.booleans(), max_size=9), max_size=9), limits)
def test_asking_changes_nothing(batches: list[list[bool]], limits: dict[str, int]) -> None:
    asked, not_asked = Breaker(**limits), Breaker(**limits)
    for fates in batches:
        entries = [entry(n, rejected) for n, rejected in enumerate(fates)]
        asked.flood(entries)
        asked.count(entries)
        not_asked.count(entries)

    probe = [entry(n, True) for n in range(9)]
    assert asked.flood(probe) == not_asked.flood(probe)


def test_the_line_says_how_many_and_where_they_begin() -> None:
    breaker = Breaker(window=100, share_percent=50, consecutive=3)
    entries = [entry(7, True), entry(8, False), *(entry(n, True) for n in (9, 10, 11, 12))]

    flood = breaker.flood(entries)

    assert flood == Flood(3, 3, entries[2][1])
    assert "t[0] offset 9 (bad)" in str(flood)


async def send_bad(settings: Settings, number: int) -> None:
    async with Producer(settings.kafka_bootstrap_servers) as producer:
        await producer.send_all(
            [OutgoingRecord(settings.lesson_events_topic, b"key", f"bad {n}".encode(), []) for n in range(number)]
        )


async def is_open(worker: WorkerProcess) -> bool:
    return await worker.metric("progress_breaker_open") == {"": 1}


async def applied(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval("select coalesce(sum(next_offset), 0) from consumed_offset"))


async def test_a_flood_opens_it_skips_nothing_and_with_it_switched_off_each_becomes_a_dead_letter(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    happened = histories(learners=30, seed=21)
    worker = workers.start(batch_size=20, breaker_consecutive=50)
    await publish(settings, happened[:100])

    async def good_ones_applied() -> bool:
        return await applied(connection) == 100

    async def opened() -> bool:
        return await is_open(worker)

    await eventually(good_ones_applied)
    await send_bad(settings, 300)
    await eventually(opened)
    await publish(settings, happened[100:])
    live, ready = [await worker.get(path) for path in ("/live", "/ready")]
    letters = await records_in(settings, settings.dead_letter_topic)

    # Batches before the one that makes it 50 in a row were settled.
    assert (live.status_code, ready.status_code, letters < 50) == (200, 503, True)
    assert re.search(r"no dead letter yet is \S+\[\d] offset \d+ ", ready.json()["waiting_for"])
    assert await applied(connection) == 100 + letters
    assert worker.stop() == 0
    assert workers.start("--until-idle", breaker_share=0, breaker_consecutive=0).wait() == 0
    assert wrong_rows(expected(happened), await stored(connection)) == []
    values = [letter.value for letter in await records_of(settings, settings.dead_letter_topic, 300)]
    assert sorted(values) == sorted(f"bad {n}".encode() for n in range(300))


async def test_a_share_of_bad_records_opens_it(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    async with Producer(settings.kafka_bootstrap_servers) as producer:
        bad = OutgoingRecord(settings.lesson_events_topic, b"key", b"bad", [])
        user = CourseAccessed(user_id=uuid4(), course_id=uuid4())
        good = dataclasses.replace(record(settings, user, NOW), key=b"key")
        await producer.send_all([bad, good, good] * 30 + [bad, good] * 100)

    worker = workers.start("--until-idle", breaker_window=100, breaker_consecutive=0)

    assert worker.wait() == 1
    assert "50 of the last 100 records were rejected" in worker.last_line["reason"]


async def test_a_worker_that_is_to_end_when_idle_ends_with_the_breakers_line(
    settings: Settings, workers: Workers
) -> None:
    await send_bad(settings, 300)

    worker = workers.start("--until-idle")

    assert worker.wait() == 1
    assert "PROGRESS_BREAKER_CONSECUTIVE=0" in worker.last_line["reason"]
    assert await records_in(settings, settings.dead_letter_topic) == 0


async def test_a_constraint_that_refuses_everything_opens_it(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await connection.execute("alter table course_progress_all add constraint wrong check (id < 0)")
    happened = histories(learners=30, seed=22)
    await publish(settings, happened)

    worker = workers.start("--until-idle", breaker_consecutive=20)

    assert worker.wait() == 1
    assert "20 of the last 20" in worker.last_line["reason"]
    assert await records_in(settings, settings.dead_letter_topic) == 19
    assert await applied(connection) == 19


async def test_while_it_is_open_partitions_come_and_go_and_stay_unread(
    settings: Settings, workers: Workers, connection: asyncpg.Connection
) -> None:
    await send_bad(settings, 300)
    first = workers.start()

    async def opened() -> bool:
        return await is_open(first)

    async def shares() -> bool:
        return len((await first.get("/ready")).json()["partitions"]) == PARTITIONS // 2

    async def has_all_again() -> bool:
        return len((await first.get("/ready")).json()["partitions"]) == PARTITIONS

    await eventually(opened)
    second = workers.start()
    await eventually(shares)
    assert second.stop() == 0
    await eventually(has_all_again)
    await publish(settings, [(CourseAccessed(user_id=uuid4(), course_id=uuid4()), NOW) for _ in range(50)])

    async def sees_the_backlog() -> bool:
        return sum((await first.metric("progress_lag_events")).values()) == 350

    await eventually(sees_the_backlog)
    assert await applied(connection) == 0
    assert first.stop() == 0
