"""A partition is read from its stored offset, however often it comes and goes."""

from collections.abc import Iterable
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError
from aiokafka.structs import OffsetAndMetadata
from prometheus_client import REGISTRY

from tests.intake.fakes import P0, P1, TOPIC, FakeConsumer, FakeIdentity, FakeSink, record, skip
from worker.errors import DatabaseUnavailable, KafkaUnavailable, OffsetBeyondLog
from worker.intake import log_epochs
from worker.intake.commits import Commits
from worker.intake.log_watch import LogWatch
from worker.intake.partitions import Partitions
from worker.kafka.topic_id import Leader
from worker.settings import Settings
from worker.stream.batch import Batch, Span
from worker.stream.outcome import Skipped
from worker.stream.sink import Applied, StoredOffset
from worker.stream.stream import Stream


def partitions_over(consumer: FakeConsumer, sink: FakeSink, identity: FakeIdentity | None = None) -> Partitions:
    settings, stream = Settings(), Stream(TOPIC, "notes-group", skip)
    them: Any = (settings, stream, consumer, identity or FakeIdentity(), LogWatch(settings, stream), Commits(), sink)
    return Partitions(*them)


def counted(metric: str) -> float:
    return REGISTRY.get_sample_value(metric) or 0


def missing() -> float:
    return counted("progress_events_missing_total")


def log_of(length: int, first: int = 0) -> list[Any]:
    return [record(P0, offset) for offset in range(first, first + length)]


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


class StoringSink(FakeSink):
    """Moves the offsets of a batch, as every sink does."""

    def __init__(self, stored: dict[TopicPartition, StoredOffset | None]) -> None:
        super().__init__()
        self.offsets = stored

    async def stored_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, StoredOffset | None]:
        return {tp: self.offsets.get(tp) for tp in partitions}

    async def apply_batch(self, batch: Batch) -> Applied:
        self.offsets |= {tp: StoredOffset(span.next, span.leader_epoch) for tp, span in batch.spans.items()}
        return Applied(0)


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
    assert again.spans == {P0: Span(2, 3, lost=3)}


async def test_at_a_start_kafkas_committed_offset_says_what_was_stored() -> None:
    consumer = FakeConsumer({P0: log_of(5)})
    consumer.committed = {P0: OffsetAndMetadata(5, "")}
    partitions = partitions_over(consumer, FakeSink({P0: 2}))
    before = counted("progress_commits_lost_total")
    partitions.assign({P0})

    await partitions.resume()

    assert counted("progress_commits_lost_total") == before + 3
    assert partitions.lost.is_behind(P0)


@pytest.mark.parametrize(("end", "stored"), [(3, 3), (5, 5), (None, 5)], ids=["before it", "at it", "not known"])
async def test_a_log_that_went_back_is_read_from_where_it_differs(
    monkeypatch: pytest.MonkeyPatch, end: int | None, stored: int
) -> None:
    async def fetch_epoch_end(_client: object, leader: int, tp: TopicPartition, epoch: int) -> int | None:
        assert (leader, tp, epoch) == (1, P0, 7)
        return end

    monkeypatch.setattr(log_epochs, "fetch_epoch_end", fetch_epoch_end)
    consumer, identity = FakeConsumer({P0: log_of(9)}), FakeIdentity()
    identity.leaders = {0: Leader(1, 8)}
    sink = StoringSink({P0: StoredOffset(5, 7)})
    partitions = partitions_over(consumer, sink, identity)
    before = counted("progress_log_went_back_total")
    partitions.assign({P0})

    await partitions.resume()

    assert (partitions.next, consumer.position_of) == ({P0: stored}, {P0: stored})
    assert counted("progress_log_went_back_total") == before + 5 - stored
    assert not partitions.lost.is_behind(P0)
    if stored < 5:
        assert sink.offsets == {P0: StoredOffset(3, 8)}
        assert consumer.committed == {P0: OffsetAndMetadata(3, "")}
    [batch] = partitions.split(Batch.of([(record(P0, 6), Skipped(""))], partitions.next))
    assert batch.spans[P0].leader_epoch == 8


