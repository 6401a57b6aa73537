"""The breaker: a flood of bad records stops the worker's intake before it becomes a flood of dead letters."""

from itertools import pairwise

from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from events.kinds import Kind
from worker.intake.breaker import Breaker, Flood
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
        flood = breaker.find_flood(entries[start:end])
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
        asked.find_flood(entries)
        asked.count(entries)
        not_asked.count(entries)

    probe = [entry(n, True) for n in range(9)]
    assert asked.find_flood(probe) == not_asked.find_flood(probe)


def test_the_line_says_how_many_and_where_they_begin() -> None:
    breaker = Breaker(window=100, share_percent=50, consecutive=3)
    entries = [entry(7, True), entry(8, False), *(entry(n, True) for n in (9, 10, 11, 12))]

    flood = breaker.find_flood(entries)

    assert flood == Flood(3, 3, entries[2][1])
    assert "t[0] offset 9 (bad)" in str(flood)


@given(fates=st.lists(st.sampled_from(["good", "bad", "large"]), max_size=30), limits=limits)
def test_records_that_are_too_large_do_not_count(fates: list[str], limits: dict[str, int]) -> None:
    """To wait would save none of them, and would hold up good events."""

    def judge(left_out: tuple[str, ...]) -> list[bool]:
        breaker, opens = Breaker(**limits), []
        for offset, fate in enumerate(fates):
            if fate in left_out:
                continue
            record, outcome = entry(offset, rejected=fate != "good")
            if fate == "large":
                outcome = Rejected(record, "large", Kind.TOO_LARGE)
            opens.append(breaker.find_flood([(record, outcome)]) is not None)
            breaker.count([(record, outcome)])
        return [
            opened
            for opened, fate in zip(opens, (f for f in fates if f not in left_out), strict=True)
            if fate != "large"
        ]

    assert judge(()) == judge(("large",))
