"""A partition is read from its stored offset, however often it comes and goes."""

from typing import Any

import pytest
from aiokafka.structs import OffsetAndMetadata

from tests.intake.fakes import P0, P1, FakeConsumer, FakeSink, counted, log_of, partitions_over, record
from worker.errors import DatabaseUnavailable, OffsetBeyondLog
from worker.stream.batch import Batch, Span
from worker.stream.outcome import Skipped


def missing() -> float:
    return counted("progress_events_missing_total")


async def test_assigned_ones_are_paused_until_their_offset_is_known() -> None:
    consumer = FakeConsumer({P0: log_of(5)})
    partitions = partitions_over(consumer, FakeSink({P0: 3}))

    partitions.assign({P0})
    assert (partitions.owned, partitions.unresolved, consumer.paused()) == (set(), {P0}, {P0})

    await partitions.resume()
    assert (partitions.next, partitions.unresolved, consumer.paused()) == ({P0: 3}, set(), set())
    assert consumer.position_of == {P0: 3}


async def test_without_a_stored_offset_reading_begins_with_the_log() -> None:
    consumer = FakeConsumer({P0: log_of(5, first=7)})
    partitions = partitions_over(consumer, FakeSink())
    partitions.assign({P0})

    await partitions.resume()

    assert (partitions.next, consumer.position_of) == ({P0: None}, {P0: 7})


async def test_they_stay_unresolved_while_the_database_is_away() -> None:
    sink = FakeSink({P0: 3})
    sink.fail_with = [DatabaseUnavailable("away")]
    partitions = partitions_over(FakeConsumer({P0: log_of(5)}), sink)
    partitions.assign({P0})

    with pytest.raises(DatabaseUnavailable):
        await partitions.resume()
    assert partitions.unresolved == {P0}

    await partitions.resume()
    assert partitions.owned == {P0}


async def test_one_that_is_revoked_while_its_offset_is_read_is_not_read() -> None:
    consumer = FakeConsumer({P0: log_of(5), P1: []})

    class Revoking(FakeSink):
        async def stored_offsets(self, wanted: Any) -> Any:
            partitions.revoke({P0})
            return await super().stored_offsets(wanted)

    partitions = partitions_over(consumer, Revoking())
    partitions.assign({P0, P1})

    await partitions.resume()

    assert partitions.owned == {P1}


async def test_one_that_is_to_be_read_again_while_its_offset_is_read_is_asked_for_again() -> None:
    class Rereading(FakeSink):
        async def stored_offsets(self, wanted: Any) -> Any:
            partitions.reread({P0})
            return await super().stored_offsets(wanted)

    partitions = partitions_over(FakeConsumer({P0: log_of(5)}), Rereading())
    partitions.assign({P0})

    await partitions.resume()

    assert (partitions.owned, partitions.unresolved) == (set(), {P0})


async def test_reread_goes_back_to_the_stored_offset_and_concerns_own_partitions_alone() -> None:
    consumer = FakeConsumer({P0: log_of(5), P1: []})
    partitions = partitions_over(consumer, FakeSink({P0: 1}))
    partitions.assign({P0})
    await partitions.resume()
    consumer.seek(P0, 5)

    partitions.reread({P0, P1})
    assert (partitions.owned, partitions.unresolved, consumer.paused()) == (set(), {P0}, {P0})

    await partitions.resume()
    assert consumer.position_of[P0] == 1


async def test_an_assignment_replaces_the_one_before() -> None:
    partitions = partitions_over(FakeConsumer({P0: log_of(5), P1: []}), FakeSink())
    partitions.assign({P0})
    await partitions.resume()

    partitions.assign({P1})

    assert (partitions.assigned, partitions.owned, partitions.unresolved) == ({P1}, set(), {P1})


async def test_a_stored_offset_beyond_the_log_stops_the_worker_and_names_the_command() -> None:
    partitions = partitions_over(FakeConsumer({P0: log_of(5)}), FakeSink({P0: 6}))
    partitions.assign({P0})

    with pytest.raises(OffsetBeyondLog, match="rewind --to earliest --partition 0 --topic notes --group notes-group`"):
        await partitions.resume()


async def test_records_that_retention_deleted_are_counted_as_missing() -> None:
    before = missing()
    consumer = FakeConsumer({P0: log_of(5, first=7)})
    partitions = partitions_over(consumer, FakeSink({P0: 3}))
    partitions.assign({P0})

    await partitions.resume()

    assert missing() == before + 4
    assert (partitions.next, consumer.position_of) == ({P0: 3}, {P0: 7})


async def test_a_stored_offset_that_goes_back_is_read_again_without_a_new_record() -> None:
    sink = FakeSink({P0: 5})
    partitions = partitions_over(FakeConsumer({P0: log_of(5)}), sink)
    partitions.assign({P0})
    await partitions.resume()
    await partitions.look_at_offsets()
    assert partitions.unresolved == set()
    before = counted("progress_commits_lost_total")

    sink.stored[P0] = 2
    await partitions.look_at_offsets()
    await partitions.resume()

    assert partitions.next == {P0: 2}
    assert counted("progress_commits_lost_total") == before + 3
    [again] = partitions.split(Batch.of([(record(P0, 2), Skipped(""))], partitions.next))
    assert again.spans == {P0: Span(2, 3, number_gap=3)}


async def test_without_partitions_the_database_is_not_asked() -> None:
    sink = FakeSink()
    sink.fail_with = [DatabaseUnavailable("away")]

    await partitions_over(FakeConsumer({P0: log_of(5)}), sink).look_at_offsets()

    assert len(sink.fail_with) == 1


async def test_at_a_start_kafkas_committed_offset_says_what_was_stored() -> None:
    consumer = FakeConsumer({P0: log_of(5)})
    consumer.committed = {P0: OffsetAndMetadata(5, "")}
    partitions = partitions_over(consumer, FakeSink({P0: 2}))
    before = counted("progress_commits_lost_total")
    partitions.assign({P0})

    await partitions.resume()

    assert counted("progress_commits_lost_total") == before + 3
    assert partitions.lost.is_behind(P0)


async def test_what_was_settled_after_a_partition_was_revoked_is_no_loss_when_it_comes_back() -> None:
    sink = FakeSink({P0: 2})
    partitions = partitions_over(FakeConsumer({P0: log_of(5)}), sink)
    partitions.assign({P0})
    await partitions.resume()
    partitions.revoke({P0})
    partitions.lost.move_on({P0: Span(2, 5)})
    before = counted("progress_commits_lost_total")

    partitions.assign({P0})
    await partitions.resume()

    assert counted("progress_commits_lost_total") == before
