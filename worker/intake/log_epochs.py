"""Notices that a partition's log went back, by the leader epochs that Kafka's own consumer uses (KIP-320).

An unclean leader election, or a broker's disk restored from a copy, takes acknowledged records away. The log may have
grown beyond the stored offset again; what stands there now is not what was applied.
"""

from collections.abc import Iterable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import LeaderNotAvailableError

from worker.errors import KafkaUnavailable
from worker.intake.topic_identity import TopicIdentity
from worker.kafka.epoch_end import fetch_epoch_end
from worker.stream.sink import StoredOffset


class LogEpochs:
    """Keeps the leader epoch of each partition of a lane: the log of that epoch held all that is applied."""

    def __init__(self, consumer: AIOKafkaConsumer, identity: TopicIdentity, rewind_options: str) -> None:
        self._consumer = consumer
        self._identity = identity
        self._rewind_options = rewind_options
        self._epochs: dict[TopicPartition, int] = {}
        self._agreed: dict[TopicPartition, int] = {}

    def get(self, tp: TopicPartition) -> int | None:
        """Returns the partition's leader epoch; None: Kafka has not named one."""
        return self._epochs.get(tp)

    def find_agreed(self, tp: TopicPartition) -> int | None:
        """Returns the offset up to which records were applied before the leader can have changed; None: not known."""
        return self._agreed.get(tp)

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Forgets the epochs. What is agreed stays true: a change of leader often comes with a rebalance."""
        for tp in partitions:
            self._epochs.pop(tp, None)

    def look(self, applied: Mapping[TopicPartition, int]) -> set[TopicPartition]:
        """Returns the partitions whose leader epoch has changed since their logs were compared.

        `applied` is where each was before Kafka was asked for the epochs that `TopicIdentity` has now.
        """
        leaders = {tp: (self._identity.leaders or {}).get(tp.partition) for tp in self._epochs}
        self._agreed |= {
            tp: applied[tp]
            for tp, leader in leaders.items()
            if leader and leader.epoch == self._epochs[tp] and tp in applied
        }
        return {tp for tp, leader in leaders.items() if leader and leader.epoch != self._epochs[tp]}

    async def compare(self, stored: Mapping[TopicPartition, StoredOffset | None]) -> dict[TopicPartition, int]:
        """Returns where the log differs from what was applied, of partitions where it does, and keeps the epochs.

        Raises KafkaError, also for a partition without a leader; KafkaUnavailable where the epoch has gone back.
        """
        if self._identity.leaders is None:
            self.forget(stored)
            return {}
        differs = {}
        for tp, offset in stored.items():
            leader = self._identity.leaders.get(tp.partition)
            if leader is None:
                raise LeaderNotAvailableError(str(tp))
            before = offset.leader_epoch if offset else None
            if offset and before is not None and before != leader.epoch:
                self._require_later(tp, leader.epoch, before)
                end = await fetch_epoch_end(self._consumer._client, leader.node, tp, before)
                if end is not None and end < offset.next:
                    differs[tp] = end
            self._epochs[tp] = leader.epoch
        return differs

    def _require_later(self, tp: TopicPartition, epoch: int, before: int) -> None:
        """Raises KafkaUnavailable for an epoch older than the one before: such a leader's log cannot be compared.

        A broker may tell an old epoch for some milliseconds.
        """
        if epoch < before:
            raise KafkaUnavailable(
                f"{tp.topic}[{tp.partition}] has leader epoch {epoch}, and {before} is stored. If this stays, Kafka "
                "was restored from a copy. To apply the partition from its start, which is safe at any time: stop "
                f"the workers, then `course-progress rewind --to earliest --partition {tp.partition} "
                f"{self._rewind_options}`"
            )