@pytest.mark.parametrize("rebalanced", [False, True])
async def test_what_was_applied_since_the_last_look_is_read_again_without_alarm(
    monkeypatch: pytest.MonkeyPatch, rebalanced: bool
) -> None:
    async def fetch_epoch_end(*_: object) -> int:
        return 4

    monkeypatch.setattr(log_epochs, "fetch_epoch_end", fetch_epoch_end)
    identity, sink = FakeIdentity(), StoringSink({P0: StoredOffset(3, 7)})
    identity.leaders = {0: Leader(1, 7)}
    partitions = partitions_over(FakeConsumer({P0: log_of(9)}), sink, identity)
    partitions.assign({P0})
    await partitions.resume()
    partitions.look_at_leaders(partitions.lost.copy_stored())
    before = counted("progress_log_went_back_total")

    sink.offsets[P0] = StoredOffset(6, 7)
    partitions.lost.move_on({P0: Span(3, 6)})
    if rebalanced:
        partitions.assign({P0})
        await partitions.resume()
    identity.leaders = {0: Leader(2, 8)}
    partitions.look_at_leaders(partitions.lost.copy_stored())
    assert partitions.unresolved == {P0}
    await partitions.resume()

    assert partitions.next == {P0: 4}
    assert counted("progress_log_went_back_total") == before


LEADER = Leader(1, 8)


async def refuse(*_: object) -> int:
    raise AssertionError("asked for the end of an epoch")


async def test_the_leader_epoch_is_stored_where_none_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an upgrade or a rewind: a quiet partition has no batch that would store it."""
    monkeypatch.setattr(log_epochs, "fetch_epoch_end", refuse)
    identity, sink = FakeIdentity(), StoringSink({P0: StoredOffset(5, None)})
    identity.leaders = {0: LEADER}
    partitions = partitions_over(FakeConsumer({P0: log_of(9)}), sink, identity)
    partitions.assign({P0})

    await partitions.resume()

    assert (partitions.next, sink.offsets) == ({P0: 5}, {P0: StoredOffset(5, 8)})


@pytest.mark.parametrize(
    ("leaders", "why"),
    [({}, "LeaderNotAvailable"), ({0: Leader(1, 6)}, "leader epoch 6, and 7 is stored.*rewind --to earliest")],
    ids=["no leader", "an older epoch"],
)
async def test_a_log_that_cannot_be_compared_is_not_read(leaders: dict[int, Leader], why: str) -> None:
    """The election that follows may take records away, and the log may have grown by then."""
    identity, sink = FakeIdentity(), StoringSink({P0: StoredOffset(5, 7)})
    identity.leaders = leaders
    partitions = partitions_over(FakeConsumer({P0: log_of(9)}), sink, identity)
    partitions.assign({P0})

    with pytest.raises(KafkaUnavailable, match=why):
        await partitions.resume()

    assert (partitions.owned, partitions.unresolved, sink.offsets) == (set(), {P0}, {P0: StoredOffset(5, 7)})


async def test_a_rebalance_while_the_offsets_of_a_log_go_back_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fetch_epoch_end(*_: object) -> int:
        return 3

    class Rebalancing(FakeConsumer):
        async def commit(self, offsets: dict[TopicPartition, int]) -> None:
            raise CommitFailedError

    monkeypatch.setattr(log_epochs, "fetch_epoch_end", fetch_epoch_end)
    identity, sink = FakeIdentity(), StoringSink({P0: StoredOffset(5, 7)})
    identity.leaders = {0: LEADER}
    partitions = partitions_over(Rebalancing({P0: log_of(9)}), sink, identity)
    partitions.assign({P0})

    with pytest.raises(KafkaUnavailable, match="rebalancing"):
        await partitions.resume()

    assert (partitions.unresolved, sink.offsets) == ({P0}, {P0: StoredOffset(5, 7)})


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
