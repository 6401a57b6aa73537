"""A log that went back is read from where it differs, and one that cannot be compared is not read."""

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError
from aiokafka.structs import OffsetAndMetadata

from tests.intake.fakes import P0, FakeConsumer, FakeIdentity, StoringSink, counted, log_of, partitions_over, record
from worker.errors import KafkaUnavailable
from worker.intake import log_epochs
from worker.kafka.topic_id import Leader
from worker.stream.batch import Batch, Span
from worker.stream.outcome import Skipped
from worker.stream.sink import StoredOffset


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
    partitions.look_at_leaders(partitions.lost.copy_offsets())
    before = counted("progress_log_went_back_total")

    sink.offsets[P0] = StoredOffset(6, 7)
    partitions.lost.move_on({P0: Span(3, 6)})
    if rebalanced:
        partitions.assign({P0})
        await partitions.resume()
    identity.leaders = {0: Leader(2, 8)}
    partitions.look_at_leaders(partitions.lost.copy_offsets())
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
