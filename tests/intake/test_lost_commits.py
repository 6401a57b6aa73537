"""Lost commits are noticed once, applied again apart from the rest, and forgotten when that is done."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tests.intake.fakes import P0, P1, record
from worker.intake.lost_commits import Loss, LostCommits
from worker.stream.batch import Batch, Span
from worker.stream.outcome import Occurrence


def batch(*where: tuple[object, int]) -> Batch:
    entries = [(record(tp, offset), Occurrence(datetime.now(UTC), object(), *tp)) for tp, offset in where]
    first: dict[object, int] = {}
    for tp, offset in where:
        first.setdefault(tp, offset)
    return Batch.of(entries, first)


def test_a_partition_that_goes_on_where_it_was_has_lost_nothing() -> None:
    lost = LostCommits()

    assert lost.go_on(P0, 10, known=10) is None
    assert lost.go_on(P0, 10, known=3) is None  # Kafka is told once a second
    lost.move_on({P0: Span(10, 12)})
    assert lost.go_on(P0, 12, known=11) is None


def test_what_was_stored_and_is_not_is_lost_and_said_once() -> None:
    lost = LostCommits()
    lost.go_on(P0, 10, known=0)
    lost.move_on({P0: Span(10, 15)})

    assert lost.go_on(P0, 4, known=12) == Loss(until=15, lost=11, number_gap=11)
    assert lost.go_on(P0, 6, known=12) is None  # read again in the middle: known already
    assert lost.is_behind(P0)
    lost.move_on({P0: Span(6, 15)})
    assert not lost.is_behind(P0)


def test_a_second_loss_counts_what_the_announcements_of_the_first_have_raised() -> None:
    """The database may have gone back to where it was before them, and subscribers know their numbers."""
    lost = LostCommits()
    lost.go_on(P0, 15, known=0)
    assert lost.go_on(P0, 5, known=0) == Loss(until=15, lost=10, number_gap=10)
    lost.forget([P0])

    assert lost.go_on(P0, 5, known=15) == Loss(until=15, lost=10, number_gap=21)


def test_records_that_were_deleted_are_not_applied_again_and_count_for_the_numbers() -> None:
    assert LostCommits().go_on(P0, 95, known=100, stored=10) == Loss(until=100, lost=5, number_gap=90)


def test_a_batch_without_an_answer_belongs_to_the_loss() -> None:
    """It may have been committed, and announced, before the database was lost."""
    lost = LostCommits()
    lost.go_on(P0, 20, known=0)
    lost.hand_over({P0: Span(20, 23)})
    assert lost.go_on(P0, 20, known=0) is None  # nothing says that commits were lost

    assert lost.go_on(P0, 15, known=0) == Loss(until=23, lost=8, number_gap=8)


def test_a_worker_that_starts_learns_it_from_kafka() -> None:
    assert LostCommits().go_on(P0, 4, known=9) == Loss(until=9, lost=5, number_gap=5)


def test_a_log_that_went_back_is_no_loss_of_commits() -> None:
    lost = LostCommits()
    lost.move_on({P0: Span(None, 15)})
    lost.go_back(P0, 10)

    assert lost.go_on(P0, 10, known=10) is None


def test_a_batch_is_split_where_the_loss_ends() -> None:
    lost = LostCommits()
    lost.go_on(P0, 4, known=6)
    whole = batch((P0, 4), (P0, 5), (P0, 6), (P1, 0))

    again, rest = lost.split(whole)

    assert again.spans == {P0: Span(4, 6, number_gap=2)}
    assert rest.spans == {P0: Span(6, 7), P1: Span(0, 1)}
    assert LostCommits().split(whole) == [whole]


def test_a_bisected_batch_still_says_what_is_applied_again() -> None:
    lost = LostCommits()
    lost.go_on(P0, 4, known=6)
    [again] = lost.split(batch((P0, 4), (P0, 5)))

    assert [half.spans for half in again.bisect("too slow")] == [
        {P0: Span(4, 5, number_gap=2)},
        {P0: Span(5, 6, number_gap=2)},
    ]


@given(st.lists(st.tuples(st.sampled_from([P0, P1]), st.integers(1, 3)), min_size=1, max_size=20), st.integers(0, 30))
def test_the_parts_cover_the_batch_without_a_gap(steps: list[tuple[object, int]], until: int) -> None:
    at = {P0: 0, P1: 0}
    where = []
    for tp, step in steps:
        where.append((tp, at[tp]))
        at[tp] += step
    whole = batch(*where)
    lost = LostCommits()
    lost.go_on(P0, 0, known=until)

    parts = lost.split(whole)

    reached = {tp: span.expected for tp, span in whole.spans.items()}
    for part in parts:
        for tp, span in part.spans.items():
            assert span.expected == reached[tp]
            reached[tp] = span.next
    assert reached == {tp: span.next for tp, span in whole.spans.items()}
    assert sorted(e[0].offset for p in parts for e in p.entries) == sorted(e[0].offset for e in whole.entries)
