"""What becomes of a batch: repeated, bisected, given up, or a reason to stop."""

import asyncio
from collections.abc import Callable, Iterable

import pytest
from aiokafka import TopicPartition

from events.kinds import Kind
from tests.intake.fakes import P0, P1, record
from worker.errors import BreakerOpen, Bug, DatabaseUnavailable, SetupError, TookTooLong, ValueRefused
from worker.intake.settle import Settler
from worker.stream.batch import Batch
from worker.stream.outcome import Occurrence, Outcome, Rejected
from worker.stream.sink import Applied, OffsetsMoved

Reply = Applied | OffsetsMoved | Exception
DONE = Applied(0)
AWAY = DatabaseUnavailable("away")


def event(tp: TopicPartition, offset: int) -> tuple[object, Outcome]:
    return record(tp, offset), Occurrence(None, None, *tp)


def batch_of(*where: tuple[TopicPartition, int]) -> Batch:
    return Batch.of([event(tp, offset) for tp, offset in where], dict.fromkeys((P0, P1)))


class Bench:
    """A Settler whose agent answers by `reply`, and what it did with the batch."""

    def __init__(self, reply: Callable[[Batch], Reply]) -> None:
        self.reply = reply
        self.handed: list[Batch] = []
        self.given_up: set[TopicPartition] = set()
        self.waits: list[float] = []
        self.reasons: list[str | None] = []  # why it waited, each time
        self.stopping = asyncio.Event()
        self.settler = Settler(self._hand_over, self._give_up, self._wait, self.stopping)

    async def _hand_over(self, batch: Batch) -> Applied | OffsetsMoved:
        self.handed.append(batch)
        reply = self.reply(batch)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _give_up(self, partitions: Iterable[TopicPartition]) -> None:
        self.given_up.update(partitions)

    async def _wait(self, for_s: float) -> None:
        self.waits.append(for_s)
        self.reasons.append(self.settler.waiting)

    @property
    def offsets(self) -> list[list[int]]:
        return [[r.offset for r, _ in batch.entries] for batch in self.handed]


def replies(*in_turn: Reply) -> Callable[[Batch], Reply]:
    rest = iter(in_turn)
    return lambda _: next(rest)


async def test_an_applied_batch_is_handed_over_once() -> None:
    bench = Bench(replies(DONE))

    await bench.settler.settle(batch_of((P0, 1)))

    assert (bench.offsets, bench.waits) == ([[1]], [])


async def test_a_batch_without_offsets_reaches_no_agent() -> None:
    bench = Bench(replies())

    await bench.settler.settle(Batch([], {}))

    assert bench.handed == []


async def test_while_the_database_is_away_the_same_batch_is_repeated_ever_less_often() -> None:
    bench = Bench(replies(*[AWAY] * 12, DONE))
    batch = batch_of((P0, 1))

    await bench.settler.settle(batch)

    assert bench.handed == [batch] * 13
    assert bench.waits[0] <= 0.1
    assert 2.5 <= bench.waits[-1] <= 5


async def test_it_says_why_it_waits_and_when_that_is_over() -> None:
    bench = Bench(replies(AWAY, DONE))

    await bench.settler.settle(batch_of((P0, 1)))

    assert (bench.reasons, bench.settler.waiting) == (["away"], None)


async def test_a_worker_that_stops_leaves_the_batch_to_the_next() -> None:
    bench = Bench(replies(AWAY))
    bench.stopping.set()

    await bench.settler.settle(batch_of((P0, 1)))

    assert (bench.offsets, bench.waits) == ([[1]], [])


async def test_a_refused_value_alone_becomes_a_dead_letter() -> None:
    """The halves are handed over in order, each with offsets that follow on the one before."""

    def refuse_6(batch: Batch) -> Reply:
        return ValueRefused("no 6") if any(r.offset == 6 for r, o in batch.entries if o in batch.occurrences) else DONE

    bench = Bench(refuse_6)

    await bench.settler.settle(batch_of((P0, 4), (P0, 5), (P0, 6), (P0, 7)))

    assert bench.offsets == [[4, 5, 6, 7], [4, 5], [6, 7], [6], [6], [7]]
    assert bench.handed[4].rejected == [Rejected(bench.handed[4].entries[0][0], "no 6", Kind.REFUSED)]
    spans = [bench.handed[n].spans[P0] for n in (1, 4, 5)]
    assert [(span.expected, span.next) for span in spans] == [(None, 6), (6, 7), (7, 8)]


async def test_a_batch_that_takes_too_long_twice_is_bisected() -> None:
    bench = Bench(lambda batch: TookTooLong("slow") if len(batch.entries) > 2 else DONE)

    await bench.settler.settle(batch_of(*((P0, n) for n in range(4))))

    assert bench.offsets == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1], [2, 3]]


async def test_a_single_record_that_takes_too_long_is_repeated_and_never_rejected() -> None:
    bench = Bench(replies(TookTooLong("slow"), TookTooLong("slow"), TookTooLong("slow"), DONE))

    await bench.settler.settle(batch_of((P0, 0)))

    assert all(batch.rejected == [] for batch in bench.handed)
    assert len(bench.handed) == 4


async def test_partitions_that_another_worker_moved_are_given_up_and_the_rest_is_applied() -> None:
    bench = Bench(replies(OffsetsMoved({P0: 9}), DONE))

    await bench.settler.settle(batch_of((P0, 1), (P1, 2)))

    assert bench.given_up == {P0}
    assert [set(batch.spans) for batch in bench.handed] == [{P0, P1}, {P1}]


async def test_nothing_is_left_when_all_partitions_moved() -> None:
    bench = Bench(replies(OffsetsMoved({P0: 9})))

    await bench.settler.settle(batch_of((P0, 1)))

    assert len(bench.handed) == 1


@pytest.mark.parametrize(
    ("error", "raised", "text"),
    [
        (SetupError("run migrate"), SetupError, r"run migrate \(while applying notes\[0\] offsets 0-1: "),
        (KeyError("unforeseen"), Bug, "KeyError: 'unforeseen'.* This is a bug in the worker"),
        (BreakerOpen("a flood"), BreakerOpen, "^a flood$"),
    ],
)
async def test_an_error_that_no_repetition_mends_stops_the_worker_with_a_line(
    error: Exception, raised: type[Exception], text: str
) -> None:
    bench = Bench(replies(error))

    with pytest.raises(raised, match=text):
        await bench.settler.settle(batch_of((P0, 1)))


async def test_a_refusal_that_no_event_has_caused_stops_the_worker() -> None:
    bench = Bench(replies(ValueRefused("a trigger")))
    one = record(P0, 1)

    with pytest.raises(SetupError, match="a value that no event has caused: a trigger"):
        await bench.settler.settle(Batch.of([(one, Rejected(one, "bad", Kind.SCHEMA))], {P0: None}))
