"""Which offsets a batch covers, whatever becomes of it."""

from itertools import pairwise

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from events.kinds import Kind
from worker.stream.batch import Batch, Span, gather, skip_over
from worker.stream.outcome import Rejected, Skipped

P0, P1 = TopicPartition("t", 0), TopicPartition("t", 1)


def record(tp: TopicPartition, offset: int) -> ConsumerRecord:
    return ConsumerRecord(*tp, offset, 0, 0, None, None, None, 0, 0, [])


def nothing(_: ConsumerRecord) -> Skipped:
    return Skipped("")


def test_a_batch_spans_from_what_was_stored_to_behind_its_last_record() -> None:
    batch = gather({P0: [record(P0, 4), record(P0, 9)], P1: [record(P1, 0)]}, {P0: 4, P1: None}, nothing)

    assert batch.spans == {P0: Span(4, 10), P1: Span(None, 1)}


def test_records_that_were_applied_or_are_of_partitions_not_adopted_are_left_out() -> None:
    batch = gather({P0: [record(P0, 3), record(P0, 4)], P1: [record(P1, 0)]}, {P0: 4}, nothing)

    assert [r.offset for r, _ in batch.entries] == [4]
    assert batch.spans == {P0: Span(4, 5)}


def test_without_a_partition_the_others_stay() -> None:
    batch = gather({P0: [record(P0, 4)], P1: [record(P1, 0)]}, {P0: 4, P1: None}, nothing).without({P0})

    assert ([r.partition for r, _ in batch.entries], batch.spans) == ([1], {P1: Span(None, 1)})


@given(st.lists(st.integers(1, 5), min_size=2, max_size=9), st.integers(0, 8))
def test_two_halves_cover_what_the_whole_did(gaps: list[int], of_p0: int) -> None:
    offsets = [sum(gaps[: n + 1]) for n in range(len(gaps))]
    fetched = {P0: [record(P0, o) for o in offsets[:of_p0]], P1: [record(P1, o) for o in offsets[of_p0:]]}
    whole = gather(fetched, {P0: 0, P1: None}, nothing)

    first, second = whole.bisect("refused")

    assert first.entries + second.entries == whole.entries
    for tp, span in whole.spans.items():
        parts = [half.spans[tp] for half in (first, second) if tp in half.spans]
        assert (parts[0].expected, parts[-1].next) == (span.expected, span.next)
        assert all(a.next == b.expected for a, b in pairwise(parts))


def test_a_single_refused_record_is_rejected() -> None:
    only = record(P0, 4)
    [batch] = Batch([(only, Skipped(""))], {P0: Span(4, 5)}, dead_letters_written=True).bisect("too long")

    assert batch.rejected == [Rejected(only, "too long", Kind.REFUSED)]
    assert not batch.dead_letters_written


def test_offsets_that_are_never_handed_out_are_skip_over() -> None:
    assert skip_over({P0: 12, P1: 5}, {P0: 10, P1: 5}) == {P0: Span(10, 12)}


def test_a_partition_that_has_handed_out_nothing_yet_is_skipped_over_too() -> None:
    assert skip_over({P0: 2, P1: 0}, {P0: None, P1: None}) == {P0: Span(None, 2)}
